"""Candidates scored and sorted by a strategy, once for many calls of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import log

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.routing.evidence import PLAIN, task_of
from proxy.policy.routing.values import Ask, Candidate, Speed
from proxy.policy.strategies import Strategy, Weights
from proxy.policy.values import Target

# Absolute scales, so that a candidate's score does not depend on who else there is.
_CHEAP, _DEAR = 0.02, 100.0  # USD per million tokens
_QUICK, _SLOW = 0.5, 60.0  # seconds for an answer of `LIKELY_OUTPUT` tokens
LIKELY_OUTPUT = 400
_UNKNOWN_PRICE = 0.3
_MILLION = 1_000_000


class Row(Struct, frozen=True):
    """A candidate on the board. `parts` are what cost, speed and quality came to, 0 to 1; `barred` why a ceiling of the
    strategy leaves it out, "" where none does; `usd_per_mtok` at the mix of input and output of these calls."""

    candidate: Candidate
    speed: Speed
    score: float
    parts: tuple[float, float, float]
    usd_per_mtok: float | None
    barred: str = ""


class Board(Struct, frozen=True):
    """`rows` best first, those that are barred aside."""

    strategy: Strategy
    weights: Weights
    rows: tuple[Row, ...]
    barred: tuple[Row, ...]


class Kind(Struct, frozen=True):
    """What calls have in common that share a board: the part of their tokens that is input, in quarters, whether they
    stream, the part of the budget that is spent, in tenths; the kind of task."""

    input_quarters: int = 2
    stream: bool = False
    spent_tenths: int = 0
    task: str = PLAIN


def kind_of(ask: Ask, *, stream: bool) -> Kind:
    """The kind of a call."""
    output, spent = min(ask.output_tokens or LIKELY_OUTPUT, LIKELY_OUTPUT), min(10, max(0, int(ask.used * 10)))
    return Kind(round(4 * ask.input_tokens / (ask.input_tokens + output)), stream, spent, task_of(ask.needs))


def board_of(
    candidates: Iterable[Candidate], speed_of: Callable[[Target], Speed], strategy: Strategy, kind: Kind
) -> Board:
    """Score all candidates for calls of a kind."""
    weights = _weights(strategy, kind.spent_tenths / 10)
    rows = [_row(candidate, speed_of(candidate.target), (strategy, weights), kind) for candidate in candidates]
    rows.sort(key=lambda row: -row.score)
    return Board(
        strategy, weights, tuple(row for row in rows if not row.barred), tuple(row for row in rows if row.barred)
    )


def _weights(strategy: Strategy, used: float) -> Weights:
    """Where the strategy looks at the budget, cost weighs the more of it is spent."""
    own = strategy.weights
    if strategy.kind != "budget":
        return own
    rest = own.speed + own.quality or 1.0
    cost = own.cost + (1 - own.cost) * used
    return replace(own, cost=cost, speed=(1 - cost) * own.speed / rest, quality=(1 - cost) * own.quality / rest)


def _row(candidate: Candidate, speed: Speed, how: tuple[Strategy, Weights], kind: Kind) -> Row:
    strategy, weights = how
    usd = usd_per_mtok(candidate, kind.input_quarters / 4)
    parts = (_cheapness(usd), _quickness(seconds_for(speed, LIKELY_OUTPUT)), candidate.quality)
    score = weights.cost * parts[0] + weights.speed * parts[1] + weights.quality * parts[2]
    reliable = (1 - speed.error_rate) ** 2
    return Row(candidate, speed, score * reliable, parts, usd, _barred(strategy, candidate, speed, usd))


def usd_per_mtok(candidate: Candidate, input_part: float) -> float | None:
    """USD for a million tokens of which so many are input; None where nobody knows."""
    if candidate.input_usd is None or candidate.output_usd is None:
        return None
    return (candidate.input_usd * input_part + candidate.output_usd * (1 - input_part)) * _MILLION


def seconds_for(speed: Speed, output_tokens: int) -> float:
    """How long an answer likely takes."""
    return speed.first_token_seconds + output_tokens / max(speed.tokens_per_second, 0.1)


def _cheapness(usd: float | None) -> float:
    if usd is None:
        return _UNKNOWN_PRICE
    return 1.0 if usd <= _CHEAP else max(0.0, 1 - log(usd / _CHEAP) / log(_DEAR / _CHEAP))


def _quickness(seconds: float) -> float:
    return min(1.0, max(0.0, 1 - log(max(seconds, _QUICK) / _QUICK) / log(_SLOW / _QUICK)))


def _barred(strategy: Strategy, candidate: Candidate, speed: Speed, usd: float | None) -> str:
    most = strategy.ceilings
    if candidate.shut:
        return candidate.shut
    if most.usd_per_mtok is not None and (usd is None or usd > most.usd_per_mtok):
        return f"{_usd(usd)} a million tokens, above the ceiling of ${most.usd_per_mtok:g}"
    if most.first_token_seconds is not None and speed.first_token_seconds > most.first_token_seconds:
        how = "" if speed.basis == "measured" else f" ({speed.basis})"
        return f"first token after {speed.first_token_seconds:.1f} s{how}, above the ceiling of {most.first_token_seconds:g} s"
    if most.error_rate is not None and speed.error_rate > most.error_rate:
        return f"{speed.error_rate:.0%} of its calls failed lately, more than {most.error_rate:.1%}"
    return ""


def _usd(usd: float | None) -> str:
    return "an unknown price" if usd is None else f"${usd:.2f}"
