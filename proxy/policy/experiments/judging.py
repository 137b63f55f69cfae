"""What evidence comes to: whether an arm passes its guard, and whether one is the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from proxy.policy.experiments.sequential import ALPHA, difference, interval, least_above
from proxy.policy.experiments.sums import Evidence, Tally
from proxy.policy.experiments.values import MORE_IS_BETTER, PARTS, Experiment, Metric

GUARD_ALPHA = 0.01  # how often an arm within its guard may be sent back
LEAST_CALLS = 30  # of each arm, before means are taken for normal

Sign = Literal["fine", "doubtful", "proved"]


class Breach(Struct, frozen=True):
    """An arm is above its guard: it looks so, or it is proved."""

    sign: Sign
    arm: int = 0
    reason: str = ""


FINE = Breach("fine")


def breach_of(experiment: Experiment, evidence: Evidence) -> Breach:
    """The worst there is, by all calls or by the newest."""
    worst = FINE
    for tallies in (evidence.whole, evidence.latest()):
        for found in _passed(experiment, tallies):
            if found.sign == "proved":
                return found
            worst = found
    return worst


def _passed(experiment: Experiment, tallies: Sequence[Tally]) -> Iterator[Breach]:
    guard, first = experiment.guard, tallies[0]
    each = GUARD_ALPHA / (2 * (len(tallies) - 1))
    for place, tally in enumerate(tallies[1:], 1):
        if tally.calls < experiment.min_calls:
            continue
        name = experiment.arms[place].target
        if guard.errors is not None and _too_many(tally, first, guard.errors, 1.0):
            sign: Sign = "proved" if _too_many(tally, first, guard.errors, each) else "doubtful"
            was = f", {first.errors / first.calls:.1%} of the first arm's" if first.calls else ""
            words = f"{tally.errors / tally.calls:.1%} of its {tally.calls} calls failed{was}"
            yield Breach(sign, place, f"{name}: {words}; the guard is {guard.errors:.1%}")
        ratios: tuple[tuple[Metric, float | None, str], ...] = (
            ("cost", guard.cost_ratio, "costs"),
            ("first_token", guard.first_token_ratio, "takes to its first token"),
        )
        for metric, ratio, what in ratios:
            if ratio is not None:
                yield from _dearer(place, name, (tally, first), metric, (ratio, what, each))


def _too_many(tally: Tally, first: Tally, most: float, alpha: float) -> bool:
    """Whether more calls fail than may, and more than the first arm's: where all fail alike nobody is better off there."""
    own, other = tally.of("errors"), first.of("errors")
    if alpha == 1.0:
        return own.mean > most and (not other.n or own.mean > other.mean)
    is_above = least_above(own, most, "errors", alpha) > 0
    return is_above and (not other.n or difference(own, other, "errors", alpha)[0] > 0)


def _dearer(
    place: int, name: str, pair: tuple[Tally, Tally], metric: Metric, said: tuple[float, str, float]
) -> Iterator[Breach]:
    own, other = (tally.of(metric) for tally in pair)
    ratio, what, alpha = said
    if min(own.n, other.n) < LEAST_CALLS or own.mean <= ratio * other.mean:
        return
    times = f"{own.mean / other.mean:.2f} times" if other.mean else "infinitely"
    sign: Sign = "proved" if difference(own, other, metric, alpha, ratio)[0] > 0 else "doubtful"
    yield Breach(sign, place, f"{name}: {what} {times} what the first arm does ({own.n} calls); the guard is {ratio:g}")


class Best(Struct, frozen=True):
    """The arm that is proved the best, None where none is; and why, in words."""

    arm: int | None
    reason: str


def best(experiment: Experiment, evidence: Evidence) -> Best:
    """Ask of every pair; it holds however often one asks."""
    metric, tallies = experiment.metric, evidence.whole
    least = min(tally.of(metric).n for tally in tallies)
    wanted = max(LEAST_CALLS, experiment.min_calls)
    if least < wanted:
        return Best(None, f"too early: {least} of {wanted} calls that each arm needs tell of {_named(metric)}")
    pairs = len(tallies) * (len(tallies) - 1) // 2
    for place in range(len(tallies)):
        if all(other == place or _beats(tallies, place, other, metric, ALPHA / pairs) for other in range(len(tallies))):
            return Best(place, f"{experiment.arms[place].target} is better: {_apart(tallies, place, metric, pairs)}")
    lead = _leader(tallies, metric)
    return Best(
        None, f"none is proved better yet; {experiment.arms[lead].target} leads: {_apart(tallies, lead, metric, pairs)}"
    )


def _beats(tallies: Sequence[Tally], one: int, other: int, metric: Metric, alpha: float) -> bool:
    low, high = difference(tallies[one].of(metric), tallies[other].of(metric), metric, alpha)
    return low > 0 if metric in MORE_IS_BETTER else high < 0


def _leader(tallies: Sequence[Tally], metric: Metric) -> int:
    sign = -1 if metric in MORE_IS_BETTER else 1
    return min(range(len(tallies)), key=lambda place: sign * tallies[place].of(metric).mean)


def _apart(tallies: Sequence[Tally], place: int, metric: Metric, pairs: int) -> str:
    """In words, how far it is from the nearest other one."""
    sign = -1 if metric in MORE_IS_BETTER else 1
    own = tallies[place].of(metric)
    other = min(
        (tally.of(metric) for at, tally in enumerate(tallies) if at != place), key=lambda moments: sign * moments.mean
    )
    low, high = difference(own, other, metric, ALPHA / pairs)
    figures = ", ".join(_figure(metric, value) for value in (low, high))
    return (
        f"{_named(metric)} {_figure(metric, own.mean)} to {_figure(metric, other.mean)} of the next, "
        f"difference between {figures.replace(', ', ' and ')} ({own.n} and {other.n} calls)"
    )


def _named(metric: Metric) -> str:
    return metric.replace("_", " ")


def _figure(metric: Metric, value: float) -> str:
    if metric == "cost":
        return f"{'-' if value < 0 else ''}${abs(value):.6f}"
    if metric in PARTS:
        return f"{value:.1%}"
    return f"{value:.3f} s" if metric in ("first_token", "total") else f"{value:.3f}"


class Measured(Struct, frozen=True):
    """A mean and where the true one is, with 95 % confidence; None before there is anything. `samples`: of so many calls."""

    mean: float | None
    low: float | None
    high: float | None
    samples: int


def measured(tally: Tally, metric: Metric) -> Measured:
    """Of one arm. What cannot be below zero, or above one, is not said to be."""
    moments = tally.of(metric)
    if not moments.n:
        return Measured(None, None, None, 0)
    low, high = interval(moments, metric)
    if metric not in MORE_IS_BETTER:
        low, high = max(0.0, low), min(1.0, high) if metric in PARTS else high
    else:
        low, high = max(-1.0, low), min(1.0, high)
    return Measured(_short(moments.mean), _short(low), _short(high), moments.n)


def _short(value: float) -> float:
    """In as many digits as anybody reads."""
    return float(f"{value:.6g}")
