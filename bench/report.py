"""The table: medians over the rounds, ratios taken within each round, and the limits of design section 10."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from bench.contenders import NAMES
from bench.measure import Measured

Results = dict[str, Measured]


class Row(NamedTuple):
    """One line: a metric, its unit, and what is asked of the daemon against `beside` (None: by itself)."""

    label: str
    metric: str
    unit: str
    must: float | None = None
    aim: float | None = None
    beside: str | None = None
    ratio: bool = False


_SCALE = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "MB": 1e6, "KiB": 1024.0, "/s": 1.0, "": 1.0}
_DIGITS = {"µs": 1, "ms": 3, "s": 3, "MB": 1, "KiB": 1, "/s": 0, "": 2}

ROWS = (
    Row("CPU per small call", "call cpu", "µs", 1.5, 1.0, "Caddy", ratio=True),
    Row("CPU per streamed event", "event cpu", "µs", 1.1, None, "Caddy", ratio=True),
    Row("CPU per streamed event", "event cpu", "µs", None, 1.5, "nginx", ratio=True),
    Row("CPU per 4 MB request", "image cpu", "ms", 8e-3, 3e-3, "nginx"),
    Row("added to the first byte, p50", "first byte p50", "ms", 0.4e-3, 0.2e-3, "nginx"),
    Row("added to the first byte, p99", "first byte p99", "ms", 2e-3, 1e-3, "nginx"),
    Row("added to the first event, p50", "first event p50", "ms", 0.4e-3, 0.2e-3, "nginx"),
    Row("added to the first event, p99", "first event p99", "ms", 2e-3, 1e-3, "nginx"),
    Row("cold start to the first answer", "cold start", "s", 0.8, 0.5),
    Row("idle memory (RSS)", "idle rss", "MB", 85e6, 70e6),
    Row("idle memory (PSS)", "idle pss", "MB"),
    Row("memory per open stream", "stream memory", "KiB", 30 * 1024, 20 * 1024),
    Row("small calls a second, one core", "calls a second", "/s"),
    Row("events in one read of the client", "events a read", ""),
)


def table(results: Results) -> str:
    """The table in Markdown."""
    lines = [
        "| what | " + " | ".join(NAMES) + " | × nginx | × Caddy | must | aim |",
        "|---|" + "--:|" * (len(NAMES) + 2) + "---|---|",
    ]
    seen: set[str] = set()
    for row in ROWS:
        repeated = row.metric in seen
        seen.add(row.metric)
        cells = [row.label, *("" if repeated else _shown(results[name][row.metric], row.unit) for name in NAMES)]
        cells += ["" if repeated else _times(results, row, other) for other in ("nginx", "Caddy")]
        cells += [_judged(results, row, row.must), _judged(results, row, row.aim)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def disturbance(results: Results) -> float:
    """The largest share of the proxies' core that somebody else used while small calls were counted."""
    return max(value for name in NAMES for value in results[name]["others"])


def _shown(values: list[float], unit: str) -> str:
    """The median, and the least where it differs."""
    scale, digits = _SCALE[unit], _DIGITS[unit]
    middle, least = f"{median(values) / scale:.{digits}f}", f"{min(values) / scale:.{digits}f}"
    return middle if middle == least else f"{middle} ({least})"


def _times(results: Results, row: Row, other: str) -> str:
    values = _by_round(results, row.metric, other, lambda ours, theirs: ours / theirs if theirs > 0 else float("inf"))
    return f"{median(values):.2f}"


def _by_round(results: Results, metric: str, other: str, combine: Callable[[float, float], float]) -> list[float]:
    """Ours beside another's of the same round."""
    pairs = zip(results["Tollkeeper"][metric], results[other][metric], strict=True)
    return [combine(ours, theirs) for ours, theirs in pairs]


def _judged(results: Results, row: Row, limit: float | None) -> str:
    if limit is None:
        return ""
    value = _compared(results, row)
    if row.ratio:
        text = f"≤ {limit:g} × {row.beside}"
    else:
        scale = _SCALE[row.unit]
        text = f"≤ {limit / scale:g} {row.unit}" + (f" over {row.beside}" if row.beside else "")
    return f"{text}: {'met' if value <= limit else '**not met**'}"


def _compared(results: Results, row: Row) -> float:
    """The number the limit is about."""
    if row.beside is None:
        return median(results["Tollkeeper"][row.metric])
    if row.ratio:
        return median(_by_round(results, row.metric, row.beside, lambda ours, theirs: ours / theirs))
    return median(_by_round(results, row.metric, row.beside, lambda ours, theirs: ours - theirs))
