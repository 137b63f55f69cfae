"""Past calls under another policy: where each would have gone, at what cost, how fast. Prices and speeds are those of now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct

from proxy.policy.routing.board import Board, Row, seconds_for
from proxy.policy.routing.deciding import Chance, decide, exact_usd
from proxy.policy.routing.sessions import Sessions
from proxy.policy.routing.values import WELL, Ask
from proxy.policy.values import Target

_PUSD = 10**12


class Past(Struct, frozen=True):
    """One call as it was: where it went and by which name, what it asked for (`output_tokens` are those it got), what it cost and
    took."""

    request_id: str
    at: float
    key: str
    session: str
    target: Target
    label: str
    ask: Ask
    cached_tokens: int
    cost_pusd: int
    seconds: float


class Moved(Struct, frozen=True):
    """A call that would have gone elsewhere; `cost_pusd` and `seconds` as they would have been."""

    past: Past
    label: str
    cost_pusd: int
    seconds: float


class Replay(Struct):
    """What became of them. Costs and seconds are sums over the `compared` calls: those that somebody would have served, at a known
    price. `moves` has the calls that would have gone elsewhere."""

    calls: int = 0
    compared: int = 0
    unserved: int = 0
    unpriced: int = 0
    changed: int = 0
    was_pusd: int = 0
    would_pusd: int = 0
    was_seconds: float = 0.0
    would_seconds: float = 0.0
    was: Counter[str] = Counter()
    would: Counter[str] = Counter()
    moves: list[Moved] = []


def replay(calls: Iterable[Past], board_for: Callable[[Past], Board], draw: Callable[[], float]) -> Replay:
    """Decide for each anew, the oldest first; sessions stay as they would have. `draw` gives numbers from 0 to 1."""
    found = Replay(was=Counter(), would=Counter(), moves=[])
    sessions = Sessions()
    for past in calls:
        found.calls += 1
        found.was[past.label] += 1
        board = board_for(past)
        session = f"{past.key}\0{past.session}".encode() if past.session else b""
        stuck = sessions.find(session, board.strategy.sticky_seconds, past.at) if session else None
        choice = decide(board, past.ask, WELL, stuck, Chance(draw(), draw()))
        if not choice.eligible:
            found.unserved += 1
            continue
        row = choice.order[0]
        stays = stuck is not None and stuck.target == row.candidate.target
        if session:
            sessions.stick(session, row.candidate.target, past.ask.input_tokens, past.at)
        _compare(found, past, row, stays=stays)
    return found


def _compare(found: Replay, past: Past, row: Row, *, stays: bool) -> None:
    """Add one call. Whoever had not answered the session before reads all of its context."""
    found.would[row.candidate.label] += 1
    if row.candidate.target == past.target:
        moved = Moved(past, past.label, past.cost_pusd, past.seconds)
    else:
        found.changed += 1
        output = past.ask.output_tokens
        usd = exact_usd(row.candidate, past.ask.input_tokens, output, past.cached_tokens if stays else 0)
        if usd is None:
            found.unpriced += 1
            return
        moved = Moved(past, row.candidate.label, round(usd * _PUSD), seconds_for(row.speed, output))
        found.moves.append(moved)
    found.compared += 1
    found.was_pusd += past.cost_pusd
    found.would_pusd += moved.cost_pusd
    found.was_seconds += past.seconds
    found.would_seconds += moved.seconds
