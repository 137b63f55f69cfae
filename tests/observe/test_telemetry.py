"""What the metrics are told of attempts: where many end at once it is summed up first, and counted when somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from metrics_samples import Samples, samples

from proxy.config.load import load
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.entry import Tried
from proxy.exchange.record import Record
from proxy.policy.values import Target
from proxy.stores.journal.records import Row
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


def over(number: int, model: str) -> Record:
    """Of a kind that each model has; it took a second, and ours was half of that."""
    return Record(
        f"r{number}", 100.0, upstream_seconds=0.5, phase="done", endpoint="chat/completions", key="ab"[number % 2],
        model=model, label=model, target=Target("openrouter", model), tried=[Tried("openrouter", model, "200")], calls=1, status=200,
    )  # fmt: skip


async def samples_after(folder: Path, end: Callable[[Telemetry], object]) -> Samples:
    """The page's, once so many rounds were told."""
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder))
    settings = load(folder / "config.yaml", {}).settings
    books = Bookkeeping(settings, print)
    told = Telemetry(settings, books, lambda name: name.startswith("m"))
    try:
        for _ in range(ROUNDS):
            end(told)
            told.catch_up()
        return samples((await told.page.get(""))[0].decode())
    finally:
        told.close()
        books.close(5)


async def page_after(folder: Path) -> dict[str, float]:
    found = await samples_after(
        folder, lambda told: told.settled.extend((paid(number), (), 0) for number in range(MANY))
    )
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


@pytest.mark.parametrize("models", [1, 10, MANY], ids=["one model", "ten", "each its own"])
def test_a_page_has_every_call_however_many_models_were_called_in_turn(tmp_path: Path, models: int) -> None:
    def end(told: Telemetry) -> None:
        told.settled.append((paid(0), (), 0))  # more is to come
        told.finished.extend((over(number, f"m{number % models}"), 101.0) for number in range(MANY))

    found = asyncio.run(samples_after(tmp_path, end))

    def of(name: str, label: str) -> dict[str, float]:
        return {dict(labels)[label]: value for (sample, labels), value in found.items() if sample == name}

    each = {f"m{number}": MANY * ROUNDS / models for number in range(models)}
    assert of("tollkeeper_request_duration_seconds_count", "model") == each
    assert of("tollkeeper_request_duration_seconds_sum", "model") == each
    assert of("tollkeeper_overhead_seconds_sum", "endpoint") == {"chat/completions": MANY * ROUNDS / 2}
    assert of("tollkeeper_upstream_attempts_total", "outcome")["200"] == MANY * ROUNDS
    requests = [value for (name, _), value in found.items() if name == "tollkeeper_requests_total"]
    assert sum(requests) == MANY * ROUNDS
    assert len(requests) == (2 if models == 1 else models)  # a call of each key, or of its own
