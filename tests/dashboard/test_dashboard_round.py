"""Round trips of what is pressed more rarely: the file read again, a tenant removed, judged replies, tests sent, logging out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from browser import ADMIN, Visit
from harness.daemon import Daemon
from harness.events import chat_reply, chat_stream
from harness.hooks import Receiver
from harness.http import Connection, request_bytes
from harness.setting import CLIENT_KEY, config_for
from harness.steps import hang, json_reply, say, sse, stream_head, then
from harness.upstream import Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SMALL, LARGE, JUDGE = "openai/gpt-4o-mini", "openai/gpt-4o", "openai/gpt-5"
RULE = {"metric": "calls", "above": 1000}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def config(upstream_server: Upstream, receiver: Receiver) -> dict[str, Any]:
    alerts = [{**receiver.hook, "name": "operators"}]
    return config_for(upstream_server, admin=ADMIN, alerts=alerts, alert_rules={"busy": RULE}, shutdown={"drain": 1})


@pytest.fixture(scope="module")
def daemon(browser: Browser, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(config, tmp_path_factory.mktemp("round"), key=CLIENT_KEY) as running:
        yield running
        assert running.stop() == 0, running.output


def test_the_file_is_read_again_and_what_is_wrong_in_it_told(visit: Visit, daemon: Daemon, upstream: Upstream) -> None:
    file = daemon.folder / "config.yaml"
    before = file.read_text()
    page = visit.open("#/settings")
    again = page.get_by_role("button", name="Read the file again")
    again.click()
    page.get_by_role("status").get_by_text("Nothing has changed in the file.").wait_for()
    written = yaml.safe_load(before)
    written["models"]["brisk"] = SMALL
    file.write_text(yaml.safe_dump(written))
    again.click()
    page.get_by_role("status").get_by_text("brisk").wait_for()
    page.get_by_role("region", name="Settings of models").get_by_role("link", name="brisk").wait_for()
    visit.judge()
    upstream.expect(json_reply(chat_reply()), model=SMALL)
    assert daemon.chat("brisk").status == 200
    file.write_text(before.replace("keys:", "kays:"))
    again.click()
    page.get_by_role("alert").get_by_text("kays").wait_for()
    visit.judge()
    assert daemon.asked("/settings")["sections"]["models"]["brisk"]["value"], "what was in force goes on"
    file.write_text(before)
    again.click()
    page.get_by_role("alert").wait_for(state="detached")
    page.get_by_role("link", name="brisk").wait_for(state="detached")
    assert daemon.chat("brisk").status != 200


def test_a_tenant_is_removed_with_what_it_allowed(visit: Visit, daemon: Daemon, upstream: Upstream) -> None:
    page = visit.open("#/tenants")
    page.get_by_role("button", name="New tenant").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("globex")
    form.get_by_label("Models").fill("local/*")
    form.get_by_role("button", name="Make it").click()
    page.get_by_role("link", name="globex").wait_for()
    page = visit.open("#/keys")
    page.get_by_role("button", name="New key").click()
    form.get_by_label("Name").fill("globex-site")
    form.get_by_label("Tenant").fill("globex")
    form.get_by_role("button", name="Make it").click()
    bearer = [("Authorization", f"Bearer {form.locator('pre').inner_text()}")]
    page.keyboard.press("Escape")
    assert daemon.chat(SMALL, bearer).json["error"]["code"] == "model_not_found", "only local/* is the tenant's"
    page = visit.open("#/tenants/globex")
    form.get_by_role("button", name="Remove", exact=True).click()
    form.get_by_role("button", name="Keep it").click()
    form.get_by_role("button", name="Remove", exact=True).click()
    form.get_by_role("button", name="Remove globex now").click()
    form.get_by_role("alert").get_by_text("globex-site").wait_for()
    visit.judge()
    page = visit.open("#/keys/globex-site")
    form.get_by_role("button", name="Revoke").click()
    form.get_by_role("button", name="Revoke globex-site now").click()
    form.wait_for(state="detached")
    page = visit.open("#/tenants/globex")
    form.get_by_role("button", name="Remove", exact=True).click()
    form.get_by_role("button", name="Remove globex now").click()
    page.get_by_text("No tenant yet").wait_for()
    assert daemon.asked("/tenants")["tenants"] == []
    assert daemon.chat(SMALL, bearer).status == 401


def test_replies_are_judged_and_the_verdict_is_kept_with_the_calls(
    visit: Visit, daemon: Daemon, upstream: Upstream
) -> None:
    for model, text in ((SMALL, "A short reply"), (LARGE, "A long reply")):
        upstream.expect(sse(chat_stream(text=text)), model=model)
    verdict = sse(chat_stream(text=json.dumps({"best": "B", "reason": "It says more."})))
    upstream.expect(verdict, verdict, model=JUDGE)
    page = visit.open("#/playground")
    for label, text in (("Prompt", "Say something"), ("Client key", CLIENT_KEY), ("Judged by", JUDGE)):
        page.get_by_label(label).fill(text)
    page.get_by_label("Model A").fill(SMALL)
    page.get_by_label("Model B").fill(LARGE)
    page.get_by_role("button", name="Ask them").click()
    page.get_by_role("status").get_by_text(f"{JUDGE} finds B best, {LARGE}. It says more.").wait_for()
    visit.judge()
    scores: dict[str, list[float]] = {}
    for letter, model in (("A", SMALL), ("B", LARGE)):
        link = page.get_by_role("region", name=f"{letter}: {model}").get_by_role("link", name="The call")
        identity = str(link.get_attribute("href")).rpartition("/")[2]
        scores[model] = [one["score"] for one in daemon.asked(f"/calls/{identity}")["feedback"]]
    assert scores == {SMALL: [-1.0], LARGE: [1.0]}


@pytest.mark.parametrize(
    ("answers", "told"),
    [(("A", "B"), "finds none better"), (("", "?"), "says nothing that can be read as a verdict")],
)
def test_a_judge_who_is_of_two_minds_or_none_is_told_as_such(
    visit: Visit, upstream: Upstream, answers: tuple[str, str], told: str
) -> None:
    upstream.expect(*[sse(chat_stream())] * 2, model=SMALL)
    upstream.expect(*(sse(chat_stream(text=json.dumps({"best": best}))) for best in answers), model=JUDGE)
    page = visit.open("#/playground")
    for label, text in (("Prompt", "Say something"), ("Client key", CLIENT_KEY), ("Judged by", JUDGE)):
        page.get_by_label(label).fill(text)
    for letter in "AB":
        page.get_by_label(f"Model {letter}").fill(SMALL)
    page.get_by_role("button", name="Ask them").click()
    page.get_by_role("status").get_by_text(f"{JUDGE} {told}.").wait_for()


def test_what_is_being_answered_is_stopped_here_and_at_the_provider(
    visit: Visit, daemon: Daemon, upstream: Upstream
) -> None:
    upstream.expect(then(say(stream_head()), hang), model=SMALL)
    page = visit.open("#/playground")
    for label, text in (("Prompt", "Go on for ever"), ("Client key", CLIENT_KEY), ("Model A", SMALL)):
        page.get_by_label(label).fill(text)
    page.get_by_label("Model B").fill("")
    page.get_by_role("button", name="Ask them").click()
    (call,) = upstream.wait_for_calls(1)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop").wait_for(state="detached")
    assert call.closed.wait(60)
    assert page.get_by_role("alert").count() == 0
    visit.judge()


def test_a_rule_that_is_tried_sends_a_test_to_those_it_tells(visit: Visit, receiver: Receiver) -> None:
    page = visit.open("#/alerts/busy")
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name="Measure it now").click()
    sheet.get_by_text("It would not fire").wait_for()
    (message,) = receiver.wait_for(1)
    visit.judge()
    page.keyboard.press("Escape")


def test_two_tabs_of_a_browser_are_one_login(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    first, second = visit.open("#/keys"), visit.context.new_page()
    second.goto(f"{visit.address}/#/budgets")
    first.get_by_role("button", name="Log in").click()
    visit.log_in()
    second.get_by_role("button", name="Log out").wait_for()
    for name, tab in (("one", first), ("two", second)):  # each may change something, whoever has logged in
        tab.goto(f"{visit.address}/#/keys")
        tab.get_by_role("button", name="New key").click()
        tab.get_by_label("Name").fill(f"tab-{name}")
        tab.get_by_role("button", name="Make it").click()
        tab.get_by_role("dialog").locator("pre").wait_for()
        tab.keyboard.press("Escape")
    with second.expect_navigation():
        second.get_by_role("button", name="Log out").click()
    first.get_by_role("button", name="Log in").wait_for()
    visit.close()


def test_who_logs_out_may_change_nothing_any_more(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    page = visit.open("#/keys")
    page.get_by_role("button", name="Log in").click()
    visit.log_in()
    page.get_by_role("button", name="Log out").wait_for()
    token = page.evaluate("localStorage.getItem('tollkeeper.page')")
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in visit.context.cookies())
    with page.expect_navigation():
        page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    headers = [("Cookie", cookie), ("x-tollkeeper-page", token), ("Origin", daemon.admin_url)]
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes("POST", "/reload", headers, None, f"127.0.0.1:{daemon.admin_port}"))
        assert connection.read_reply("POST").status == 401
    page.get_by_role("button", name="New key").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("after")
    form.get_by_role("button", name="Make it").click()
    page.get_by_label("Admin token").wait_for()
    visit.close(expected="401")
