"""Where one explores, steers and waits: each screen in a real browser, and what it changes in force on the data port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, Visit
from harness.daemon import Daemon, chat_body
from harness.hooks import SECRET, Receiver
from harness.setting import CLIENT_KEY

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LOST_KEY = "sk-lost-canary"  # who asks for what is not theirs

CONFIG: dict[str, Any] = {
    "providers": {"mock": {}},
    "admin": ADMIN,
    "keys": {"alice": {"key": CLIENT_KEY}, "lost": {"key": LOST_KEY, "models": ["anthropic/*"]}},
    "models": {"smart": "openai/gpt-4o"},
    "webhooks": {"allow_private": True},
    "shutdown": {"drain": 1},
}


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIG, tmp_path_factory.mktemp("steered"), key=CLIENT_KEY) as running:
        for model in ("openai/gpt-4o", "openai/gpt-4o-mini"):
            assert running.chat(model).status == 200
        yield running
        assert running.stop() == 0, running.output


def test_any_figure_is_drawn_listed_saved_and_kept_as_a_view(visit: Visit) -> None:
    page = visit.open("#/explore?since=1h&metric=calls")
    page.get_by_role("region", name="Calls by model and minute").get_by_role("img").wait_for()
    page.get_by_role("button", name="Show the figures").click()
    table = page.get_by_role("region", name=re.compile("Figures of calls by model and minute"))
    assert {"openai/gpt-4o", "openai/gpt-4o-mini"} <= set(table.get_by_role("columnheader").all_inner_texts())
    visit.judge()
    drawn = "document.querySelector('.chart canvas').toDataURL()"
    light = page.evaluate(drawn)
    page.emulate_media(color_scheme="dark")
    page.get_by_role("region", name="Calls by model and minute").get_by_role("img").wait_for()
    assert page.evaluate(drawn) != light
    page.get_by_label("Only model").fill("*-mini")
    page.get_by_label("Only model").press("Enter")
    table.get_by_role("columnheader", name="openai/gpt-4o", exact=True).wait_for(state="detached")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = download.value.path().read_text()
    assert "openai/gpt-4o-mini" in saved and "openai/gpt-4o," not in saved
    page.get_by_label("Name of this view").fill("Small ones")
    page.get_by_role("button", name="Keep it").click()
    page = visit.open("#/explore")
    page.reload()
    page.get_by_role("link", name="Small ones").click()
    assert page.url.endswith("#/explore?since=1h&metric=calls&model=*-mini")
    page.get_by_role("button", name="Forget the view Small ones").click()
    page.get_by_role("link", name="The calls").click()
    page.get_by_role("region", name="Calls by minute").get_by_role("img").wait_for()
    page.get_by_role("region", name="Past calls").get_by_role("row").nth(1).wait_for()
    assert page.get_by_role("region", name="Past calls").get_by_role("row").count() == 2


def deferred(daemon: Daemon, model: str, *headers: tuple[str, str]) -> str:
    """The id of a job."""
    return str(
        daemon.post("/v1/chat/completions", chat_body(model), [("Prefer", "respond-async"), *headers]).json["id"]
    )


def test_a_job_is_seen_and_cancelled(visit: Visit, daemon: Daemon) -> None:
    job = deferred(daemon, "mock/hang")
    page = visit.open("#/jobs")
    page.get_by_role("button", name=f"Cancel {job}").click()
    page.get_by_role("row").filter(has_text=job).get_by_text("cancelled").wait_for()
    visit.judge()
    assert daemon.ask("GET", f"/tollkeeper/jobs/{job}").json["status"] in ("cancelled", "failed")


def test_a_webhook_is_seen_and_sent_again(visit: Visit, daemon: Daemon) -> None:
    with Receiver() as receiver:
        hook = ("x-tollkeeper-webhook", receiver.hook["url"]), ("x-tollkeeper-webhook-secret", SECRET)
        job = deferred(daemon, "openai/gpt-4o", *hook)
        receiver.wait_for(1)
        page = visit.open("#/jobs")
        row = page.get_by_role("region", name="Webhooks, as a table").get_by_role("row").filter(has_text=job)
        row.get_by_text("delivered").wait_for()
        visit.judge()
        row.get_by_role("button", name="Send").click()
        first, again = receiver.wait_for(2)
    assert first["id"] == again["id"]


def test_a_rule_is_made_tried_fires_and_goes(visit: Visit, daemon: Daemon) -> None:
    assert daemon.chat("openai/gpt-4o").status == 200
    page = visit.open("#/alerts")
    page.get_by_role("button", name="New rule").click()
    for label, text in (("Name", "busy-hour"), ("this limit", "0"), ("over the last", "1h")):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_label("What is measured").select_option("calls")
    page.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="busy-hour")
    row.get_by_text("firing").wait_for()
    visit.judge()
    assert daemon.asked("/alerts/rules/busy-hour")["state"] == "firing"
    row.get_by_role("link").click()
    page.get_by_role("button", name="Measure it now").click()
    page.get_by_text("It would fire").wait_for()
    visit.judge()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove busy-hour now").click()
    row.wait_for(state="detached")
    assert [rule["name"] for rule in daemon.asked("/alerts/rules")["rules"]] == []


def test_a_rule_about_what_stands_as_it_is_takes_what_that_knows(visit: Visit, daemon: Daemon) -> None:
    lost = [("Authorization", f"Bearer {LOST_KEY}")]
    assert {daemon.chat("openai/gpt-4o", lost).status for _ in range(12)} == {404}
    page = visit.open("#/alerts")
    page.reload()  # it may have been open before
    unusual = page.get_by_role("region", name="Unusual").get_by_role("listitem").filter(has_text="refusals")
    unusual.get_by_text("12 of 12 calls were refused").wait_for()
    page.get_by_role("button", name="New rule").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("lost-ones")
    form.get_by_label("this limit").fill("0")
    form.get_by_label("How urgent").select_option("page")
    form.get_by_label("What is measured").select_option("anomaly_refusals")
    form.get_by_text("of every anomaly by itself").wait_for()
    assert form.get_by_label("over the last").count() == form.get_by_label("of each").count() == 0
    assert form.get_by_label("How urgent").input_value() == "page"  # as it was chosen
    form.get_by_label("Only key").fill("lost")
    assert form.get_by_label("Only provider").count() == 0
    visit.judge()
    form.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="lost-ones")
    row.get_by_text("firing").wait_for()
    rule = daemon.asked("/alerts/rules/lost-ones")["rule"]
    assert rule == {"metric": "anomaly_refusals", "above": 0.0, "only": {"key": "lost"}, "severity": "page"}
    row.get_by_role("link").click()
    form.get_by_label("Only key").fill("alice")
    form.get_by_label("for at least").fill("5m")
    form.get_by_role("button", name="Put it in force").click()
    row.get_by_text("ok", exact=True).wait_for()
    assert daemon.asked("/alerts/rules/lost-ones")["rule"] == {**rule, "only": {"key": "alice"}, "lasts": "5m"}


def served(daemon: Daemon, model: str) -> str | None:
    """The model that answered."""
    reply = daemon.chat(model)
    assert reply.status == 200, reply.json
    return reply.header("x-tollkeeper-model")


def test_a_strategy_is_tried_on_past_calls_and_kept(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/routing")
    past = page.get_by_role("region", name="The last seven days under it")
    past.get_by_text("Would have gone elsewhere").wait_for()
    for dial in ("Speed", "Quality"):
        page.get_by_role("slider", name=dial).fill("0")
    page.get_by_role("slider", name="Cost").fill("1")
    page.get_by_label("Among the models of").fill("openai/gpt-4o, openai/gpt-4o-mini")
    page.get_by_label("Among the models of").press("Enter")
    past.get_by_role("row").filter(has_text="openai/gpt-4o-mini").wait_for()
    visit.judge()
    page.get_by_label("Its name", exact=True).fill("thrifty")
    page.get_by_role("button", name="Keep it as a strategy").click()
    page.get_by_text("1 of your own").wait_for()
    assert daemon.asked("/routing/strategies")["strategies"]["thrifty"]["weights"]["cost"] == 1
    page.get_by_role("region", name="Try a request").get_by_label("Strategy").select_option("thrifty")
    page.get_by_label("Only among").fill("openai/gpt-4o, openai/gpt-4o-mini")
    page.get_by_role("button", name="Where would it go?").click()
    page.get_by_role("status").get_by_text(re.compile("^openai/gpt-4o(-mini)?, likely")).wait_for()


def test_a_name_with_fallbacks_is_in_force(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/routing")
    card = page.get_by_role("region", name="Names and their fallbacks", exact=True)
    card.get_by_label("Name", exact=True).fill("steady")
    card.get_by_label("Goes to").fill("mock/error")
    card.get_by_label("Fallbacks, with").fill("openai/gpt-4o-mini")
    card.get_by_role("button", name="Put the name in force").click()
    card.get_by_role("link", name="steady").wait_for()
    assert served(daemon, "steady") == "openai/gpt-4o-mini"


def test_an_experiment_is_begun_ramped_held_rolled_back_and_finished(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/routing")
    page.get_by_role("button", name="New experiment").click()
    form = page.get_by_role("dialog")
    for label, text in (("Its name", "newer"), ("The name that", "smart"), ("As it is", "openai/gpt-4o")):
        form.get_by_label(label).fill(text)
    form.get_by_label("Instead").fill("openai/gpt-4o-mini")
    visit.judge()
    form.get_by_role("button", name="Begin it").click()
    one = page.get_by_role("region", name="Experiment newer")
    one.get_by_text("running", exact=True).wait_for()
    visit.judge()
    one.get_by_label("Share of newer").fill("100")
    one.get_by_role("button", name="Go on").click()
    one.get_by_role("row").filter(has_text="gpt-4o-mini").get_by_text("100 %").wait_for()
    assert served(daemon, "smart") == "openai/gpt-4o-mini"
    one.get_by_role("button", name="Hold").click()
    one.get_by_text("held", exact=True).wait_for()
    one.get_by_role("button", name="Roll back").click()
    one.get_by_role("button", name="Roll newer back now").click()
    one.get_by_text("rolled back", exact=True).wait_for()
    assert served(daemon, "smart") == "openai/gpt-4o"
    one.get_by_role("button", name="Go on").click()
    one.get_by_role("button", name="Finish").click()
    one.get_by_role("button", name="All calls to").click()
    one.get_by_text("finished", exact=True).wait_for()
    assert served(daemon, "smart") == "openai/gpt-4o-mini"


def test_a_tenant_is_made_and_changed_and_its_credential_never_shown(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/tenants")
    page.get_by_role("button", name="New tenant").click()
    form = page.get_by_role("dialog")
    for label, text in (
        ("Name", "acme"),
        ("Models", "openai/*"),
        ("A key of its own", "mock"),
        ("That key", "sk-of-acme-0001"),
    ):
        form.get_by_label(label).fill(text)
    visit.judge()
    form.get_by_role("button", name="Make it").click()
    page.get_by_role("link", name="acme").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_text("mock: ").wait_for()
    sheet.get_by_label("Budget in USD").fill("0.000001")
    sheet.get_by_role("button", name="Put it in force").click()
    sheet.get_by_role("meter").wait_for()
    visit.judge()
    assert "sk-of-acme-0001" not in page.content()
    stored = daemon.asked("/settings/tenants/acme")["value"]
    assert stored["models"] == ["openai/*"] and stored["credentials"]["mock"].endswith("0001")
    (tenant,) = daemon.asked("/tenants")["tenants"]
    assert "unreadable" not in tenant["credentials"]["mock"]
    page.keyboard.press("Escape")
    page.goto(f"{daemon.admin_url}/#/keys")
    page.get_by_role("button", name="New key").click()
    form.get_by_label("Name").fill("acme-site")
    form.get_by_label("Tenant").fill("acme")
    form.get_by_role("button", name="Make it").click()
    bearer = [("Authorization", f"Bearer {form.locator('pre').inner_text()}")]
    assert daemon.chat("openai/gpt-4o", bearer).json["error"]["code"] == "budget_exceeded"
    assert daemon.chat("anthropic/claude-sonnet-4.5", bearer).json["error"]["code"] == "model_not_found"


def test_several_models_answer_side_by_side(visit: Visit, daemon: Daemon) -> None:
    page = visit.open("#/playground")
    page.get_by_label("Prompt").fill("Good morning")
    page.get_by_label("Model A").fill("mock/echo")
    page.get_by_label("Model B").fill("openai/gpt-4o")
    page.get_by_role("button", name="Ask them").click()
    page.get_by_role("alert").get_by_text("key").wait_for()
    page.get_by_label("Client key").fill(CLIENT_KEY)
    page.get_by_role("button", name="Ask them").click()
    for title in ("A: mock/echo", "B: openai/gpt-4o"):
        page.get_by_role("region", name=title).get_by_text("Good morning").wait_for()
        page.get_by_role("region", name=title).get_by_role("link", name="The call").wait_for()
    visit.judge()
    page.get_by_label("Blind").check()
    page.get_by_role("button", name="Ask them").click()
    blind = page.get_by_role("region", name=": openai/gpt-4o")  # A or B
    blind.get_by_text("Good morning").wait_for()
    page.get_by_label("Model B").fill("")
    page.get_by_label("Model A").fill("mock/image")
    page.get_by_label("What it makes").select_option("pictures")
    page.get_by_role("button", name="Ask them").click()
    page.get_by_role("img", name="Picture 1 of A").wait_for()
