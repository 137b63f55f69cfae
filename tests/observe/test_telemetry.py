"""What the metrics are told of attempts: where many end at once it is summed up first, and counted when somebody looks."""

from __future__ import annotations

import asyncio
from pathlib import Path

from metrics_samples import samples

from proxy.config.load import load
from proxy.exchange.bookkeeping import Bookkeeping
from proxy.stores.records import Row
from proxy.telemetry import Telemetry

MANY, ROUNDS = 300, 3
CONFIG = """\
state_dir: {folder}
providers: {{openrouter: {{kind: openrouter, api_key: sk-or-1}}}}
catalogue: {{refresh: never}}
keys: {{a: {{key: tk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}, b: {{key: tk-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb}}}}
"""


def paid(number: int) -> Row:
    return Row(
        f"r{number}.1", f"r{number}", 1, 1_700_000_000_000, "ab"[number % 2], "chat/completions", "m", "m", "openrouter",
        input_tokens=10, output_tokens=number % 2, cached_input_tokens=3, cost_pusd=10**9, source="reported",
    )  # fmt: skip


async def page_after(folder: Path) -> dict[str, float]:
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder))
    settings = load(folder / "config.yaml", {}).settings
    books = Bookkeeping(settings, print)
    told = Telemetry(settings, books, {"m"}.__contains__)
    try:
        for _ in range(ROUNDS):
            told.settled.extend((paid(number), (), 0) for number in range(MANY))
            told.catch_up()
        found = samples((await told.page.get(""))[0].decode())
    finally:
        told.close()
        books.close(5)
    names = "tollkeeper_cost_usd_total", "tollkeeper_tokens_total"
    return {
        f"{dict(of)['key']} {dict(of).get('type', 'usd')}": value
        for (name, of), value in found.items()
        if name in names
    }


def test_a_page_has_all_that_was_told_however_much_at_once(tmp_path: Path) -> None:
    each = MANY * ROUNDS / 2
    costs = {f"{key} usd": each / 1000 for key in "ab"}
    tokens = {f"{key} {kind}": each * of for key in "ab" for kind, of in (("input", 10), ("cached_input", 3))}
    assert asyncio.run(page_after(tmp_path)) == {**costs, **tokens, "b output": each}
