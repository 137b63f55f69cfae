"""Children of labelled metrics: looked up once, kept, and never more of them than there is room for.

Counts and buckets are plain numbers here: whoever owns the families sees to it that one thread at a time is at them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from proxy.observe.labels import OTHER
from proxy.observe.metric_table import ROWS, Row
from proxy.policy.money.amounts import PUSD_PER_USD

Child = TypeVar("Child")

# labels with many values; a metric without any of them is small and never folded
_MANY = frozenset({"model", "key", "from", "to", "budget", "gen_ai_request_model"})
_FOLDED = _MANY | {"endpoint", "provider", "reason", "tenant", "gen_ai_provider_name", "gen_ai_operation_name"}


_MOST_FOLDED = 16_384
_MANY_AMOUNTS = 16  # are put in order first: to find the place of each takes longer


class Room:
    """How many time series may still be begun, over all metrics of one registry."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def take(self, series: int) -> bool:
        """Take the room for this many series, if there is any."""
        if self._taken + series > self._most:
            return False
        self._taken += series
        return True


class Children(Generic[Child]):
    """The children of one metric, by label values in the table's order."""

    def __init__(self, row: Row, make: Callable[[], Child], room: Room) -> None:
        self.row = row
        self.by_labels: dict[tuple[str, ...], Child] = {}
        self._folded: dict[tuple[str, ...], Child] = {}  # of label values that have none of their own
        self._make = make
        self._room = room
        self._may_fold = not _MANY.isdisjoint(row.labels)
        self._folds = [label in _FOLDED for label in row.all_labels]
        for value in row.zeros:
            self.at(value)

    def at(self, *values: str) -> Child:
        """The child of these label values."""
        child = self.by_labels.get(values)
        return self._folded.get(values) or self._begin(values) if child is None else child

    def _begin(self, values: tuple[str, ...]) -> Child:
        own = values
        if not self._room.take(self.row.series) and self._may_fold:
            values = tuple(
                [OTHER if is_folded and value else value for is_folded, value in zip(self._folds, values, strict=True)]
            )
        child = self.by_labels.get(values)
        if child is None:
            child = self.by_labels[values] = self._make()
        if values is not own:
            if len(self._folded) >= _MOST_FOLDED:
                self._folded.clear()
            self._folded[own] = child
        return child


class Count:
    """A number that only grows: of events, or of 1e-12 USD, exact to the last of them."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        """Count so many more."""
        self.value += amount


class Distribution:
    """How many observations fell below each bound, the last one being none, and what they add up to."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self._bounds = bounds

    def observe(self, *amounts: float) -> None:
        """Count observations."""
        self.total += sum(amounts)
        if len(amounts) < _MANY_AMOUNTS:
            for amount in amounts:
                self.counts[bisect_left(self._bounds, amount)] += 1
            return
        ordered, below = sorted(amounts), 0
        for at, bound in enumerate(self._bounds):
            before, below = below, bisect_right(ordered, bound, below)
            self.counts[at] += below - before
        self.counts[-1] += len(amounts) - below


class Families:
    """Makes the metrics of the table, all under one ceiling."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._counts: list[tuple[Children[Count], int]] = []  # each with what one is of what is shown
        self._distributions: list[Children[Distribution]] = []

    def counter(self, name: str) -> Children[Count]:
        """A counter of events."""
        return self._counter(name, 1)

    def money(self, name: str) -> Children[Count]:
        """A counter of USD, kept as integers: a float forgets small calls once a sum is large."""
        return self._counter(name, PUSD_PER_USD)

    def histogram(self, name: str) -> Children[Distribution]:
        """A histogram with the table's buckets."""
        row = ROWS[name]
        made = Children(row, lambda: Distribution(row.buckets), self._room)
        self._distributions.append(made)
        return made

    def collect(self) -> Iterator[Metric]:
        """All of them as they stand."""
        for counts, unit in self._counts:
            row = counts.row
            family = CounterMetricFamily(row.name, row.help, labels=row.all_labels)
            for values, count in counts.by_labels.items():
                shown = values[:-1] if row.by_tenant and not values[-1] else values  # a label less
                family.add_metric(shown, count.value / unit)
            yield family
        for distributions in self._distributions:
            yield _histogram(distributions)

    def _counter(self, name: str, unit: int) -> Children[Count]:
        made = Children(ROWS[name], Count, self._room)
        self._counts.append((made, unit))
        return made


def _histogram(distributions: Children[Distribution]) -> Metric:
    row = distributions.row
    family = HistogramMetricFamily(row.name, row.help, labels=row.labels)
    bounds = [floatToGoString(bound) for bound in (*row.buckets, float("inf"))]  # type: ignore[no-untyped-call]
    for values, one in distributions.by_labels.items():
        family.add_metric(values, list(zip(bounds, accumulate(one.counts), strict=True)), one.total)
    return family
