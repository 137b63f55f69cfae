"""What is read at the moment of a scrape: budgets, calls under way, journal and ledger, the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from proxy.observe.metric_table import ROWS
from proxy.policy.money.amounts import PUSD_PER_USD


class BudgetState(Struct, frozen=True):
    """One budget now. `reset` is Unix time; None for one that never resets."""

    budget: str
    per: str
    limit_pusd: int
    spent_pusd: int
    held_pusd: int
    reset: float | None = None
    shadow: bool = False


class ReloadState(Struct, frozen=True):
    """Whether the last configuration read is in use, and since when the one in use is (Unix time)."""

    successful: bool
    success_at: float


class Build(Struct, frozen=True):
    """Which version this is, and of which Python."""

    version: str
    python: str


class Sources(Struct, frozen=True):
    """Where to read at a scrape. Every one is called on the event loop's thread and must not wait.

    `in_flight` names every configured provider, the idle ones with 0; `drift` has provider and tenant of each bill.
    """

    build: Build
    budgets: Callable[[], Iterable[BudgetState]]
    in_flight: Callable[[], Mapping[str, int]]
    drift: Callable[[], Mapping[tuple[str, str], float]]
    journal_bytes: Callable[[], int]
    ledger_lag_seconds: Callable[[], float]
    ledger_errors: Callable[[], int]
    log_lines_dropped: Callable[[], int]
    loop_lag_seconds: Callable[[], float]
    reload: Callable[[], ReloadState]


class Readings(Struct, frozen=True):
    """What the sources said, frozen: a thread may render it while the daemon goes on."""

    build: Build
    budgets: tuple[BudgetState, ...]
    in_flight: tuple[tuple[str, int], ...]
    drift: tuple[tuple[tuple[str, str], float], ...]
    journal_bytes: int
    ledger_lag_seconds: float
    ledger_errors: int
    log_lines_dropped: int
    loop_lag_seconds: float
    reload: ReloadState


def read(sources: Sources) -> Readings:
    """Ask every source once."""
    return Readings(
        build=sources.build,
        budgets=tuple(sources.budgets()),
        in_flight=tuple(sources.in_flight().items()),
        drift=tuple(sources.drift().items()),
        journal_bytes=sources.journal_bytes(),
        ledger_lag_seconds=sources.ledger_lag_seconds(),
        ledger_errors=sources.ledger_errors(),
        log_lines_dropped=sources.log_lines_dropped(),
        loop_lag_seconds=sources.loop_lag_seconds(),
        reload=sources.reload(),
    )


def collect(readings: Readings) -> Iterator[Metric]:
    """The readings as families of samples."""
    yield from _budgets(readings.budgets)
    in_flight = _gauge("tollkeeper_requests_in_flight")
    for provider, calls in readings.in_flight:
        in_flight.add_metric([provider], calls)
    yield in_flight
    drift = _gauge("tollkeeper_reconcile_drift_ratio")
    for account, ratio in readings.drift:
        drift.add_metric(account, ratio)
    yield drift
    yield _gauge("tollkeeper_journal_bytes", readings.journal_bytes)
    yield _gauge("tollkeeper_ledger_lag_seconds", readings.ledger_lag_seconds)
    yield _counter("tollkeeper_ledger_errors_total", readings.ledger_errors)
    yield _counter("tollkeeper_log_lines_dropped_total", readings.log_lines_dropped)
    yield _gauge("tollkeeper_event_loop_lag_seconds", readings.loop_lag_seconds)
    yield _gauge("tollkeeper_config_last_reload_successful", int(readings.reload.successful))
    yield _gauge("tollkeeper_config_last_reload_success_timestamp_seconds", readings.reload.success_at)
    build = ROWS["tollkeeper_build_info"]
    values = {"version": readings.build.version, "python": readings.build.python}
    yield InfoMetricFamily(build.name.removesuffix("_info"), build.help, value=values)


def _budgets(budgets: Iterable[BudgetState]) -> Iterator[Metric]:
    limit, spent = _gauge("tollkeeper_budget_limit_usd"), _gauge("tollkeeper_budget_spent_usd")
    held, reset = _gauge("tollkeeper_budget_held_usd"), _gauge("tollkeeper_budget_reset_timestamp_seconds")
    shadow = _gauge("tollkeeper_budget_shadow")
    for state in budgets:
        labels = [state.budget, state.per]
        limit.add_metric(labels, state.limit_pusd / PUSD_PER_USD)
        spent.add_metric(labels, state.spent_pusd / PUSD_PER_USD)
        held.add_metric(labels, state.held_pusd / PUSD_PER_USD)
        if state.reset is not None:
            reset.add_metric(labels, state.reset)
        shadow.add_metric(labels, int(state.shadow))
    yield from (limit, spent, held, reset, shadow)


def _counter(name: str, value: int) -> CounterMetricFamily:
    row = ROWS[name]
    return CounterMetricFamily(row.name, row.help, value=value)


def _gauge(name: str, value: float | None = None) -> GaugeMetricFamily:
    row = ROWS[name]
    return GaugeMetricFamily(row.name, row.help, value=value, labels=row.labels or None)
