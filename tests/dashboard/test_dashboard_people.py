"""What people do to a page: they have no mouse, others choose the names, and the daemon is started anew while it is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from browser import ADMIN, ADMIN_TOKEN, Visit
from harness.daemon import Daemon
from harness.setting import CLIENT_KEY
from harness.surroundings import held_port

from proxy.policy.analysis.savings import Kind

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CONFIG: dict[str, Any] = {
    "providers": {"mock": {}},
    "admin": ADMIN,
    "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "month"}]}},
    "tenants": {"acme": {"budgets": [{"usd": 25, "per": "month"}]}},
    "alert_rules": {"dear-hour": {"metric": "cost_usd", "above": 5, "each": "key"}},
    "shutdown": {"drain": 1},
}
HOSTILE = [
    """<img src=x onerror="document.title='owned'">""",
    "</script><script>document.title='owned'</script>",
    "\u202etxt.exe \u05e2\u05d1\u05e8\u05d9\u05ea \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "x" * 200,
    "\U0001f980" * 60,
]
PLACES = ("now", "calls", "costs?since=today", "explore?since=1h&metric=errors")


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIG, tmp_path_factory.mktemp("people"), key=CLIENT_KEY) as running:
        assert running.chat("openai/gpt-4o").status == 200
        yield running
        assert running.stop() == 0, running.output


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


# what is said of the place where the keyboard is
FOCUSED = "[document.activeElement.ariaLabel, document.activeElement.innerText, document.activeElement.name].find(Boolean) ?? ''"


def comes_to(page: Page, name: str) -> None:
    """The keyboard is there, once the page has drawn what it was told."""
    page.wait_for_function(f"(name) => ({FOCUSED}).trim().startsWith(name)", arg=name)


def reach(page: Page, name: str) -> None:
    """Go on with Tab to it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED).strip() == name:
            return
    raise AssertionError(f"no way to {name} by Tab")


def test_a_key_is_made_found_and_revoked_without_a_mouse(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    page = visit.open("#/now")
    page.get_by_text("live", exact=True).wait_for()
    press(page, "Tab", "Enter")  # past what leads elsewhere
    comes_to(page, "Now")
    press(page, "?")
    page.get_by_role("dialog", name="Keys").wait_for()
    press(page, "Escape", "g", "k")
    page.get_by_role("heading", name="Keys", level=1).wait_for()
    reach(page, "New key")
    press(page, "Enter")
    page.get_by_role("dialog").wait_for()
    comes_to(page, "name")
    page.keyboard.type("carol")
    press(page, "Enter")
    page.get_by_label("Admin token").wait_for()
    page.keyboard.type(ADMIN_TOKEN)
    press(page, "Enter")
    page.get_by_role("dialog").get_by_text("sk-tk-").wait_for()
    press(page, "Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    comes_to(page, "New key")  # where one was before
    page.get_by_role("link", name="carol").wait_for()
    reach(page, "alice")
    press(page, "j")
    comes_to(page, "carol")
    press(page, "Enter")
    page.get_by_role("dialog").wait_for()
    reach(page, "Revoke")
    press(page, "Enter")
    page.get_by_role("button", name="Revoke carol now").wait_for()
    press(page, "Enter")  # the second press is at hand
    page.get_by_role("link", name="carol").wait_for(state="detached")
    press(page, "g", "c")
    page.get_by_role("region", name="Past calls").wait_for()
    press(page, "/")
    page.keyboard.type("nobody")
    press(page, "Enter")
    page.get_by_text("No call fits").wait_for()
    assert "key=nobody" in page.url
    visit.close(expected="401")


def test_names_that_mean_harm_are_shown_as_they_are(browser: Browser, daemon: Daemon) -> None:
    for name in HOSTILE:
        assert (
            daemon.chat(name, [("x-tollkeeper-session", "<b>ses</b>"), ("x-tollkeeper-tags", "<i>tag")]).status == 400
        )
    visit = Visit(browser, daemon)
    for width in (320, 1280):
        for place in PLACES:
            page = visit.open(f"#/{place}", width)
            page.locator("main .card, main .stats").first.wait_for()
            page.locator("main .wait").first.wait_for(state="detached")
            visit.judge()
            assert page.title().endswith("Tollkeeper")
            assert page.locator("main img").count() == 0
    page = visit.open("#/calls")
    for name in HOSTILE:
        page.get_by_role("region", name="Past calls").get_by_text(name, exact=True).first.wait_for()
    page.get_by_role("region", name="Past calls").get_by_text(HOSTILE[0]).first.click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("heading", name=HOSTILE[0]).wait_for()
    visit.judge()
    visit.close()


# a place, and what opens something there; "": it is open by its address
DIALOGS = [
    ("keys", "New key"),
    ("keys/alice", ""),
    ("tenants", "New tenant"),
    ("tenants/acme", ""),
    ("budgets", "New budget"),
    ("budgets/key%3Aalice%3Amonth", ""),
    ("providers", "New provider"),
    ("providers/mock", ""),
    ("models", "Switch many"),
    ("routing", "New experiment"),
    ("alerts", "New rule"),
    ("alerts/dear-hour", ""),
    ("settings", "New entry"),
    ("settings/keys.alice", ""),
    ("calls", "Log in"),
]


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1280)])
def test_every_dialog_is_usable_by_everybody(browser: Browser, daemon: Daemon, scheme: str, width: int) -> None:
    visit = Visit(browser, daemon)
    for place, button in DIALOGS:
        page = visit.open(f"#/{place}", width, scheme)
        page.locator("main h1").wait_for()
        page.locator("main .wait").first.wait_for(state="detached")
        if button == "Log in" and width < 860:
            page.get_by_role("button", name="Menu").click()
        if button:
            page.get_by_role("button", name=button, exact=True).first.click()
        dialog = page.get_by_role("dialog")
        dialog.wait_for()
        dialog.locator(".wait").first.wait_for(state="detached")
        visit.judge()
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    visit.judge()
    visit.close()


