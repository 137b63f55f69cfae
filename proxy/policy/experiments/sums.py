"""What the calls of an arm have shown: counts, means and spreads, kept as they come."""

from __future__ import annotations

from msgspec import Struct, field

from proxy.policy.experiments.values import METRICS, Metric


class Moments(Struct):
    """Of values seen one by one: how many, their mean, and the sum of squared distances from it."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """One more (Welford)."""
        self.n += 1
        distance = value - self.mean
        self.mean += distance / self.n
        self.squares += distance * (value - self.mean)

    def __add__(self, other: Moments) -> Moments:
        """Of both together (Chan)."""
        n = self.n + other.n
        if not n:
            return Moments()
        distance = other.mean - self.mean
        mean = self.mean + distance * other.n / n
        return Moments(n, mean, self.squares + other.squares + distance**2 * self.n * other.n / n)

    @property
    def variance(self) -> float:
        """Of one value."""
        return self.squares / (self.n - 1) if self.n > 1 else 0.0


class Seen(Struct, frozen=True):
    """What one call showed; None: it says nothing of that. Cost in USD, times in seconds; `is_error`: the arm's own
    model did not answer it, whoever then did."""

    is_error: bool
    cost_usd: float | None = None
    first_token_seconds: float | None = None
    total_seconds: float | None = None
    is_flagged: bool | None = None


class Tally(Struct):
    """Of one arm."""

    calls: int = 0
    errors: int = 0
    metrics: dict[Metric, Moments] = field(default_factory=dict)

    def add(self, seen: Seen) -> None:
        """One more call."""
        self.calls += 1
        self.errors += seen.is_error
        flagged = None if seen.is_flagged is None else float(seen.is_flagged)
        values = (seen.cost_usd, seen.first_token_seconds, seen.total_seconds, float(seen.is_error), flagged)
        for metric, value in zip(METRICS, values, strict=False):
            if value is not None:
                self.metrics.setdefault(metric, Moments()).add(value)

    def of(self, metric: Metric) -> Moments:
        """What is known of one metric."""
        return self.metrics.get(metric, _NOTHING)

    def __add__(self, other: Tally) -> Tally:
        """Of both together."""
        metrics = {metric: self.of(metric) + other.of(metric) for metric in (*self.metrics, *other.metrics)}
        return Tally(self.calls + other.calls, self.errors + other.errors, metrics)


class Evidence(Struct):
    """Of all arms: since the beginning, and of the newest calls, so that what turns bad late is seen as soon. `fresh`
    begins anew once every arm that gets calls has `min_calls` in it; what was in it is `former`."""

    whole: list[Tally]
    fresh: list[Tally]
    former: list[Tally]

    @classmethod
    def begin(cls, arms: int) -> Evidence:
        """Of nothing yet."""
        return cls(*([Tally() for _ in range(arms)] for _ in range(3)))

    def add(self, arm: int, seen: Seen) -> None:
        """One call more of an arm."""
        self.whole[arm].add(seen)
        self.fresh[arm].add(seen)

    def roll(self, live: list[int], min_calls: int) -> None:
        """Begin anew where it is time. `live` are the arms that get calls."""
        if live and all(self.fresh[arm].calls >= min_calls for arm in live):
            self.former, self.fresh = self.fresh, [Tally() for _ in self.fresh]

    def latest(self) -> list[Tally]:
        """Of the newest calls of each arm."""
        return [before + now for before, now in zip(self.former, self.fresh, strict=True)]


_NOTHING = Moments()
