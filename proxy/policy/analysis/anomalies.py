"""What is unusual of late, and what explains it: figures of the last one to two hours against what is usual.

Everything is told with the numbers it was judged by; nothing is told of what is too little to matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from proxy.policy.money.amounts import PUSD_PER_USD, dollars, usd_text

Kind = Literal["spending", "cost_per_call", "refusals", "errors", "cache_hits", "first_token", "loop", "silent_zero"]
Of = Literal["key", "model", "session"]

LEAST_USD_PUSD = PUSD_PER_USD // 10  # an hour, or in all: below $0.10 nobody wants to be told
_LEAST_HOURS = 24
_LEAST_CALLS = 10
_SPREADS = 4  # median deviations above the median
_TWICE, _THRICE = 2.0, 3.0
_LEAST_SHARE = 0.1
_FALLEN = 0.5
_WAS_CACHED = 0.2
_LEAST_SLOWER_MS = 500
_LOOP_MINUTES, _LOOP_CALLS = 15, 60


class Figures(Struct, frozen=True):
    """Sums of some time, `hours` long; amounts are 1e-12 USD."""

    hours: float
    calls: int = 0
    attempts: int = 0
    errors: int = 0
    refused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_pusd: int = 0
    first_token_ms: int | None = None  # of 95 in 100

    def per_call(self, amount: int) -> float:
        """An amount a call."""
        return amount / self.calls if self.calls else 0.0

    @property
    def cached_share(self) -> float:
        """The part of what was read that a provider's cache had."""
        return self.cached_input_tokens / self.input_tokens if self.input_tokens else 0.0


class Anomaly(Struct, frozen=True):
    """One thing: `now` against `usual`, both in `unit`; `why` explains it in a sentence. `cost_pusd` is what it has cost
    beyond the usual, 0 where it costs nothing."""

    kind: Kind
    of: Of
    name: str
    now: float
    usual: float
    unit: str
    cost_pusd: int
    why: str


def of_key(name: str, now: Figures, hours: Sequence[int], parts: Sequence[tuple[str, int]]) -> list[Anomaly]:
    """What is odd about a client key: `hours` is what each past hour cost, the newest last, `parts` what each model has cost
    now."""
    return [*_spending(name, now, hours, parts), *_refusals(name, now)]


def of_model(name: str, now: Figures, usual: Figures) -> list[Anomaly]:
    """What is odd about a model."""
    if now.calls < _LEAST_CALLS or usual.calls < _LEAST_CALLS:
        return []
    every = (_cost_per_call, _errors, _cache_hits, _first_token, _silent_zero)
    return [found for look in every if (found := look(name, now, usual)) is not None]


def of_session(name: str, calls: Sequence[int], inputs: Sequence[int], cost_pusd: int) -> list[Anomaly]:
    """Whether a session looks like an agent in a loop: calls of each of the latest minutes without a pause, each with more
    to read than before. `inputs` are the tokens read in each minute."""
    total = sum(calls)
    if len(calls) < _LOOP_MINUTES or min(calls) == 0 or total < _LOOP_CALLS:
        return []
    first, last = inputs[0] / calls[0], inputs[-1] / calls[-1]
    if last <= first:
        return []
    why = (
        f"{total} calls in {len(calls)} minutes without a pause, each with more to read than the one before: "
        f"{first:,.0f} tokens a call at first, {last:,.0f} now"
    )
    return [Anomaly("loop", "session", name, total / len(calls), 0.0, "calls a minute", cost_pusd, why)]


def _spending(name: str, now: Figures, hours: Sequence[int], parts: Sequence[tuple[str, int]]) -> list[Anomaly]:
    """Above the median of such hours by several median deviations."""
    if len(hours) < _LEAST_HOURS or not now.hours:
        return []
    rate, usual = now.cost_pusd / now.hours, _median(hours)
    spread = _median([abs(hour - usual) for hour in hours])
    if rate - usual < LEAST_USD_PUSD or rate < _TWICE * usual or rate < usual + _SPREADS * spread:
        return []
    model, cost = max(parts, key=lambda part: part[1], default=("", 0))
    why = f"{_usd(rate)} an hour, usually {_usd(usual)}"
    if model:
        why += f"; {100 * cost // max(1, now.cost_pusd)} % of it went to {model}, in {now.calls} calls in all"
    extra = int(now.cost_pusd - usual * now.hours)
    return [Anomaly("spending", "key", name, rate / PUSD_PER_USD, usual / PUSD_PER_USD, "USD an hour", extra, why)]


