"""The table: medians over the rounds, ratios taken within each round, and the limits of design section 10."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from bench.contenders import NAMES
from bench.measure import Measured

Results = dict[str, Measured]


class Limit(NamedTuple):
    """What is asked of the daemon: a number, a multiple of another proxy's, or so much more than it."""

    value: float
    beside: str | None = None
    ratio: bool = False


class Row(NamedTuple):
    """One line of the table."""

    label: str
    metric: str
    unit: str
    must: Limit | None = None
    aim: Limit | None = None


_SCALE = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "MB": 1e6, "KiB": 1024.0, "": 1.0}
_DIGITS = {"µs": 1, "ms": 2, "s": 2, "MB": 1, "KiB": 1, "": 2}
_P50 = Limit(0.4e-3, "nginx"), Limit(0.2e-3, "nginx")
_P99 = Limit(2e-3, "nginx"), Limit(1e-3, "nginx")

ROWS = (
    Row("CPU per small call", "call cpu", "µs", Limit(1.5, "Caddy", ratio=True), Limit(1.0, "Caddy", ratio=True)),
    Row("CPU per streamed event", "event cpu", "µs", Limit(1.1, "Caddy", ratio=True), Limit(1.5, "nginx", ratio=True)),
    Row("CPU per 4 MB request", "image cpu", "ms", Limit(8e-3, "nginx"), Limit(3e-3, "nginx")),
    Row("added to the first byte, p50", "first byte p50", "ms", *_P50),
    Row("added to the first byte, p99", "first byte p99", "ms", *_P99),
    Row("added to the first event, p50", "first event p50", "ms", *_P50),
    Row("added to the first event, p99", "first event p99", "ms", *_P99),
    Row("cold start to the first answer", "cold start", "s", Limit(0.8), Limit(0.5)),
    Row("idle memory, RSS", "idle rss", "MB", Limit(85e6), Limit(70e6)),
    Row("idle memory, PSS", "idle pss", "MB"),
    Row("memory per open stream", "stream memory", "KiB", Limit(30 * 1024), Limit(20 * 1024)),
    Row("small calls a second on one core", "calls a second", ""),
)


def table(results: Results) -> str:
    """The table in Markdown: medians, in brackets the least."""
    lines = [
        "| what | " + " | ".join(NAMES) + " | × nginx | × Caddy | must | aim |",
        "|---|" + "--:|" * (len(NAMES) + 2) + "---|---|",
    ]
    for row in ROWS:
        cells = [row.label + (f", {row.unit}" if row.unit else "")]
        cells += [_shown(results[name][row.metric], row.unit) for name in NAMES]
        cells += [f"{_beside(results, row.metric, Limit(0, other, ratio=True)):.2f}" for other in ("nginx", "Caddy")]
        cells += [_judged(results, row, row.must), _judged(results, row, row.aim)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def disturbance(results: Results) -> float:
    """The largest share of the proxies' core that somebody else used while small calls were counted."""
    return max(value for name in NAMES for value in results[name]["others"])


def _shown(values: list[float], unit: str) -> str:
    scale = _SCALE[unit]
    middle = median(values) / scale
    digits = 0 if middle >= 1000 else _DIGITS[unit]
    texts = [f"{number:.{digits}f}" for number in (middle, min(values) / scale)]
    return texts[0] if len(values) == 1 else f"{texts[0]} ({texts[1]})"


def _beside(results: Results, metric: str, limit: Limit) -> float:
    """Our number as the limit sees it; beside another proxy's, the median over the rounds."""
    ours = results["Tollkeeper"][metric]
    if limit.beside is None:
        return median(ours)
    pairs = list(zip(ours, results[limit.beside][metric], strict=True))
    return median(mine / other if limit.ratio else mine - other for mine, other in pairs)


def _judged(results: Results, row: Row, limit: Limit | None) -> str:
    if limit is None:
        return ""
    value = _beside(results, row.metric, limit)
    if limit.ratio:
        text = f"≤ {limit.value:g} × {limit.beside}"
    else:
        text = f"≤ {limit.value / _SCALE[row.unit]:g} {row.unit}" + (f" over {limit.beside}" if limit.beside else "")
    return f"{text}: {'met' if value <= limit.value else '**not met**'}"
