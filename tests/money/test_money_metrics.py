"""The metrics of money say what the ledger says, attempt by attempt, also of what a crash left behind."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from harness.daemon import Daemon
from harness.http import Connection, request_bytes
from harness.mock import Mock
from money_books import KEY, USD, Books, StartToll, ask, eventually, priced, settled, toll_config
from prometheus_client.parser import text_string_to_metric_families

CAP = {"usd": 10, "per": "total"}
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cached_input": "cached_input_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
}


def scraped(daemon: Daemon, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """The samples of one metric by some of its labels, zeros left out."""
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes("GET", "/metrics", (), None, f"127.0.0.1:{daemon.admin_port}"))
        page = connection.read_reply("GET").body.decode()
    found = Counter[tuple[str, ...]]()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and sample.value:
                found[tuple(sample.labels[label] for label in labels)] += sample.value  # type: ignore[assignment]
    return found


def agrees(daemon: Daemon, books: Books) -> None:
    """Cost by provider, model, key and source, and tokens by type, as the rows have them."""
    cost, tokens = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for row in books.rows.values():
        if row.source != "none":
            cost[row.provider, row.model, row.key, row.source] += row.cost_pusd
            for kind, field in TOKENS.items():
                tokens[kind,] += getattr(row, field)
    told = scraped(daemon, "tollkeeper_cost_usd_total", "provider", "model", "key", "source")
    assert {whose: round(usd * USD) for whose, usd in told.items()} == +cost
    assert scraped(daemon, "tollkeeper_tokens_total", "type") == +tokens


def test_costs_and_tokens_of_every_attempt_are_those_of_the_ledger(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(
        alice={"budgets": [CAP]},
        providers={"openrouter": mock.provider(), "first": mock.provider("mock"), "own": mock.provider("openai")},
        models={
            "m": priced("openrouter/mock/echo?cost=0.03"),
            "n": priced("first/error?status=503&times=1&cost=0.01"),
            "o": {"target": "own/slow?ttft=0.05&interval=0.05&tokens=40", "price": {"input": 1, "output": 2}},
        },
        retries={"attempts": 2, "first_wait": 0.01},
    )
    for stream in (False, True):
        assert daemon.post("/v1/chat/completions", ask("m", stream=stream)).status == 200
        assert daemon.post("/v1/chat/completions", ask("n", stream=stream)).status == 200
    with daemon.open_chat("o", stream=True, max_tokens=100) as connection:
        connection.read_head()
        connection.leave()
    books = eventually(daemon, lambda books: len(books.rows) == 6 and not books.held)
    assert set(books.sources) == {"reported", "counted", "none"}
    agrees(daemon, books)
    budget = scraped(daemon, "tollkeeper_budget_spent_usd", "budget", "per")
    assert {name: round(usd * USD) for name, usd in budget.items()} == {
        ("key:alice:total", "total"): int(books.cost * USD)
    }


def test_what_a_crash_left_behind_is_counted_by_the_daemon_that_settles_it(mock: Mock, tmp_path: Path) -> None:
    slow = "ttft=0.1&interval=0.1&tokens=200&cost=0.02&misses=0"
    config = toll_config(
        mock,
        {"budgets": [CAP]},
        models={"m": priced(f"openrouter/mock/slow?{slow}"), "n": priced("openrouter/mock/slow?ttft=30")},
    )
    with Daemon(config, tmp_path, key=KEY) as daemon:
        begun, waiting = daemon.open_chat("m", stream=True, max_tokens=100), daemon.open_chat("n", max_tokens=100)
        with begun, waiting:
            begun.read_head()
            while len(mock.bill()) < 2:
                continue
            os.kill(daemon.pid, signal.SIGKILL)
    with Daemon(config, tmp_path, key=KEY) as daemon:
        books = settled(daemon)
        assert books.sources == {"looked_up": 1, "interrupted": 1}
        agrees(daemon, books)
        assert daemon.stop() == 0