def _refusals(name: str, now: Figures) -> list[Anomaly]:
    every = now.calls + now.refused
    if now.refused < _LEAST_CALLS or now.refused < every * _FALLEN:
        return []
    why = f"{now.refused} of {every} calls were refused before anything was sent: a budget, a limit, or a name that is not offered"
    return [Anomaly("refusals", "key", name, now.refused / every, 0.0, "part of calls", 0, why)]


def _cost_per_call(name: str, now: Figures, usual: Figures) -> Anomaly | None:
    """Told apart by what moved most: what is read, what is written, what the cache had, or the price itself."""
    cost, was = now.per_call(now.cost_pusd), usual.per_call(usual.cost_pusd)
    extra = int((cost - was) * now.calls)
    if not was or cost < _TWICE * was or extra < LEAST_USD_PUSD:
        return None
    reads = _times(now.per_call(now.input_tokens), usual.per_call(usual.input_tokens))
    writes = _times(now.per_call(now.output_tokens), usual.per_call(usual.output_tokens))
    if max(reads, writes) >= _TWICE:
        cause = f"calls {'read' if reads >= writes else 'write'} {max(reads, writes):.1f} times as many tokens"
    elif usual.cached_share - now.cached_share >= _WAS_CACHED:
        cause = (
            f"{now.cached_share:.0%} of what they read comes from the provider's cache, {usual.cached_share:.0%} before"
        )
    else:
        cause = "calls read and write about as much as before: the price is another one"
    why = f"{_usd(cost)} a call, usually {_usd(was)}; {cause}"
    return Anomaly("cost_per_call", "model", name, cost / PUSD_PER_USD, was / PUSD_PER_USD, "USD a call", extra, why)


def _errors(name: str, now: Figures, usual: Figures) -> Anomaly | None:
    share, was = now.errors / max(1, now.attempts), usual.errors / max(1, usual.attempts)
    if share < _LEAST_SHARE or share < _THRICE * was:
        return None
    why = f"{now.errors} of {now.attempts} attempts failed, usually {was:.1%}"
    return Anomaly("errors", "model", name, share, was, "part of attempts", 0, why)


def _cache_hits(name: str, now: Figures, usual: Figures) -> Anomaly | None:
    """What the cache still has of a call says up to where its beginning is the same as before."""
    share, was = now.cached_share, usual.cached_share
    if was < _WAS_CACHED or share > was * _FALLEN:
        return None
    has, had = now.per_call(now.cached_input_tokens), usual.per_call(usual.cached_input_tokens)
    where = (
        f"the same up to about token {has:,.0f}, and others behind it"
        if has >= 1
        else "another one from its first tokens on"
    )
    why = (
        f"{share:.0%} of what calls read comes from the provider's cache, usually {was:.0%}: {has:,.0f} tokens a call, {had:,.0f} "
        f"before. Their beginning is {where}"
    )
    return Anomaly("cache_hits", "model", name, share, was, "part of input tokens", 0, why)


def _first_token(name: str, now: Figures, usual: Figures) -> Anomaly | None:
    late, was = now.first_token_ms, usual.first_token_ms
    if late is None or was is None or late < _TWICE * was or late - was < _LEAST_SLOWER_MS:
        return None
    reads = _times(now.per_call(now.input_tokens), usual.per_call(usual.input_tokens))
    cause = (
        f"calls read {reads:.1f} times as many tokens"
        if reads >= _TWICE
        else "calls read about as much as before: it is slower"
    )
    why = f"95 of 100 first tokens come within {late:,} ms, usually {was:,} ms; {cause}"
    return Anomaly("first_token", "model", name, late, was, "ms", 0, why)


def _silent_zero(name: str, now: Figures, usual: Figures) -> Anomaly | None:
    was = usual.per_call(usual.cost_pusd)
    if now.cost_pusd or not was or not now.output_tokens:
        return None
    why = f"{now.calls} calls with {now.output_tokens:,} tokens written cost nothing, usually {_usd(was)} a call"
    return Anomaly("silent_zero", "model", name, 0.0, was / PUSD_PER_USD, "USD a call", 0, why)


def _median(amounts: Sequence[int]) -> int:
    return sorted(amounts)[len(amounts) // 2]


def _times(now: float, usual: float) -> float:
    return now / usual if usual else 0.0


def _usd(pusd: float) -> str:
    return dollars(usd_text(int(pusd)))
