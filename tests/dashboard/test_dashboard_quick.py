"""How soon the page is there, and calls are on it: as it asks, as the processor sees it, and by the clock of the browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from browser import ADMIN, SCREENS, Visit, is_asked
from harness.daemon import Daemon
from harness.setting import CLIENT_KEY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CALLS = 12
MOST_LATE_SECONDS = 0.25
MOST_BUSY_SECONDS = 0.5
FIRST = {"/calls/past?limit=1", "/budgets", "/providers", "/analytics/performance?since=1h&by=provider"}
# what hangs on an answer: the strategy that there is, the calls that fit
SECOND = {"/routing/simulate"}
# when, by the clock, each call came onto the screen: by the last part of its address
SEEN = """window.seen = {};
new MutationObserver(() => {
  for (const link of document.querySelectorAll("main a[data-row]")) window.seen[link.hash.split("/").pop()] ??= Date.now();
}).observe(document, {subtree: true, childList: true});"""
# how long the same browser takes now to ask for next to nothing and draw it
FRAME = """async () => {
  const began = performance.now();
  await (await fetch("healthz")).text();
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


@pytest.fixture(scope="module")
def daemon(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    keys = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "month"}]}}
    config = {"providers": {"mock": {}}, "admin": ADMIN, "keys": keys, "shutdown": {"drain": 1}}
    with Daemon(config, tmp_path_factory.mktemp("quick"), key=CLIENT_KEY) as running:
        assert running.chat("openai/gpt-4o").status == 200
        yield running
        assert running.stop() == 0, running.output


def test_the_first_view_asks_for_everything_before_anything_is_answered(browser: Browser, daemon: Daemon) -> None:
    visit, held = Visit(browser, daemon), list[Any]()
    for path in FIRST:
        visit.page.route(lambda url, path=path: url.endswith(path), lambda route: held.append(route))
    page = visit.open()
    page.get_by_text("Loading").first.wait_for()
    assert {one.request.url.removeprefix(daemon.admin_url) for one in held} == FIRST
    for one in held:
        one.continue_()
    page.locator("main .stats").wait_for()
    page.get_by_role("meter").wait_for()
    visit.close()


@pytest.mark.parametrize("screen", [screen for screen in SCREENS if screen != "now"])
def test_a_screen_asks_for_all_it_shows_before_anything_is_answered(
    browser: Browser, daemon: Daemon, screen: str
) -> None:
    visit, held = Visit(browser, daemon), list[Any]()
    visit.page.route(is_asked, lambda route: held.append(route))
    page = visit.open(f"#/{screen}")
    page.locator("main h1").wait_for()
    # what is asked for as the screen is drawn has been asked two frames later
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    first = {one.request.url for one in held}
    assert first, screen
    visit.page.unroute(is_asked)  # which lets go of what was held
    page.locator("main .wait").first.wait_for(state="detached")
    asked = {one.url for one in visit.requests if is_asked(one.url)}
    assert {urlsplit(url).path for url in asked - first} <= SECOND, screen
    visit.close()


def busy_seconds(browser: Browser, daemon: Daemon, screen: str) -> float:
    """What a first visit takes of the processor, in the page's own thread, until the screen is there: waiting for others does not count."""
    visit = Visit(browser, daemon)
    session = visit.context.new_cdp_session(visit.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page = visit.open(f"#/{screen}")
    page.locator("main h1").wait_for()
    page.locator("main .wait").first.wait_for(state="detached")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    visit.close()
    return float(found["TaskDuration"])


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_takes_little_of_the_processor(browser: Browser, daemon: Daemon, screen: str) -> None:
    assert min(busy_seconds(browser, daemon, screen) for _ in range(3)) < MOST_BUSY_SECONDS


def lateness(page: Page, daemon: Daemon) -> float:
    """Seconds from the end of a reply to its row on the screen, beyond what this machine takes for a frame."""
    slow = page.evaluate(FRAME) / 1000
    found = daemon.chat("openai/gpt-4o").request_id
    ended = time.time()
    page.locator(f'main a[data-row][href$="{found}"]').wait_for()
    return float(page.evaluate(f"window.seen['{found}'] / 1000") - ended - slow)


def test_a_call_is_on_the_screen_within_a_quarter_of_a_second(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    visit.context.add_init_script(SEEN)
    page = visit.open("#/now")
    page.get_by_text("live", exact=True).wait_for()
    found = [lateness(page, daemon) for _ in range(CALLS)]
    assert median(found) <= MOST_LATE_SECONDS, found
    visit.close()


def test_the_page_is_used_as_ever_while_calls_come_by_the_hundred(browser: Browser, daemon: Daemon) -> None:
    visit = Visit(browser, daemon)
    page = visit.open("#/now")
    page.get_by_text("live", exact=True).wait_for()
    before = daemon.asked("/analytics/usage?since=1h")["total"]["calls"]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(daemon.chat, "openai/gpt-4o") for _ in range(400)]
        for title, heading in (("Calls", "Past calls"), ("Costs", "Costs by model"), ("Budgets", "Budgets")):
            page.get_by_role("link", name=title, exact=True).first.click()
            page.get_by_role("region", name=heading).first.wait_for()
        page.get_by_role("link", name="Now").click()
        assert {one.result().status for one in calls} == {200}
    page.get_by_text(f"of {before + 400} in 15 minutes").wait_for()
    assert page.get_by_role("region", name="Calls that have just ended").get_by_role("row").count() == 31
    visit.judge()
    visit.close()
