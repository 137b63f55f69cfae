"""Records and rows for the tests of the stores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import proxy
from proxy.stores.journal.journal import Journal, JournalRules
from proxy.stores.journal.records import Begun, Charge, Hold, Record, Row, Settled, Voided
from proxy.stores.journal.replay import replay
from proxy.stores.journal.segments import START, Position, Reader

DAY = ("key:alice:day", 1_700_006_400)
MONTH = ("global:month", 1_698_796_800)


def row(request_id: str, attempt: int = 1, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "at_ms": 1_700_000_000_000,
        "key": "alice",
        "endpoint": "chat/completions",
        "asked": "gpt-4o",
        "model": "openai/gpt-4o",
        "provider": "openrouter",
        "status": 200,
        "outcome": "ok",
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_pusd": 30_000_000_000,
        "source": "reported",
    }
    values.update(changes)
    return Row(id=f"{request_id}.{attempt}", request_id=request_id, attempt=attempt, **values)


def settled(request_id: str, attempt: int = 1, charges: tuple[Charge, ...] = (DAY,), **changes: Any) -> Settled:
    return Settled(row(request_id, attempt, **changes), charges)


def voided(request_id: str, attempt: int = 1, **changes: Any) -> Voided:
    return Voided(row(request_id, attempt, **{"cost_pusd": 0, "source": "none", "status": 500, **changes}))


def hold(request_id: str, attempt: int = 1, asked: str = "gpt-4o") -> Hold:
    return Hold(
        id=f"{request_id}.{attempt}",
        at_ms=1_700_000_000_000,
        request_id=request_id,
        attempt=attempt,
        key="alice",
        endpoint="chat/completions",
        asked=asked,
        model="openai/gpt-4o",
        provider="openrouter",
        upstream_model="openai/gpt-4o",
        stream=True,
        amount_pusd=1_000,
        charges=(DAY, MONTH),
    )


def begun(request_id: str, attempt: int = 1) -> Begun:
    return Begun(f"{request_id}.{attempt}", f"gen-{request_id}")


def opened(directory: Path, after: Position = START, **rules: Any) -> Journal:
    return Journal(directory, JournalRules(**rules), replay(directory, after))


def records_in(directory: Path, after: Position = START) -> list[Record]:
    return [record for _, record in Reader(directory, after)]


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that runs `code`; its standard input and output are pipes."""
    env = {**os.environ, "PYTHONPATH": f"{Path(proxy.__file__).parents[1]}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
