"""Draws the pictures of the dashboard in docs/pictures: `make examples` runs it. A daemon with the mock, and some traffic."""

from __future__ import annotations

import tempfile
from pathlib import Path

from browser import ADMIN, Visit, started
from harness.daemon import REPOSITORY, Daemon

PICTURES = REPOSITORY / "docs" / "pictures"
KEYS = {
    "alice": {"key": "sk-alice-of-the-pictures", "budgets": [{"usd": 2, "per": "day"}]},
    "nightly": {"key": "sk-nightly-of-the-pictures", "budgets": [{"usd": 1.5, "per": "day"}]},
    "support": {"key": "sk-support-of-the-pictures", "limits": [{"requests": 600, "per": "minute"}]},
}
MODELS = ("openai/gpt-4o", "anthropic/claude-sonnet-4.5", "openai/gpt-4o-mini", "google/gemini-2.5-flash")
# file, place, width, colours
DRAWN = (
    ("dashboard-now", "#/now", 1280, "light"),
    ("dashboard-now-dark", "#/now", 1280, "dark"),
    ("dashboard-now-narrow", "#/now", 390, "light"),
    ("dashboard-costs", "#/costs?since=today", 1280, "light"),
    ("dashboard-explore", "#/explore?since=today&metric=tokens", 1280, "light"),
    ("dashboard-explore-dark", "#/explore?since=today&metric=tokens", 1280, "dark"),
    ("dashboard-routing", "#/routing", 1280, "light"),
    ("dashboard-routing-narrow", "#/routing", 390, "light"),
    ("dashboard-calls", "#/calls", 1280, "light"),
    ("dashboard-call", "#/calls/{call}", 1280, "light"),
)


def traffic(daemon: Daemon) -> str:
    """Calls of every kind; the id of the last that went well."""
    found = ""
    for number in range(120):
        name = list(KEYS)[number % 3]
        words = "word " * (200 + 137 * (number % 11))
        headers = [("Authorization", f"Bearer {KEYS[name]['key']}")]
        body = {"messages": [{"role": "user", "content": words}], "stream": number % 2 == 0, "max_tokens": 2000}
        found = daemon.chat(MODELS[number % 4], headers, **body).request_id or found
        if number % 23 == 5:
            daemon.chat("openai/no-such-model", headers)
    return found


def main() -> None:
    """Draw them all."""
    config = {"providers": {"mock": {}}, "admin": ADMIN, "keys": KEYS, "budgets": [{"usd": 40, "per": "month"}]}
    with (
        tempfile.TemporaryDirectory() as folder,
        Daemon(config, Path(folder)) as daemon,
        started() as browser,
    ):
        call = traffic(daemon)
        for file, place, width, scheme in DRAWN:
            visit = Visit(browser, daemon)
            page = visit.open(place.format(call=call), width, scheme)
            page.locator("table, .chart").first.wait_for()
            page.wait_for_timeout(1500)
            page.screenshot(path=PICTURES / f"{file}.png")
            visit.close()


if __name__ == "__main__":
    main()
