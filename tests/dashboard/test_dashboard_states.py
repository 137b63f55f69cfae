"""Every screen where there is nothing yet, where nothing is answered, where nothing comes, and where a login has ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from browser import ADMIN, ADMIN_TOKEN, SCREENS, Visit, is_asked
from harness.daemon import Daemon

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROKEN = {"error": {"message": "The ledger cannot be used now.", "code": "ledger_unusable"}}
# every button of that name at once: some of what failed is asked again by itself meanwhile
TRY_AGAIN = "document.querySelectorAll('[role=alert] button').forEach((button) => button.click())"
AS_ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
# what charts write beside their axes
WRITTEN = """const write = CanvasRenderingContext2D.prototype.fillText;
window.written = [];
CanvasRenderingContext2D.prototype.fillText = function (text, ...at) { written.push(text); write.call(this, text, ...at); };"""
LATE_MS = 5000  # after which a screen says that it still waits
WIDTHS: list[tuple[str, int]] = [("light", 1280), ("dark", 320)]


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One that has nothing but a provider: no key, no call."""
    config = {"providers": {"mock": {}}, "admin": ADMIN, "shutdown": {"drain": 1}}
    with Daemon(config, tmp_path_factory.mktemp("states")) as running:
        yield running
        assert running.stop() == 0, running.output


def settled(page: Page) -> None:
    page.locator("main h1").wait_for()
    page.locator("main .wait").first.wait_for(state="detached")


@pytest.mark.parametrize(("scheme", "width"), WIDTHS)
def test_where_there_is_nothing_a_screen_says_what_to_do(
    browser: Browser, daemon: Daemon, scheme: str, width: int
) -> None:
    visit = Visit(browser, daemon)
    for screen in SCREENS:
        settled(visit.open(f"#/{screen}", width, scheme))
        visit.judge()
        assert visit.page.get_by_role("alert").count() == 0, screen
        assert visit.page.locator("main").inner_text().count("\n") > 2, f"{screen} says next to nothing"
    visit.close(expected="404")  # no call to try a strategy on


@pytest.mark.parametrize(("scheme", "width"), WIDTHS)
def test_a_broken_daemon_is_told_and_asked_again(browser: Browser, daemon: Daemon, scheme: str, width: int) -> None:
    visit = Visit(browser, daemon)
    for screen in SCREENS:
        visit.page.route(is_asked, lambda route: route.fulfill(status=503, json=BROKEN))
        page = visit.open(f"#/{screen}", width, scheme)
        page.get_by_role("alert").get_by_text(BROKEN["error"]["message"]).first.wait_for()
        settled(page)
        visit.judge()
        page.unroute_all()
        page.evaluate(TRY_AGAIN)
        page.get_by_role("alert").first.wait_for(state="detached")
        settled(page)
    visit.close(expected="503|404")


@pytest.mark.parametrize(("scheme", "width"), WIDTHS)
def test_a_slow_daemon_is_told_to_be_slow(browser: Browser, daemon: Daemon, scheme: str, width: int) -> None:
    visit = Visit(browser, daemon)
    visit.page.clock.install()
    for screen in SCREENS:
        visit.page.route(is_asked, lambda route: None)  # and never anything
        page = visit.open(f"#/{screen}", width, scheme)
        page.locator("main h1").wait_for()
        if screen != "playground":  # where one may write meanwhile
            page.locator("main .wait").first.wait_for()
            page.clock.fast_forward(LATE_MS)
            page.get_by_text("The daemon takes its time; still waiting").first.wait_for()
        visit.judge()
        page.goto("about:blank")  # what was asked for is given up
        page.unroute_all(behavior="ignoreErrors")
    visit.close()


