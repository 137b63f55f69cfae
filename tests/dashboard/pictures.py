"""Draws the pictures of the dashboard in docs/pictures: `make examples` runs it. A daemon before
the mock, and a month of traffic."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from browser import ADMIN, Visit, started
from harness.daemon import REPOSITORY, Daemon, chat_body
from harness.mock import Mock

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = REPOSITORY / "docs" / "pictures"
KEYS: dict[str, dict[str, Any]] = {
    "alice": {"key": "sk-alice-of-the-pictures", "budgets": [{"usd": 2, "per": "day"}]},
    "nightly": {"key": "sk-nightly-of-the-pictures", "budgets": [{"usd": 1.5, "per": "day"}]},
    "support": {"key": "sk-support-of-the-pictures", "tenant": "acme", "limits": [{"requests": 600, "per": "minute"}]},
}
CONFIG = {
    "admin": ADMIN,
    "keys": KEYS,
    "tenants": {
        "acme": {"budgets": [{"usd": 25, "per": "month"}]},
        "globex": {"models": ["openai/*"], "privacy": {"zdr": True}},
    },
    "models": {"smart": {"target": "openai/gpt-4o", "fallbacks": ["anthropic/claude-sonnet-4.5"]}},
    "budgets": [{"usd": 40, "per": "month"}],
    "alert_rules": {
        "dear-hour": {"metric": "cost_usd", "above": 5},
        "failing-provider": {"metric": "error_ratio", "above": "5%", "each": "provider"},
        "slow-start": {"metric": "first_token_ms_p95", "above": 2000, "each": "model"},
    },
    "shutdown": {"drain": 1},
}
MODELS = ("openai/gpt-4o", "anthropic/claude-sonnet-4.5", "openai/gpt-4o-mini", "google/gemini-2.5-flash")
DAYS = 30


class Drawn(NamedTuple):
    """A file, the place it shows, how, and what is done there before."""

    file: str
    place: str
    width: int = 1280
    scheme: str = "light"
    height: int = 900
    act: Callable[[Page], None] | None = None


def played(page: Page) -> None:
    """Two models have answered."""
    page.get_by_label("Prompt").fill("Name three rivers of Europe, the longest first.")
    page.get_by_label("Client key").fill(KEYS["alice"]["key"])
    page.get_by_role("button", name="Ask them").click()
    page.get_by_role("link", name="The call").nth(1).wait_for()


def compared(page: Page) -> None:
    """Three models beside each other."""
    for name in ("openai/gpt-5", "openai/gpt-5-mini", "openai/gpt-5-nano"):
        page.get_by_label(f"Choose {name}", exact=True).check()
    page.get_by_role("button", name="Compare").click()


DRAWN = (
    Drawn("dashboard-now", "#/now"),
    Drawn("dashboard-now-dark", "#/now", scheme="dark"),
    Drawn("dashboard-now-narrow", "#/now", width=390),
    Drawn("dashboard-costs", "#/costs?since=30d", height=1760),
    Drawn("dashboard-explore", "#/explore?since=30d&metric=tokens"),
    Drawn("dashboard-explore-dark", "#/explore?since=30d&metric=tokens", scheme="dark"),
    Drawn("dashboard-routing", "#/routing"),
    Drawn("dashboard-routing-narrow", "#/routing", width=390),
    Drawn("dashboard-calls", "#/calls"),
    Drawn("dashboard-call", "#/calls/{call}"),
    Drawn("dashboard-models", "#/models?query=openai%2Fgpt-5", act=compared),
    Drawn("dashboard-tenants", "#/tenants", height=520),
    Drawn("dashboard-playground", "#/playground?a=openai%2Fgpt-4o&b=anthropic%2Fclaude-sonnet-4.5", act=played),
    Drawn("dashboard-jobs", "#/jobs", height=520),
    Drawn("dashboard-alerts", "#/alerts", height=700),
)


def headers_of(name: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {KEYS[name]['key']}")]


def traffic(daemon: Daemon, calls: int) -> str:
    """Calls of every kind; the id of the last that went well."""
    found = ""
    for number in range(calls):
        headers = headers_of(list(KEYS)[number % 3])
        words = "word " * (200 + 137 * (number % 11))
        body = {"messages": [{"role": "user", "content": words}], "stream": number % 2 == 0, "max_tokens": 2000}
        found = daemon.chat(MODELS[number % 4], headers, **body).request_id or found
        if number % 23 == 5:
            daemon.chat("openai/no-such-model", headers)
    return found


def deferred(daemon: Daemon) -> None:
    """Jobs: one that is done, one that failed, one under way."""
    for model in (MODELS[0], "mock/error?status=400", "mock/hang"):
        daemon.post("/v1/chat/completions", chat_body(model), [("Prefer", "respond-async"), *headers_of("nightly")])


def aged(folder: Path) -> None:
    """The calls there are, and fewer or more of them on each of the days before; the daemon adds them up when it starts."""
    with closing(sqlite3.connect(folder / "state" / "ledger.db")) as database, database:
        changed = {
            "seq": "row_number() OVER (ORDER BY day DESC, seq)",
            "id": "printf('%d-%s', day, id)",
            "request_id": "printf('%d-%s', day, request_id)",
            "at_ms": "at_ms - 86400000 * day",
        }
        names = [str(row[1]) for row in database.execute("PRAGMA table_info(attempts)")]
        columns, values = ", ".join(f'"{name}"' for name in names), [changed.get(name, f'"{name}"') for name in names]
        database.execute("UPDATE attempts SET seq = seq + 1000000")
        database.execute(
            f"WITH RECURSIVE days(day) AS (SELECT 1 UNION ALL SELECT day + 1 FROM days WHERE day < {DAYS}) "  # noqa: S608
            f"INSERT INTO attempts ({columns}) SELECT {', '.join(values)} FROM attempts CROSS JOIN days "
            "WHERE (seq * 7 + day * 13) % 10 < CASE WHEN day % 7 IN (5, 6) THEN 3 ELSE 6 + day % 4 END"
        )
        for table in ("minutes", "hours", "days"):
            database.execute(f"DELETE FROM rollup_{table}")  # noqa: S608
        first = "(SELECT min(at_ms) / 60000 FROM attempts)"
        database.execute(
            f"UPDATE rollup_state SET folded = {first}, filled_seq = 0, "  # noqa: S608
            "fill_until_seq = (SELECT max(seq) FROM attempts), summed_seq = (SELECT max(seq) FROM attempts)"
        )


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory() as name, Mock() as mock, started() as browser:
        folder, config = Path(name), {**CONFIG, "providers": {"openrouter": mock.provider(), "mock": {}}}
        with Daemon(config, folder) as daemon:
            traffic(daemon, 120)
            assert daemon.stop() == 0, daemon.output
        aged(folder)
        with Daemon(config, folder) as daemon:
            call = traffic(daemon, 40)
            deferred(daemon)
            for drawn in DRAWN:
                visit = Visit(browser, daemon)
                page = visit.open(drawn.place.format(call=call), drawn.width, drawn.scheme)
                page.set_viewport_size({"width": drawn.width, "height": drawn.height})
                page.locator("main .card, main form").first.wait_for()
                page.wait_for_timeout(1500)
                page.locator("main .wait").first.wait_for(state="detached")
                if drawn.act is not None:
                    drawn.act(page)
                page.screenshot(path=PICTURES / f"{drawn.file}.png")
                visit.close()


if __name__ == "__main__":
    main()
