"""The table: medians over the rounds, ratios taken within each round, and what is asked of the daemon."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from bench.contenders import US
from bench.measure import Results


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


SCALE = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "MB": 1e6, "KiB": 1024.0, "": 1.0}
_DIGITS = {"µs": 1, "ms": 2, "s": 2, "MB": 1, "KiB": 1, "": 0}
_P50 = Limit(0.4e-3, "nginx"), Limit(0.2e-3, "nginx")
_P99 = Limit(1.5e-3, "nginx"), Limit(0.5e-3, "nginx")
_OVER_TLS = Limit(1.2, "Caddy", ratio=True), Limit(0.8, "Caddy", ratio=True)

ROWS = (
    Row("CPU per small call", "call cpu", "µs", Limit(1.0, "Caddy", ratio=True), Limit(0.7, "Caddy", ratio=True)),
    Row("CPU per turn of an agent, 15 KB, with a trace and a user of its own", "agent cpu", "µs"),
    Row("CPU per turn of an agent late in its session, 460 KB", "late agent cpu", "µs"),
    Row("CPU per small call over a connection of its own", "alone cpu", "µs"),
    Row("CPU per streamed event", "event cpu", "µs", Limit(1.1, "Caddy", ratio=True), Limit(1.4, "nginx", ratio=True)),
    Row("CPU per small call, TLS to the upstream", "tls call cpu", "µs", *_OVER_TLS),
    Row("CPU per streamed event, TLS to the upstream", "tls event cpu", "µs", *_OVER_TLS),
    Row("added to the first byte, p50", "first byte p50", "ms", *_P50),
    Row("added to the first byte, p99", "first byte p99", "ms", *_P99),
    Row("added to the first event, p50", "first event p50", "ms", *_P50),
    Row("added to the first event, p99", "first event p99", "ms", *_P99),
    Row("idle memory, RSS", "idle rss", "MB", Limit(70e6), Limit(50e6)),
    Row("idle memory, PSS", "idle pss", "MB"),
    Row("memory per open stream", "stream memory", "KiB", Limit(16 * 1024), Limit(8 * 1024)),
    Row("start to the first answer", "cold start", "s", Limit(0.5), Limit(0.3)),
    Row("CPU per 4 MB request", "image cpu", "ms", Limit(4e-3, "nginx"), Limit(1.5e-3, "nginx")),
    Row("small calls a second of processor time", "calls a second", ""),
)


def table(results: Results) -> str:
    """The table in Markdown: medians, in brackets the least."""
    names = list(results)
    lines = [
        "| what | " + " | ".join(names) + " | beside nginx | beside Caddy | must | aim |",
        "|---|" + "--:|" * (len(names) + 2) + "---|---|",
    ]
    for row in ROWS:
        cells = [row.label + (f", {row.unit}" if row.unit else "")]
        cells += [shown(results[name][row.metric], row.unit) for name in names]
        cells += [_compared(results, row, other) for other in ("nginx", "Caddy")]
        cells += [_judged(results, row, row.must), _judged(results, row, row.aim)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def in_short(results: Results) -> str:
    """What the table means to a user, in one line."""
    ours = {metric: median(values) for metric, values in results[US].items()}
    return (
        f"{1 / ours['call cpu']:,.0f} small calls or {1 / ours['event cpu']:,.0f} events a second on one core; "
        f"{ours['first byte p50'] * 1e3:.2f} ms added to the first byte, {ours['first byte p99'] * 1e3:.2f} ms to one in "
        f"a hundred; {ours['idle rss'] / 1e6:.0f} MB idle and {ours['stream memory'] / 1024:.0f} KiB for each open stream; "
        f"{ours['cold start']:.2f} s from start to first answer."
    )


def disturbance(results: Results) -> float:
    """The largest share of the proxies' core that somebody else used while one was measured."""
    return max(value for measured in results.values() for value in measured["others"])


def shown(values: list[float], unit: str) -> str:
    """The median in its unit; in brackets the least, where there are several."""
    scale, digits = SCALE[unit], _DIGITS[unit]
    texts = [f"{number:,.{digits}f}" for number in (median(values) / scale, min(values) / scale)]
    return texts[0] if len(values) == 1 else f"{texts[0]} ({texts[1]})"


def _beside(results: Results, metric: str, limit: Limit) -> float:
    """Our number as the limit sees it; beside another proxy's, the median over the rounds."""
    ours = results[US][metric]
    if limit.beside is None:
        return median(ours)
    pairs = list(zip(ours, results[limit.beside][metric], strict=True))
    return median(mine / other if limit.ratio else mine - other for mine, other in pairs)


def _compared(results: Results, row: Row, other: str) -> str:
    """The multiple; where so much more is allowed than another takes, how much more it is."""
    over = row.must is not None and row.must.beside is not None and not row.must.ratio
    value = _beside(results, row.metric, Limit(0, other, ratio=not over))
    return f"{value / SCALE[row.unit]:+.2f} {row.unit}" if over else f"{value:.2f} ×"


def _judged(results: Results, row: Row, limit: Limit | None) -> str:
    if limit is None:
        return ""
    value = _beside(results, row.metric, limit)
    if limit.ratio:
        text = f"≤ {limit.value:g} × {limit.beside}"
    else:
        text = f"≤ {limit.value / SCALE[row.unit]:g} {row.unit}" + (f" over {limit.beside}" if limit.beside else "")
    return f"{text}: {'met' if value <= limit.value else '**not met**'}"
