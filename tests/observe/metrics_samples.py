"""Metrics with sources a test can change, and calls of every kind to feed them with."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter

from prometheus_client.parser import text_string_to_metric_families

from proxy.observe.labels import Known
from proxy.observe.metrics import Metrics
from proxy.observe.readings import BudgetState, Build, ReloadState, Sources
from proxy.observe.seen import Alike, CallSeen, CostSeen, Tokens

USD = 10**12
MODELS = frozenset({"fast", "openai/gpt-5", "anthropic/claude-opus-5"})
KEYS = frozenset({"alice", "bob", "open"})
RESET = 4_102_444_800.0


@dataclass
class State:
    """What the sources answer."""

    spent_pusd: int = 12 * USD
    in_flight: dict[str, int] = field(default_factory=lambda: {"openrouter": 2, "local": 0})
    ledger_errors: int = 0
    reload: ReloadState = field(default_factory=lambda: ReloadState(successful=True, success_at=1_790_000_000.0))

    def budgets(self) -> list[BudgetState]:
        """One that resets, and one that does not."""
        return [
            BudgetState("key:alice:day", "day", 50 * USD, self.spent_pusd, USD // 4, RESET),
            BudgetState("global:total", "total", 500 * USD, self.spent_pusd, USD // 4),
        ]

    def sources(self) -> Sources:
        """The sources that read this state."""
        return Sources(
            build=Build("1.2.3", "3.11.2"),
            budgets=self.budgets,
            in_flight=lambda: self.in_flight,
            drift=lambda: {("openrouter", ""): 0.004},
            journal_bytes=lambda: 4096,
            ledger_lag_seconds=lambda: 0.25,
            ledger_errors=lambda: self.ledger_errors,
            log_lines_dropped=lambda: 4,
            loop_lag_seconds=lambda: 0.003,
            reload=lambda: self.reload,
        )


def metrics(state: State | None = None, *, gen_ai: bool = False) -> Metrics:
    """Metrics that know MODELS and KEYS."""
    known = Known(is_model=MODELS.__contains__, is_key=KEYS.__contains__)
    return Metrics(known, (state or State()).sources(), gen_ai=gen_ai)


GOOD = CallSeen(
    endpoint="chat/completions",
    status=200,
    total_seconds=4.0,
    overhead_seconds=0.0007,
    provider="openrouter",
    model="fast",
    key="alice",
    stream=True,
    first_token_seconds=1.0,
    input_tokens=1000,
    output_tokens=101,
    attempts=(("openrouter", "200"),),
)
FELL_BACK = CallSeen(
    endpoint="messages",
    status=200,
    total_seconds=2.5,
    overhead_seconds=0.0009,
    provider="anthropic",
    model="anthropic/claude-opus-5",
    key="bob",
    attempts=(("openrouter", "no_healthy_upstream"), ("local", "503"), ("anthropic", "200")),
    fallback=("fast", "anthropic/claude-opus-5"),
    input_tokens=10,
    output_tokens=5,
)
FAILED = CallSeen(
    endpoint="chat/completions",
    status=504,
    total_seconds=120.0,
    overhead_seconds=0.001,
    provider="openrouter",
    model="openai/gpt-5",
    key="bob",
    error_type="provider_timeout",
    attempts=(("openrouter", "upstream_timeout"),),
)
REFUSED = CallSeen(
    endpoint="chat/completions",
    status=402,
    total_seconds=0.001,
    overhead_seconds=0.001,
    model="fast",
    key="alice",
    error_type="policy_budget_exceeded",
    rejected="budget_exceeded",
)
LEFT = CallSeen(
    endpoint="chat/completions",
    status=499,
    total_seconds=3.0,
    overhead_seconds=0.001,
    provider="openrouter",
    model="fast",
    key="alice",
    error_type="caller_cancelled",
    stream=True,
    first_token_seconds=0.5,
    client_left="streaming",
    attempts=(("openrouter", "200"),),
)
COST = CostSeen(
    "openrouter",
    "fast",
    "alice",
    30_000_000_000,
    "reported",
    Tokens(input=1000, output=101, cached_input=600, cache_write=50, reasoning=40),
)
FELL_BACK_COST = CostSeen(
    "anthropic", "anthropic/claude-opus-5", "bob", 1_000_000, "computed", Tokens(input=10, output=5)
)
LATE = CostSeen("openrouter", "fast", "alice", 2_000_000_000, "looked_up", Tokens(input=100, output=20))
CALLS = (GOOD, FELL_BACK, FAILED, REFUSED, LEFT)
COSTS = (COST, FELL_BACK_COST, LATE)


_kind_of = attrgetter(  # all that calls may have in common, whosever they are
    "endpoint", "status", "provider", "model", "error_type", "stream", "attempts", "fallback", "lost", "client_left",
    "rejected", "shadow_rejected", "flags", "cache",
)  # fmt: skip


def finished(fed: Metrics, *calls: CallSeen) -> None:
    """Have calls counted by their kinds, as `exchange/reporting/metering.py` does."""
    alike: dict[object, list[CallSeen]] = {}
    for call in calls:
        alike.setdefault(_kind_of(call), []).append(call)
    fed.finished_alike(
        Alike(fed.meter(same[0]), same, [(one.key, one.tenant) for one in same], sum(one.saved_pusd for one in same))
        for same in alike.values()
    )


def feed(fed: Metrics) -> None:
    """One call of every kind, and what their attempts cost, one of them late."""
    for call in CALLS:
        finished(fed, call)
    for cost in COSTS:
        fed.settled(cost)
    fed.budget_alert("key:alice:day", "day", "80%")
    fed.webhook("delivered")


def page(fed: Metrics, accept: str = "") -> str:
    """The rendered page as text."""
    return fed.render(accept, fed.readings())[0].decode()


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Return every sample of a page by name and labels; a series that stands twice fails."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = sample.name, frozenset(sample.labels.items())
            assert series not in found
            found[series] = sample.value
    return found


def value(fed: Metrics, name: str, **labels: str) -> float | None:
    """Return one sample as a scrape would see it."""
    return samples(page(fed)).get((name, frozenset(labels.items())))


def total(found: Samples, name: str) -> float:
    """Return the sum over all label values."""
    return sum(amount for (sample, _), amount in found.items() if sample == name)
