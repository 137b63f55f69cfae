"""Where the time of a past call went, out of its rows."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.stores.journal.records import Row
from proxy.web.operator.calls.waterfall import waterfall


def row(attempt: int = 1, **fields: Any) -> Row:
    """An attempt that began after 4 ms, 3 of them waited, and ended after 100."""
    usual = {"provider": "p", "sent_ms": 4, "waited_ms": 3, "first_byte_ms": 20, "total_ms": 100}
    names = {"key": "alice", "endpoint": "chat/completions", "asked": "m", "model": "m"}
    given: dict[str, Any] = {"id": f"r.{attempt}", "request_id": "r", "attempt": attempt, "at_ms": 0}
    return Row(**{**given, **names, **usual, **fields})


CALLS: list[tuple[str, list[Row], list[tuple[int, str, int, int]]]] = [
    ("read whole", [row()], [(1, "waiting", 0, 3), (1, "ours", 3, 1), (1, "first_byte", 4, 16), (1, "rest", 20, 80)]),
    ("a stream over a new connection", [row(connect_ms=10, first_token_ms=60)],
     [(1, "waiting", 0, 3), (1, "ours", 3, 1), (1, "connect", 4, 10), (1, "first_byte", 14, 6), (1, "first_token", 20, 40), (1, "rest", 60, 40)]),
    ("a second try after a pause", [row(), row(2, waited_ms=53, sent_ms=151, first_byte_ms=170, total_ms=200)],
     [(1, "waiting", 0, 3), (1, "ours", 3, 1), (1, "first_byte", 4, 16), (1, "rest", 20, 80),
      (2, "waiting", 100, 50), (2, "ours", 150, 1), (2, "first_byte", 151, 19), (2, "rest", 170, 30)]),
    ("nobody there", [row(connect_ms=96, first_byte_ms=None)],
     [(1, "waiting", 0, 3), (1, "ours", 3, 1), (1, "connect", 4, 96), (1, "no_reply", 100, 0)]),
    ("no answer in time", [row(first_byte_ms=None)], [(1, "waiting", 0, 3), (1, "ours", 3, 1), (1, "no_reply", 4, 96)]),
    ("refused", [row(0, provider="", sent_ms=None, first_byte_ms=None, total_ms=9)], [(0, "waiting", 0, 3), (0, "ours", 3, 6)]),
    ("rounded", [row(sent_ms=2, first_byte_ms=2, total_ms=2, connect_ms=1)],
     [(1, "waiting", 0, 2), (1, "ours", 2, 0), (1, "connect", 2, 1), (1, "first_byte", 3, 0), (1, "rest", 3, 0)]),
    ("an earlier version's", [row(sent_ms=None, waited_ms=None)], []),
    ("a second that a crash cut off", [row(), row(2, sent_ms=None, waited_ms=None)], []),
    ("nothing", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "spans"), [call[1:] for call in CALLS], ids=[call[0] for call in CALLS])
def test_every_moment_belongs_to_one_stretch(rows: list[Row], spans: list[tuple[int, str, int, int]]) -> None:
    found = waterfall(rows)
    assert [(span.attempt, span.what, span.start_ms, span.duration_ms) for span in found] == spans
    assert all(one.start_ms + one.duration_ms == other.start_ms for one, other in zip(found, found[1:], strict=False))
