"""What an alert rule is, and the numbers it may be about. A new number is a row of `MEASURES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from msgspec import Struct

from proxy.policy.analysis.anomalies import Kind

Severity = Literal["page", "ticket"]
Each = Literal["key", "tenant", "provider", "model", "endpoint"]
Unit = Literal["USD", "part", "ms", "tokens", "calls", "hours", "number"]
Source = Literal["analytics", "budgets", "credits", "bills", "anomalies"]
Figures = Mapping[str, Any]  # a row of analytics
Value = Callable[[Figures, float], float | None]

NOTHING: Figures = {
    **dict.fromkeys(("calls", "attempts", "errors", "refused"), 0),
    **dict.fromkeys(("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens"), 0),
    "cost_usd": "0", "sources": {}, "first_token_ms": {"p50": None, "p95": None}, "total_ms": {"p50": None, "p95": None},
}  # fmt: skip
"""A row of analytics of no call."""

HOUR_SECONDS = 3600.0
EXACT_SECONDS = 6 * HOUR_SECONDS  # windows up to here are counted to the minute, longer ones to the hour
_LOOK_PART, _LOOK_LEAST, _LOOK_MOST = 150, 2.0, 300.0
_LOOK_STANDING = 60.0


class AlertRule(Struct, frozen=True):
    """`metric` over the last `over_seconds` is more than `above`, or less than `below`, for `for_seconds` on end. It clears
    once it is back at `clear`. `only` narrows what counts (names or patterns of analytics), `each` watches every one of
    these names by itself. Fewer calls than `min_calls` say nothing. One notice at most in `every_seconds`. `to`: names of
    `alerts`; none means all."""

    name: str
    metric: str
    above: float | None = None
    below: float | None = None
    over_seconds: float = HOUR_SECONDS
    for_seconds: float = 0.0
    clear: float | None = None
    each: Each | None = None
    only: dict[str, str] = {}
    min_calls: int = 0
    every_seconds: float = 24 * HOUR_SECONDS
    severity: Severity = "ticket"
    to: tuple[str, ...] = ()
    enabled: bool = True

    @property
    def measure(self) -> Measure:
        """What it is about."""
        return MEASURES[self.metric]

    @property
    def limit(self) -> float:
        """What must not be passed."""
        return self.above if self.above is not None else self.below or 0.0

    @property
    def is_exact(self) -> bool:
        """Whether its window is counted to the minute."""
        return self.over_seconds <= EXACT_SECONDS

    @property
    def look_seconds(self) -> float:
        """How often it is worth a look."""
        if self.measure.watches:
            return _LOOK_STANDING
        return min(_LOOK_MOST, max(_LOOK_LEAST, self.over_seconds / _LOOK_PART))

    def is_passed(self, value: float, *, is_firing: bool = False) -> bool:
        """Whether a value is beyond the limit; once it fires, beyond what clears it."""
        limit = self.clear if is_firing and self.clear is not None else self.limit
        return value > limit if self.above is not None else value < limit


class Measure(Struct, frozen=True):
    """A number that rules may be about: `value` reads it from a row of analytics and the window's seconds, None where there
    is nothing to measure. `source` names who measures it. What is no analytics stands as it is now, for each of what it
    `watches`, whatever the window. `only` is what may narrow it. `query` is the same for Prometheus, over series that have
    `labels`; "" where there is none."""

    unit: Unit
    says: str
    value: Value | None = None
    source: Source = "analytics"
    query: str = ""
    labels: frozenset[str] = frozenset()
    watches: str = ""
    only: frozenset[str] = frozenset(get_args(Each))


def measured(rule: AlertRule, figures: Figures) -> float | None:
    """The value of a rule's metric in a row of analytics."""
    read = rule.measure.value
    if read is None or figures["calls"] + figures["refused"] < rule.min_calls:
        return None
    return read(figures, rule.over_seconds)


def _count(name: str) -> Value:
    return lambda figures, _: float(figures[name])


def _part(of: str, *whole: str) -> Value:
    def read(figures: Figures, _: float) -> float | None:
        total = sum(figures[name] for name in whole)
        return figures[of] / total if total else None

    return read


def _time(name: str, share: str) -> Value:
    def read(figures: Figures, _: float) -> float | None:
        found = figures[name][share]
        return None if found is None else float(found)

    return read


def _per_call(figures: Figures, _: float) -> float | None:
    return float(figures["cost_usd"]) / figures["calls"] if figures["calls"] else None


def _not_reported(figures: Figures, _: float) -> float | None:
    return float(figures["sources"].get("unknown", 0))


def _budgets(unit: Unit, says: str) -> Measure:
    return Measure(unit, says, source="budgets", watches="budget", only=frozenset(("key", "tenant")))


def _bills(unit: Unit, says: str, query: str = "") -> Measure:
    labels = frozenset(("provider", "tenant"))
    return Measure(unit, says, source="bills", query=query, labels=labels, watches="provider", only=labels)


def _anomalies(says: str, unit: Unit = "number") -> Measure:
    return Measure(unit, says, source="anomalies", watches="anomaly", only=frozenset(("key", "model")))


