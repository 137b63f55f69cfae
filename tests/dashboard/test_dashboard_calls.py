"""Now and Calls in a real browser, before a daemon with a scripted upstream: the first run, live calls, past calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, SCREENS, Visit
from harness.daemon import Daemon
from harness.events import chat_chunk, chat_reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import chunk, json_reply, say, stream_head, then, wait_at
from harness.upstream import Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KEYS = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "day"}]}}


@pytest.fixture(scope="module")
def daemon(browser: Browser, upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = config_for(upstream_server, admin=ADMIN, keys=KEYS, shutdown={"drain": 1})
    with Daemon(config, tmp_path_factory.mktemp("seen"), key=CLIENT_KEY) as running:
        yield running
        assert running.stop() == 0, running.output


@pytest.fixture
def visit(browser: Browser, daemon: Daemon, upstream: Upstream) -> Visit:
    return Visit(browser, daemon)


@pytest.fixture
def called(daemon: Daemon, upstream: Upstream) -> None:
    """There is a past call to show, whichever tests came before in this process."""
    upstream.expect(json_reply(chat_reply()))
    assert daemon.chat("openai/gpt-4o").status == 200


def test_the_first_view_is_small_and_waits_for_the_first_call(visit: Visit, daemon: Daemon, upstream: Upstream) -> None:
    page = visit.open()
    page.get_by_role("heading", name="Send the first call").wait_for()
    page.get_by_text("openrouter").first.wait_for()
    assert f"{daemon.url.removesuffix('/v1')}/v1/chat/completions" in page.locator("pre").inner_text()
    visit.judge()
    ended = [one for one in visit.requests if not one.url.endswith("/live")]
    assert len(visit.requests) <= 12, [one.url for one in visit.requests]
    assert sum(one.sizes()["responseBodySize"] + one.sizes()["responseHeadersSize"] for one in ended) <= 80_000
    upstream.expect(json_reply(chat_reply()))
    assert daemon.chat("openai/gpt-4o").status == 200
    row = page.get_by_role("region", name="Calls that have just ended").get_by_role("row").nth(1)
    row.wait_for()
    assert "openai/gpt-4o" in row.inner_text() and "200" in row.inner_text()
    assert page.get_by_role("heading", name="Send the first call").count() == 0
    visit.close()


def test_a_live_call_is_on_the_screen_and_ended_from_there(visit: Visit, daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(say(stream_head(), chunk(chat_chunk("Hello"))), wait_at(gate)))
    page = visit.open("#/now")
    with daemon.open_chat("openai/gpt-4o", stream=True) as connection:
        connection.read_head()
        under_way = page.get_by_role("region", name="Under way", exact=True)
        under_way.get_by_role("button", name=re.compile("End the call req_")).click()
        visit.log_in()
        assert b"call_ended" in connection.read_to_end()
    gate.open()
    under_way.get_by_text("No call is under way").wait_for()
    page.get_by_role("button", name="Log out").wait_for()
    visit.close(expected="401")


def test_calls_are_found_by_the_address_and_told_one_by_one(visit: Visit, daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply({"error": {"message": "busy"}}, 503), json_reply(chat_reply()))
    two = daemon.chat("two-homes")
    upstream.expect(json_reply(chat_reply()))
    daemon.chat("openai/gpt-4o", [("x-tollkeeper-tags", "nightly")])
    page = visit.open("#/calls?tag=nightly")
    table = page.get_by_role("region", name="Past calls")
    table.wait_for()
    assert table.get_by_role("row").count() == 2
    page.get_by_label("Tag").fill("")
    page.get_by_label("Model").fill("two-*")
    page.get_by_label("Model").press("Enter")
    table.get_by_text("2 attempts").wait_for()
    table.get_by_role("row").nth(2).wait_for(state="detached")  # for a moment neither filter is there
    assert "model=two-*" in page.url and "tag" not in page.url
    table.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("heading", name="Where the time went").wait_for()
    sheet.get_by_text("Send one like it").wait_for()
    told = sheet.inner_text()
    for words in (two.request_id or "", "two-homes", "openrouter", "reported", "Held", "Charged"):
        assert words in told, words
    visit.judge()
    page.keyboard.press("Escape")
    sheet.wait_for(state="detached")
    assert page.url.endswith("#/calls?model=two-*")
    visit.close()


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_every_screen_is_usable_by_everybody(visit: Visit, scheme: str, width: int) -> None:
    for screen in SCREENS:
        page = visit.open(f"#/{screen}", width, scheme)
        page.locator("main h1").wait_for()
        page.locator("main .wait").first.wait_for(state="detached")
        visit.judge()
    visit.close()


def test_a_search_for_what_is_rare_goes_on_by_itself_and_says_how_far_it_is(visit: Visit) -> None:
    """As with a ledger of many millions of rows, each of whose answers takes half a second."""
    page, held = visit.open("#/now"), list[Any]()
    page.route(
        "**/calls/past?model=rare&limit=50", lambda route: route.fulfill(json={"calls": [], "next": "1700000000000-5"})
    )
    page.route("**/calls/past?*before=1700000000000-5*", lambda route: held.append(route))
    with page.expect_request("**/calls/past?*before=1700000000000-5*"):
        page.goto(page.url.replace("#/now", "#/calls?model=rare"))
    page.get_by_role("status").get_by_text(re.compile("Looking further back than .*Nov")).wait_for()
    visit.judge()
    held[0].fulfill(json={"calls": [], "next": None})
    page.get_by_text("No call fits").wait_for()
    visit.close()


@pytest.mark.usefixtures("called")
def test_trouble_is_told_and_gone_when_it_is_over(visit: Visit) -> None:
    page = visit.open("#/calls")
    page.get_by_role("region", name="Past calls").wait_for()
    page.route("**/calls/past*", lambda route: route.abort())
    page.get_by_role("button", name="Read again").click()
    alert = page.get_by_role("alert")
    alert.get_by_text("The daemon cannot be reached. Is it running?").wait_for()
    page.unroute_all()
    failure: Any = {"error": {"message": "The ledger cannot be used now.", "code": "ledger_unusable"}}
    page.route("**/calls/past*", lambda route: route.fulfill(status=503, body=json.dumps(failure)))
    alert.get_by_role("button", name="Try again").click()
    alert.get_by_text("The ledger cannot be used now.").wait_for()
    page.unroute_all()
    slow: list[Any] = []
    page.route("**/calls/past*", lambda route: slow.append(route))
    alert.get_by_role("button", name="Try again").click()
    page.get_by_text("The daemon takes its time; still waiting").wait_for()
    slow[0].continue_()
    alert.wait_for(state="detached")
    visit.judge()
    visit.close(expected="ERR_FAILED|503")


@pytest.mark.usefixtures("called")
def test_who_is_logged_out_meanwhile_logs_in_and_goes_on(visit: Visit) -> None:
    page = visit.open("#/calls")
    page.get_by_role("button", name="Log in").click()
    visit.judge()
    page.get_by_label("Admin token").fill("wrong")
    page.get_by_role("dialog").get_by_role("button", name="Log in").click()
    page.get_by_role("alert").get_by_text("no admin token").wait_for()
    visit.log_in()
    page.get_by_text("the admin token").wait_for()
    page.route("**/calls/past*", lambda route: route.fulfill(status=401, body="{}"), times=1)
    page.get_by_role("button", name="Read again").click()
    visit.log_in()
    page.get_by_role("region", name="Past calls").wait_for()
    assert page.get_by_role("alert").count() == 0
    visit.close(expected="401")
