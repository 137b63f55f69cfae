"""Whatever is changed in the dashboard is so on the data port: keys, budgets, providers, models, settings; and is in the audit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, ADMIN_TOKEN, Visit
from harness.daemon import Daemon
from harness.http import Connection, request_bytes
from harness.setting import CLIENT_KEY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

KEYS = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "total"}]}}
# a life of a key that the page has not seen
KEY_ORDERS: list[tuple[str, str, Any]] = [
    ("POST", "/keys", {"name": "bob"}),
    ("POST", "/keys/bob/rotations", {}),
    ("DELETE", "/keys/bob", None),
]
MINI = "openai/gpt-5-mini"  # the mock lists it
DEAR = "mock/openai/gpt-4o?cost=0.3"


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = {
        "providers": {"mock": {}},
        "admin": ADMIN,
        "keys": KEYS,
        "models": {"fast": "openai/gpt-4o"},
        "shutdown": {"drain": 1},
    }
    with Daemon(config, tmp_path_factory.mktemp("written"), key=CLIENT_KEY) as running:
        yield running
        assert running.stop() == 0, running.output


def dialog(page: Page, button: str) -> Locator:
    page.locator("main").get_by_role("button", name=button).click()
    return page.get_by_role("dialog")


def status_of(daemon: Daemon, secret: str, model: str = "openai/gpt-4o") -> int:
    return daemon.chat(model, [("Authorization", f"Bearer {secret}")]).status


def ordered(daemon: Daemon, method: str, path: str, body: Any) -> int:
    """An order of the operator's, past the page; its status."""
    headers = [("Authorization", f"Bearer {ADMIN_TOKEN}"), ("Content-Type", "application/json")]
    with Connection(daemon.admin_port) as connection:
        sent = None if body is None else json.dumps(body).encode()
        connection.send(request_bytes(method, path, headers, sent, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply(method).status


def test_a_key_made_here_may_call_is_renewed_and_revoked(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/keys")
    form = dialog(page, "New key")
    form.get_by_label("Name").fill("bob")
    form.get_by_label("Models").fill("openai/*")
    form.get_by_label("Budget in USD").fill("2")
    visit.judge()
    form.get_by_role("button", name="Make it").click()
    secret = form.locator("pre").inner_text()
    assert (status_of(daemon, secret), status_of(daemon, secret, "anthropic/claude-sonnet-4.5")) == (200, 404)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="bob").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_text("key:bob:day").wait_for()
    visit.judge()
    sheet.get_by_label("Models").fill("anthropic/*")
    sheet.get_by_role("button", name="Put it in force").click()
    sheet.get_by_role("definition").filter(has_text="anthropic/*").wait_for()
    assert (status_of(daemon, secret), status_of(daemon, secret, "anthropic/claude-sonnet-4.5")) == (404, 200)
    sheet.get_by_label("Models").fill("")
    sheet.get_by_role("button", name="Put it in force").click()
    sheet.get_by_role("definition").filter(has_text="all").wait_for()
    sheet.get_by_text("key:bob:day").wait_for()  # what was not touched is as it was
    sheet.get_by_role("button", name="New secret").click()
    newer = sheet.locator("pre").inner_text()
    assert newer != secret and status_of(daemon, newer) == status_of(daemon, secret) == 200
    sheet.get_by_role("button", name="Revoke").click()
    sheet.get_by_role("button", name="Revoke bob now").click()
    sheet.wait_for(state="detached")
    page.get_by_role("link", name="bob").wait_for(state="detached")
    assert status_of(daemon, newer) == status_of(daemon, secret) == 401


def test_a_key_of_the_file_is_not_changed_and_a_name_twice_is_told(visit: Visit) -> None:
    page = visit.open("#/keys/alice")
    page.get_by_text("It stands in the configuration file").wait_for()
    page.keyboard.press("Escape")
    form = dialog(page, "New key")
    form.get_by_label("Name").fill("alice")
    form.get_by_role("button", name="Make it").click()
    assert "alice" in form.get_by_role("alert").inner_text()


def test_a_budget_is_corrected_and_made_and_holds(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/budgets/key%3Aalice%3Atotal")
    form = page.get_by_role("dialog")
    form.get_by_label("Add to what is spent").fill("4.999999")
    form.get_by_label("Why").fill("a test")
    form.get_by_role("button", name="Correct what is spent").click()
    form.wait_for(state="detached")
    assert daemon.chat().json["error"]["code"] == "budget_exceeded"
    page.get_by_role("link", name="key:alice:total").click()
    form.get_by_label("Add to what is spent").fill("-4.999999")
    form.get_by_label("Why").fill("the test is over")
    form.get_by_role("button", name="Correct what is spent").click()
    form.wait_for(state="detached")
    assert daemon.chat().status == 200
    form = dialog(page, "New budget")
    form.get_by_label("Name").fill("all")
    form.get_by_label("USD").fill("0.00001")
    form.get_by_role("button", name="Set it").click()
    page.get_by_role("link", name="global:all").wait_for()
    assert daemon.chat().json["error"]["code"] == "budget_exceeded"
    page = visit.open("#/settings/budgets.all")
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Value, as JSON").fill('{"usd": 50, "per": "month"}')
    sheet.get_by_role("button", name="Put it in force").click()
    sheet.get_by_text("version 2").wait_for()
    visit.judge()
    assert daemon.chat().status == 200
    sheet.get_by_role("button", name="Put back").click()
    sheet.get_by_text("version 3").wait_for()
    assert daemon.chat().json["error"]["code"] == "budget_exceeded"
    sheet.get_by_role("button", name="Remove", exact=True).click()
    sheet.get_by_role("button", name="Remove it now").click()
    sheet.wait_for(state="detached")
    assert daemon.chat().status == 200


def test_a_model_is_switched_off_and_on(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/models?query=fas")
    page.get_by_role("button", name="Switch off fast", exact=True).click()
    page.get_by_label("Switched off (1)").check()
    on = page.get_by_role("button", name="Switch on fast", exact=True)
    on.wait_for()
    assert daemon.chat("fast").json["error"]["code"] == "model_not_found"
    on.click()
    page.get_by_text("No model fits").wait_for()
    assert daemon.chat("fast").status == 200
    page.get_by_role("button", name="Fetch the lists").click()
    page.get_by_text("models are listed").wait_for()


def test_models_are_compared_and_switched_many_at_a_time(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/models")
    for name in ("anthropic/claude-sonnet-4.5", MINI):
        page.get_by_label(f"Choose {name}", exact=True).check()
    page.get_by_role("button", name="Compare").click()
    table = page.get_by_role("dialog").get_by_role("table", name="Models compared")
    table.get_by_role("columnheader", name=MINI, exact=True).wait_for()
    assert "$" in table.get_by_role("row").filter(has_text="A call of").inner_text()
    visit.judge()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Switch them off").click()
    page.get_by_label("Switched off (2)").wait_for()
    assert daemon.chat(MINI).json["error"]["code"] == "model_not_found"
    form = dialog(page, "Switch many")
    form.get_by_label("Every model that fits").fill("*/*-*")
    form.get_by_text("names fit: ").wait_for()
    visit.judge()
    form.get_by_role("button", name="Switch on").click()
    form.get_by_text("Switched on: ").wait_for()
    assert daemon.chat(MINI).status == 200
    form.get_by_role("button", name="Take the latest switching back").click()
    form.get_by_text("Taken back: ").wait_for()
    assert daemon.chat(MINI).json["error"]["code"] == "model_not_found"
    form.get_by_role("button", name="Switch on").click()
    form.get_by_text("Switched on: ").wait_for()
    page.keyboard.press("Escape")


def test_an_entry_of_any_section_is_made(visit: Visit, daemon: Daemon) -> None:
    form = dialog(visit.open("#/settings"), "New entry")
    form.get_by_label("Section").select_option("models")
    form.get_by_label("Name").fill("quick")
    form.get_by_label("Value, as JSON").fill("openai/gpt-4o")
    form.get_by_role("button", name="Put it in force").click()
    form.get_by_text("This is not JSON.").wait_for()
    form.get_by_label("Value, as JSON").fill('"openai/gpt-4o"')
    form.get_by_role("button", name="Put it in force").click()
    form.wait_for(state="detached")
    assert daemon.chat("quick").status == 200


def test_a_provider_is_added_tried_and_serves(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/providers")
    form = dialog(page, "New provider")
    form.get_by_label("Name").fill("second")
    form.get_by_label("Kind").select_option("mock")
    form.get_by_role("button", name="Add it").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name="Test second"))
    row.get_by_text("not called in the last hour").wait_for()
    page.get_by_role("button", name="Test second").click()
    page.get_by_role("status").get_by_text("second:").wait_for()
    page.set_viewport_size({"width": 320, "height": 900})
    visit.judge()
    page.set_viewport_size({"width": 1280, "height": 900})
    assert daemon.chat("second/openai/gpt-4o").status == 200
    page.reload()
    row.get_by_text("answers", exact=True).wait_for()


def stored_key(daemon: Daemon) -> str:
    """As much of that provider's as is ever shown."""
    return str(daemon.asked("/settings/providers/third")["value"].get("api_key"))


def test_a_provider_gets_another_key_under_another_master_key_and_goes(visit: Visit, daemon: Daemon) -> None:
    assert ordered(daemon, "PUT", "/settings/providers/third", {"value": {"kind": "mock"}}) == 200
    page = visit.open("#/providers")
    page.reload()
    page.get_by_role("link", name="third").click()
    sheet = page.get_by_role("dialog")
    for secret in ("sk-first-1111", "sk-other-2222"):
        sheet.get_by_label("Another key").fill(secret)
        with page.expect_response(lambda reply: reply.request.method == "PUT") as told:
            sheet.get_by_role("button", name="Put it in force").click()
        assert told.value.status == 200
        page.reload()  # what was typed is gone
        assert stored_key(daemon).endswith(secret[-4:])
    visit.judge()
    page.keyboard.press("Escape")
    page.reload()
    sealed = page.get_by_role("region", name="Keys sealed on disk", exact=True)
    sealed.get_by_text("all can be opened").wait_for()
    sealed.get_by_role("button", name="Put another master key first").click()
    sealed.get_by_text("decrypts only").wait_for()
    visit.judge()
    sealed.get_by_role("button", name="Take out those").click()
    sealed.get_by_role("button", name="Take them out now").click()
    sealed.get_by_text("decrypts only").wait_for(state="detached")
    assert daemon.chat("third/openai/gpt-4o").status == 200
    assert "sk-other" not in page.content()
    page.get_by_role("link", name="third").click()
    sheet.get_by_role("button", name="Remove").click()
    sheet.get_by_role("button", name="Remove third now").click()
    sheet.wait_for(state="detached")
    page.get_by_role("link", name="third").wait_for(state="detached")
    assert daemon.chat("third/openai/gpt-4o").status != 200


def test_all_of_it_is_in_the_audit(visit: Visit, daemon: Daemon) -> None:
    for method, path, body in KEY_ORDERS:
        assert ordered(daemon, method, path, body) == 200, path
    page = visit.open("#/audit?action=key.*")
    table = page.get_by_role("region", name="What operators did")
    table.get_by_text("key.revoke").first.wait_for()
    for action in ("key.create", "key.rotate", "keys.bob", "the admin token"):
        assert table.get_by_text(action).count() >= 1
    page.get_by_text("whole, ").wait_for()
    table.get_by_role("row").filter(has_text="key.create").filter(has_text="keys.bob").get_by_role("link").first.click()
    page.get_by_role("dialog").get_by_role("heading", name="After").wait_for()
    visit.judge()
    page.keyboard.press("Escape")


def test_what_was_spent_is_told_apart(visit: Visit, daemon: Daemon) -> None:
    assert daemon.chat("mock/openai/gpt-4o").status == 200  # by its provider, beside which there may be another
    page = visit.open("#/costs?since=today&by=key")
    table = page.get_by_role("region", name="Costs by key")
    table.get_by_text("alice").wait_for()
    page.get_by_label("Group by").select_option("provider")
    page.get_by_role("region", name="Costs by provider").get_by_text("mock").first.wait_for()
    page.get_by_role("button", name="Show the figures").click()
    visit.judge()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert "mock" in download.value.path().read_text()


def test_bills_what_is_ahead_and_what_would_cost_less_stand_by_the_costs(visit: Visit, daemon: Daemon) -> None:
    assert ordered(daemon, "POST", "/reconciliation", None) == 200
    assert daemon.chat(DEAR).status == 200
    page = visit.open("#/costs?since=today")
    page.reload()  # it may have been open before there was a bill
    bill = page.get_by_role("table", name="Bills and the ledger").get_by_role("row").filter(has_text="open")
    page.get_by_role("button", name="Read the bills now").click()
    bill.filter(has_text=re.compile(r"\$0\.30.*\$0\.30")).first.wait_for()
    ahead = page.get_by_role("table", name="Where budgets will stand").get_by_role("row").filter(has_text="alice")
    ahead.get_by_text("it lasts").or_(ahead.locator("time")).first.wait_for()
    advice = page.get_by_role("region", name="What would have cost less").get_by_role("listitem")
    advice.filter(has_text=DEAR).get_by_text("unproven").wait_for()
    visit.judge()
    advice.filter(has_text=DEAR).get_by_role("link").click()
    form = page.get_by_role("dialog")
    assert form.get_by_label("The name that clients send").input_value() == DEAR
    form.get_by_role("button", name="Begin it").click()
    page.get_by_role("region", name=re.compile("Experiment gpt-4o-cost-0.3-to-")).get_by_text("running").wait_for()
    (arms,) = [one["arms"] for one in daemon.asked("/experiments")["experiments"]]
    assert [arm["share"] for arm in arms] == [95, 5]