_BY_KEY = frozenset(("provider", "model", "key"))
_TOKENS = "sum{by} (increase(tollkeeper_tokens_total{where}[{over}]))"
_COST = "sum{by} (increase(tollkeeper_cost_usd_total{where}[{over}]))"
_NOT_SENT = "no_healthy_upstream"  # is no try: a breaker stood before it
_ATTEMPTS = f'sum{{by}} (increase(tollkeeper_upstream_attempts_total{{where,outcome!="{_NOT_SENT}"}}[{{over}}]))'
_FAILED = f'sum{{by}} (increase(tollkeeper_upstream_attempts_total{{where,outcome!~"2..|{_NOT_SENT}"}}[{{over}}]))'


def _tokens(kind: str) -> str:
    return _TOKENS.replace("{where}", f'{{where,type="{kind}"}}')


def _quantile(share: str, series: str) -> str:
    summed = f"sum{{by,le}} (rate(tollkeeper_{series}_seconds_bucket{{where}}[{{over}}]))"
    return f"1000 * histogram_quantile({share}, {summed})"


MEASURES: dict[str, Measure] = {
    "cost_usd": Measure("USD", "What calls cost.", lambda f, _: float(f["cost_usd"]), query=_COST, labels=_BY_KEY),
    "cost_usd_per_hour": Measure(
        "USD", "The same, by the hour.", lambda f, seconds: float(f["cost_usd"]) * HOUR_SECONDS / seconds,
        query="3600 * " + _COST.replace("increase", "rate"), labels=_BY_KEY),
    "cost_usd_per_call": Measure("USD", "What a call cost on average.", _per_call),
    "calls": Measure("calls", "Calls that were sent to a provider.", _count("calls")),
    "attempts": Measure("calls", "Tries at a provider.", _count("attempts"), query=_ATTEMPTS,
                        labels=frozenset(("provider",))),
    "errors": Measure("calls", "Tries that failed.", _count("errors"), query=_FAILED, labels=frozenset(("provider",))),
    "error_ratio": Measure("part", "The part of tries that failed.", _part("errors", "attempts"),
                           query=f"{_FAILED} / ({_ATTEMPTS} > 0)", labels=frozenset(("provider",))),
    "refused": Measure("calls", "Calls that were refused and never sent.", _count("refused"),
                       query="sum{by} (increase(tollkeeper_rejections_total{where}[{over}]))",
                       labels=frozenset(("key",))),
    "refused_ratio": Measure("part", "The part of calls that were refused.", _part("refused", "calls", "refused")),
    "unknown_costs": Measure("calls", "Tries whose cost nobody knows.", _not_reported),
    "input_tokens": Measure("tokens", "Tokens that went in.", _count("input_tokens"), query=_tokens("input"),
                            labels=_BY_KEY),
    "output_tokens": Measure("tokens", "Tokens that came out.", _count("output_tokens"), query=_tokens("output"),
                             labels=_BY_KEY),
    "reasoning_tokens": Measure("tokens", "Those of them that were thought.", _count("reasoning_tokens"),
                                query=_tokens("reasoning"), labels=_BY_KEY),
    "cache_hit_ratio": Measure(
        "part", "The part of the input that the provider had in its cache.",
        _part("cached_input_tokens", "input_tokens"),
        query=f"{_tokens('cached_input')} / ({_tokens('input')} > 0)", labels=_BY_KEY),
    **{
        f"first_token_ms_{share}": Measure(
            "ms", f"Time to the first token; {says}.", _time("first_token_ms", share),
            query=_quantile(number, "time_to_first_token"), labels=frozenset(("provider", "model")))
        for share, number, says in (("p50", "0.5", "half take less"), ("p95", "0.95", "95 of 100 take less"))
    },
    **{
        f"total_ms_{share}": Measure(
            "ms", f"Time to the last byte; {says}.", _time("total_ms", share),
            query=_quantile(number, "request_duration"), labels=frozenset(("provider", "model", "endpoint")))
        for share, number, says in (("p50", "0.5", "half take less"), ("p95", "0.95", "95 of 100 take less"))
    },
    "budget_end_ratio": _budgets("part", "What a budget is expected to have spent when it starts anew, as a part of its cap."),
    "budget_hours": _budgets("hours", "When a budget is spent at the expected rate, where that is before it starts anew."),
    "credit_hours": Measure("hours", "When the limit of a provider's key is used up at the expected rate, within 90 days.",
                            source="credits", watches="provider", only=frozenset(("provider", "tenant"))),
    "drift_ratio": _bills("part", "How far a provider's bill for your own use and the ledger are apart, of the newest day.",
                          "abs(tollkeeper_reconcile_drift_ratio{where})"),
    "drift_usd": _bills("USD", "The same as an amount."),
    "foreign_usd": _bills("USD", "What others used of the same key on that day."),
    "anomalies": _anomalies("1 for everything that is unusual of late."),
    "anomaly_usd": _anomalies("What each of it has cost beyond the usual.", "USD"),
    **{f"anomaly_{kind}": _anomalies(f"1 for each `{kind}`.") for kind in get_args(Kind)},
}  # fmt: skip