def test_a_login_that_has_ended_is_asked_for_on_every_screen_and_it_goes_on(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    ended: Any = {"error": {"message": "This login has ended.", "code": "login_needed"}}
    for screen in SCREENS:
        visit.page.route(is_asked, lambda route: route.fulfill(status=401, json=ended))
        page = visit.open(f"#/{screen}")
        page.get_by_label("Admin token").wait_for()
        visit.judge()
        page.unroute_all()
        visit.log_in()
        settled(page)
        assert page.get_by_role("alert").count() == 0, screen
    visit.close(expected="401|404")


def test_a_login_that_has_ended_is_asked_for_before_a_table_is_saved(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    ended: Any = {"error": {"message": "This login has ended.", "code": "login_needed"}}
    page = visit.open("#/costs")
    save = page.get_by_role("button", name="Save as CSV")
    visit.page.route("**/analytics/costs*format=csv*", lambda route: route.abort())
    save.click()
    page.get_by_role("alert").get_by_text("cannot be reached").wait_for()
    page.unroute_all()
    visit.page.route("**/analytics/costs*format=csv*", lambda route: route.fulfill(status=401, json=ended), times=1)
    save.click()
    with page.expect_download() as saved:
        visit.log_in()
    assert saved.value.suggested_filename == "costs.csv"
    assert page.get_by_role("alert").count() == 0
    visit.close(expected="401|ERR_FAILED")


def test_a_chart_has_the_clock_of_the_daemon_as_its_figures_have(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon, timezone_id="Asia/Kathmandu")
    visit.page.add_init_script(WRITTEN)
    empty = visit.context.request.get(f"{daemon.admin_url}/analytics/usage", headers=AS_ADMIN).json()
    rows = [{**empty["total"], "at": f"2026-11-20T{hour}:00:00-05:00", "calls": 1} for hour in ("09", "10", "11")]
    visit.page.route(lambda url: "/analytics/" in url, lambda route: route.fulfill(json={**empty, "rows": rows}))
    page = visit.open("#/explore?since=today&interval=hour&metric=calls&by=none")
    page.get_by_role("button", name="Show the figures").click()
    page.get_by_role("cell", name="2026-11-20 10:00").wait_for()
    page.wait_for_function("() => written.some((text) => text.startsWith('10:00'))")
    assert not page.evaluate("written.some((text) => text.startsWith('20:45'))")
    visit.close(expected="401")


def test_a_key_of_the_file_is_not_said_to_be_never_used(browser: Browser, daemon: Daemon) -> None:
    key = {"tenant": None, "models": [], "budgets": [], "limits": [], "spent_usd": "1.500000000000", "expired": False}
    unused = {**key, "last_used_at": None, "expires_at": None}
    keys = [{**unused, "name": "filed", "from": "configuration"}, {**unused, "name": "kept", "from": "store"}]
    visit = Visit(browser, daemon)
    visit.page.route(lambda url: url.endswith("/keys"), lambda route: route.fulfill(json={"keys": keys, "open": False}))
    page = visit.open("#/keys")
    rows = [page.get_by_role("row").filter(has_text=name) for name in ("filed", "kept")]
    assert ["never" in row.inner_text() for row in rows] == [False, True]
    visit.close(expected="401")


def test_a_chart_over_a_change_of_the_clock_has_the_hours_of_each_side(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon, timezone_id="Asia/Kathmandu")
    visit.page.add_init_script(WRITTEN)
    empty = visit.context.request.get(f"{daemon.admin_url}/analytics/usage", headers=AS_ADMIN).json()
    hours = ["00:00:00+02", "01:00:00+02", "02:00:00+02", "02:00:00+01", "03:00:00+01", "04:00:00+01", "05:00:00+01"]
    rows = [{**empty["total"], "at": f"2026-10-25T{hour}:00", "calls": 1} for hour in hours]
    visit.page.route(lambda url: "/analytics/" in url, lambda route: route.fulfill(json={**empty, "rows": rows}))
    page = visit.open("#/explore?since=today&interval=hour&metric=calls&by=none")
    page.get_by_role("button", name="Show the figures").click()
    page.get_by_role("cell", name="2026-10-25 05:00").wait_for()
    page.wait_for_function("() => written.indexOf('05:00', written.indexOf('00:00')) > 0")
    drawn = page.evaluate("written")
    drawn = drawn[drawn.index("00:00") :]
    hours = [text for text in drawn[: drawn.index("05:00")] if text.endswith(":00")]
    assert hours == ["00:00", "01:00", "02:00", "02:00", "03:00", "04:00"]
    visit.close(expected="401")