def test_who_wants_no_motion_sees_none(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    page = visit.open("#/now")
    page.get_by_text("live", exact=True).wait_for()
    found = daemon.chat("openai/gpt-4o").request_id
    fresh = page.locator("tr.fresh").filter(has=page.locator(f'a[href$="{found}"]'))
    motion = "row => getComputedStyle(row).animationName"
    assert fresh.evaluate(motion) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert fresh.evaluate(motion) == "fresh", "a test that can fail"
    visit.close()


@pytest.fixture
def admin_port() -> Iterator[int]:
    """One that nobody else is given between two daemons."""
    with held_port() as port:
        yield port


def test_a_page_goes_on_when_the_daemon_was_started_anew(browser: Browser, tmp_path: Path, admin_port: int) -> None:
    config = {**CONFIG, "admin": {**ADMIN, "port": admin_port}}
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        visit = Visit(browser, daemon)
        page = visit.open("#/now")
        page.get_by_role("button", name="Log in").click()
        visit.log_in()
        first = daemon.chat("openai/gpt-4o").request_id
        page.locator(f'main a[data-row][href$="{first}"]').wait_for()
        assert daemon.stop() == 0, daemon.output
        page.get_by_role("alert").get_by_text("This page goes on when it is back.").wait_for()
        visit.judge()
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        page.get_by_text("live", exact=True).wait_for()
        second = daemon.chat("openai/gpt-4o").request_id
        page.locator(f'main a[data-row][href$="{second}"]').wait_for()
        assert page.locator(f'main a[data-row][href$="{first}"]').count() == 1
        page.get_by_role("alert").first.wait_for(state="detached")  # of all there are
        page.get_by_role("link", name="Keys", exact=True).click()
        page.get_by_role("button", name="New key").click()
        form = page.get_by_role("dialog")
        form.get_by_label("Name").fill("later")
        form.get_by_role("button", name="Make it").click()
        visit.log_in()  # logins end with the daemon
        form.get_by_text("sk-tk-").wait_for()
        visit.close(expected="ERR_|401|incomplete|Failed to load")
        assert daemon.stop() == 0, daemon.output


def test_every_kind_of_saving_has_a_name(browser: Browser, daemon: Daemon) -> None:
    kinds = get_args(Kind)
    saving = {"model": "openai/gpt-4o", "provider": "mock", "to": None, "saves_usd": "0", "confidence": "high"}
    savings = [
        {**saving, "kind": kind, "why": f"because of {number}", "how": "that way"} for number, kind in enumerate(kinds)
    ]
    visit = Visit(browser, daemon)
    visit.page.route("**/savings?*", lambda route: route.fulfill(json={"spent_usd": "1", "savings": savings}))
    lines = visit.open("#/costs").get_by_role("region", name="What would have cost less").get_by_role("listitem")
    for number, kind in enumerate(kinds):
        line = lines.filter(has_text=f"because of {number}").inner_text()
        assert f"{kind.replace('_', ' ')}:" not in line.splitlines(), "the daemon's word, and nobody's"
    visit.close()
