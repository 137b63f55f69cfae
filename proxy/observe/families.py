"""Children of labelled metrics: looked up once, kept, and never more of them than there is room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, Metric

from proxy.observe.labels import OTHER
from proxy.observe.metric_table import ROWS, Row
from proxy.policy.money.amounts import PUSD_PER_USD

Child = TypeVar("Child")

# labels with many values; a metric without any of them is small and never folded
_MANY = frozenset({"model", "key", "from", "to", "gen_ai_request_model"})
_FOLDED = _MANY | {"endpoint", "provider", "reason", "gen_ai_provider_name", "gen_ai_operation_name"}


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

    def __init__(self, row: Row, make: Callable[..., Child], room: Room) -> None:
        self._row = row
        self._make = make
        self._room = room
        self._may_fold = not _MANY.isdisjoint(row.labels)
        self._children: dict[tuple[str, ...], Child] = {}
        for value in row.zeros:
            self.at(value)

    def at(self, *values: str) -> Child:
        """The child of these label values."""
        child = self._children.get(values)
        return self._begin(values) if child is None else child

    def _begin(self, values: tuple[str, ...]) -> Child:
        if not self._room.take(self._row.series) and self._may_fold:
            values = tuple(
                OTHER if label in _FOLDED and value else value
                for label, value in zip(self._row.labels, values, strict=True)
            )
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._make(*values)
        return child


class Money:
    """An amount that only grows, exact to the last 1e-12 USD."""

    __slots__ = ("pusd",)

    def __init__(self) -> None:
        self.pusd = 0

    def add(self, pusd: int) -> None:
        """Book an amount; the event loop's thread alone writes."""
        self.pusd += pusd


class MoneyCounter:
    """A counter of USD kept as integers: a float forgets small calls once a sum is large."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._children: dict[tuple[str, ...], Money] = {}

    def labels(self, *values: str) -> Money:
        """The child of these label values."""
        return self._children.setdefault(values, Money())

    def describe(self) -> Iterable[Metric]:
        """The family without samples: the registry looks for clashes of names."""
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        """The family as it stands; the copy is made in one step, so any thread may ask."""
        family = self._family()
        for values, money in self._children.copy().items():
            family.add_metric(values, money.pusd / PUSD_PER_USD)
        return [family]

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._row.name, self._row.help, labels=self._row.labels)


class Families:
    """Makes the metrics of the table in one registry, all under one ceiling."""

    def __init__(self, registry: CollectorRegistry, room: Room) -> None:
        self._registry = registry
        self._room = room

    def counter(self, name: str) -> Children[Counter]:
        """A counter of events."""
        row = ROWS[name]
        return Children(row, Counter(row.name, row.help, row.labels, registry=self._registry).labels, self._room)

    def histogram(self, name: str) -> Children[Histogram]:
        """A histogram with the table's buckets."""
        row = ROWS[name]
        made = Histogram(row.name, row.help, row.labels, buckets=row.buckets, registry=self._registry)
        return Children(row, made.labels, self._room)

    def money(self, name: str) -> Children[Money]:
        """A counter of USD."""
        made = MoneyCounter(ROWS[name])
        self._registry.register(made)
        return Children(ROWS[name], made.labels, self._room)
