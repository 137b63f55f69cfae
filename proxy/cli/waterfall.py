"""Where the time of a call went, drawn: a line for each stretch, its bar where it stood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MOST_CELLS = 100
_LEAST_CELLS = 8
_OF_THE_CALL = ("waiting", "ours")


def waterfall_lines(spans: Sequence[dict[str, Any]], width: int) -> list[str]:
    """One line for each span, as `show --json` has them, at most `width` cells wide. With several attempts, what happened
    at a provider has the number of its attempt."""
    attempts = {span["attempt"] for span in spans}
    labels = [_label(span, is_numbered=len(attempts) > 1) for span in spans]
    durations = [f"{span['duration_ms']:,} ms" for span in spans]
    label_cells, duration_cells = max(map(len, labels)), max(map(len, durations))
    total_ms = spans[-1]["start_ms"] + spans[-1]["duration_ms"]
    cells = max(_LEAST_CELLS, min(_MOST_CELLS, width - label_cells - duration_cells - 6))
    return [
        f"  {label:{label_cells}}  {duration:>{duration_cells}}  {_bar(span, total_ms, cells)}".rstrip()
        for label, duration, span in zip(labels, durations, spans, strict=True)
    ]


def _label(span: dict[str, Any], *, is_numbered: bool) -> str:
    what = str(span["what"]).replace("_", " ")
    return f"{span['attempt']}: {what}" if is_numbered and what not in _OF_THE_CALL else what


def _bar(span: dict[str, Any], total_ms: int, cells: int) -> str:
    """What took any time has a cell at least."""
    if not span["duration_ms"]:
        return ""
    start: int = min(cells - 1, span["start_ms"] * cells // total_ms)
    end: int = (span["start_ms"] + span["duration_ms"]) * cells // total_ms
    return " " * start + "█" * max(1, end - start)
