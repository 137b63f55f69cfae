"""Every recorded exchange with a real provider, through the real daemon: what the reply says of itself is what we say."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from traffic.judging import Fault, judge, table
from traffic.recorded import exchanges, needs_recordings
from traffic.replay import play

SEED = 20_261_126
KNOWN = Path(__file__).with_name("known.toml")

pytestmark = needs_recordings


@pytest.mark.parametrize("mode", ["open", "budget"])
@pytest.mark.timeout(300)
def test_the_world_and_the_ledger_agree(mode: str, tmp_path: Path) -> None:
    """Bytes, tokens, cost and outcome, in random cuts, three calls at a time. What no key with a budget may call at
    all (the APIs that are nobody's here) is played in open mode only."""
    chosen = [e for e in exchanges() if e.skipped is None and (mode == "open" or e.endpoint is not None)]
    judged = [judge(one) for one in play(chosen, tmp_path, with_key=mode == "budget", seed=SEED)]
    print(table(judged))
    rows = tomllib.loads(KNOWN.read_text()).get("row", [])
    rows = [row for row in rows if row.get("mode", mode) == mode]
    faults = [fault for one in judged for fault in one.faults]
    unknown = [fault for fault in faults if not any(_fits(row, fault) for row in rows)]
    healed = [row for row in rows if not any(_fits(row, fault) for fault in faults)]
    assert not unknown, f"{len(unknown)} faults:\n" + "\n".join(_told(fault) for fault in unknown[:50])
    assert not healed, f"known faults that are none any more: {healed}"


def test_every_exchange_is_played_or_skipped_for_a_reason() -> None:
    """Nothing falls out unnoticed: what is skipped is what no API of models answers."""
    all_of_them = list(exchanges())
    skipped = [exchange for exchange in all_of_them if exchange.skipped]
    assert len({exchange.id for exchange in all_of_them}) == len(all_of_them)
    assert len(skipped) < len(all_of_them) / 50, {exchange.host for exchange in skipped}


def _fits(row: dict[str, Any], fault: Fault) -> bool:
    exchange = fault.exchange
    found = {
        "entry": exchange.entry or exchange.host,
        "shape": exchange.shape,
        "model": exchange.model or "",
        "id": exchange.id,
    }
    return fault.check in row["checks"] and all(fnmatchcase(found[n], row[n]) for n in found if n in row)


def _told(fault: Fault) -> str:
    exchange = fault.exchange
    return f"{fault.check} {exchange.entry or exchange.host} {exchange.model} {exchange.id}: {fault.detail}"
