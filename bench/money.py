"""What keeping money costs: a hold with its settlement and both journal records, rows into the ledger, start, `usage`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC
from pathlib import Path

from proxy.exchange.bookkeeping import Bookkeeping
from proxy.policy.money.budgets import GLOBAL, Budget, key_scope
from proxy.policy.values import Listen, MoneySettings, Settings
from proxy.stores.queries import Files
from proxy.stores.records import Hold, Row, Settled
from proxy.stores.usage import UsageQuestion

HOLD_PUSD = 30_000_000_000
COST_PUSD = 12_000_000_000
KEYS, MODELS = 20, 50
DAYS = 30  # the calls lie so far apart that they fill them


def settings(state_dir: str) -> Settings:
    """Two budgets a call: the key's and everybody's."""
    budgets = [Budget(f"key:k{n}:day", key_scope(f"k{n}"), "day", 10**18, UTC) for n in range(KEYS)]
    everybody = Budget("global:month", GLOBAL, "month", 10**18, UTC)
    return Settings(Listen(), Listen(), state_dir, {}, money=MoneySettings(budgets=(*budgets, everybody)))


def hold_and_settle(books: Bookkeeping, number: int, at_ms: int) -> None:
    """One call's share of the books, as the way through takes it."""
    key, model, identity = f"k{number % KEYS}", f"author/model-{number % MODELS}", f"req_{number}.1"
    now, scopes = at_ms / 1000, (key_scope(key), GLOBAL)
    books.books.judge(scopes, key, HOLD_PUSD, now)
    charges = books.books.take(identity, scopes, key, HOLD_PUSD, now)
    names = (f"req_{number}", 1, key, "chat/completions", model, model, "openrouter", model)
    books.journal.append(Hold(identity, at_ms, *names, stream=False, amount_pusd=HOLD_PUSD, charges=charges))
    books.books.settle(identity, COST_PUSD)
    row = Row(
        identity, names[0], 1, at_ms, *names[2:], status=200, outcome="200", input_tokens=900, output_tokens=120,
        cost_pusd=COST_PUSD, hold_pusd=HOLD_PUSD, source="reported",
    )  # fmt: skip
    books.journal.append(Settled(row, charges))


def run(rows: int) -> None:
    """Print one line a figure."""
    with tempfile.TemporaryDirectory(prefix="bench-money-") as folder:
        books = Bookkeeping(settings(folder), lambda event, reason: print(event, reason, file=sys.stderr))
        began, span_ms = time.process_time(), DAYS * 86_400_000
        first_ms = int(time.time() * 1000) - span_ms
        wall = time.perf_counter()
        for number in range(rows):
            hold_and_settle(books, number, first_ms + number * span_ms // rows)
            if number % 50_000 == 49_999:
                books.writer.flush(600)
        books.writer.flush(600)
        drained = time.perf_counter() - wall
        print(f"hold + settle + journal + ledger: {(time.process_time() - began) / rows * 1e6:.1f} µs CPU a call")
        print(f"through journal and ledger: {rows / drained:,.0f} calls/s")
        books.close(60)
        wall = time.perf_counter()
        books = Bookkeeping(settings(folder), lambda event, reason: print(event, reason, file=sys.stderr))
        print(f"start with {rows:,} rows: {time.perf_counter() - wall:.3f} s")
        books.close(60)
        wall = time.perf_counter()
        report = Files(Path(folder)).usage(UsageQuestion("model", UTC, None, None))
        print(f"usage by model over {rows:,} calls ({len(report.rows)} models): {time.perf_counter() - wall:.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.money", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    run(parser.parse_args().rows)
