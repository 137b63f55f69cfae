"""What the newest calls of the ledger would have cost and taken under another policy."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import astuple, replace

from proxy.exchange.routing.candidates import Candidates
from proxy.exchange.routing.router import Router
from proxy.policy.money.amounts import usd_text
from proxy.policy.routing.board import Board, Kind, board_of, kind_of
from proxy.policy.routing.replaying import Moved, Past, Replay, replay
from proxy.policy.routing.values import Ask, Speed
from proxy.policy.strategies import Pool, Seat, Strategy, Weights
from proxy.policy.values import Caller, Plan, Target
from proxy.stores.journal.records import Row
from proxy.stores.questions.past import PastQuestion
from proxy.web.operator.admin_api import AdminApi, Unknown, instant
from proxy.web.operator.routing_orders import RecommendBody, pool_asked
from proxy.web.operator.timestamps import named_moment_ms
from proxy.web.reading import read_ask

_MOST_SHOWN = 20
_SEED = 0  # the same question has the same answer


class SimulateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The policy as for a recommendation (`model`, `strategy`, `candidates`), and which calls: the newest so many of those that
    asked for a name of the pattern `asked`, under keys of the pattern `key`, since `since` (a day, or `7d`). `weights`: in
    the place of the strategy's own."""

    model: str = "auto"
    strategy: str | None = None
    candidates: list[str] = []
    calls: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    asked: str = "*"
    key: str = "*"
    since: str | None = None
    weights: Weights | None = None


class Compared(Struct, frozen=True):
    """USD of all calls together, milliseconds of one on average."""

    cost_usd: str
    latency_ms: int


class ModelShare(Struct, frozen=True):
    """How many calls a model answered, and would have."""

    model: str
    was: int
    would_be: int


class Change(Struct, frozen=True):
    """A call that would have gone elsewhere."""

    request_id: str
    at: str
    was: str
    would_be: str
    cost_usd: str
    would_cost_usd: str


class SimulateAnswer(Struct, frozen=True):
    """`was` and `would_be` are of the `compared` calls: not of those that no candidate could have served (`unserved`), nor of
    those that would have gone to one without a known price (`unpriced`). `changes` are those with the largest difference in cost."""

    strategy: str
    calls: int
    since: str | None
    compared: int
    changed: int
    unserved: int
    unpriced: int
    was: Compared
    would_be: Compared
    models: list[ModelShare]
    changes: list[Change]


def simulation(admin_api: AdminApi, params: dict[str, Any]) -> Callable[[], SimulateAnswer]:
    """What is left to do of it, which may be done beside the loop. Raises `Unknown` and ValueError."""
    own = read_ask(params, SimulateBody)
    plan, pool = pool_asked(
        admin_api, Caller(""), RecommendBody(own.model, strategy=own.strategy, candidates=own.candidates)
    )
    router = Router(admin_api.settings, admin_api.names, admin_api.prices)
    speeds = {} if admin_api.router is None else admin_api.router.observed.all_speeds(time.monotonic())
    if admin_api.router is not None:
        router.observed.evidence = admin_api.router.observed.evidence
    strategy = router.strategy(pool.strategy)
    if own.weights is not None:
        strategy = replace(strategy, weights=_to_one(own.weights), kind="score")
    boards = _Boards(admin_api, router, (plan, pool, strategy), speeds)
    since_ms = 0 if own.since is None else named_moment_ms("since", own.since, admin_api.settings.money.zone)

    def rest() -> SimulateAnswer:
        found = admin_api.files.answered(PastQuestion(own.calls, own.asked, own.key))
        rows = [row for row in found if row.at_ms >= since_ms]
        if not rows:
            raise Unknown("the ledger has no call that was answered with text and fits `asked`, `key` and `since`")
        return _told(pool.strategy, rows, replay(map(_past, rows), boards.of, random.Random(_SEED).random))

    return rest


def _to_one(weights: Weights) -> Weights:
    """The same as parts of 1. Raises ValueError."""
    parts = astuple(weights)
    if min(parts) < 0 or not 0 < sum(parts) < math.inf:
        raise ValueError("weights must not be below 0, and one of cost, speed, quality and load must be above")
    return Weights(*(part / sum(parts) for part in parts))


class _Boards:
    """Of the pool, by kind of call and by who calls."""

    def __init__(
        self,
        admin_api: AdminApi,
        router: Router,
        where: tuple[Plan, Pool, Strategy],
        speeds: dict[tuple[Target, bool], Speed],
    ) -> None:
        self._callers = {caller.name: caller for caller in admin_api.keys.callers}
        self._router, self._speeds = router, speeds
        self._plan, self._pool, self._strategy = where
        self._candidates = Candidates(admin_api.settings, admin_api.prices)
        self._found: dict[tuple[tuple[Seat, ...], Kind], Board] = {}

    def of(self, past: Past) -> Board:
        """The one a call would have been decided by; the budgets of then are not looked at."""
        caller = self._callers.get(past.key) or Caller("")
        seats = self._router.seats_for(self._pool, caller, self._plan)
        ask, evidence = past.ask, self._router.observed.evidence
        kind = kind_of(ask, stream=ask.stream)
        found = self._found.get((seats, kind))
        if found is None:
            guess = Speed()
            found = self._found[seats, kind] = board_of(
                [evidence.seen(one, kind.task) for one in self._candidates.of(seats)],
                lambda target: self._speeds.get((target, ask.stream), guess),
                self._strategy,
                kind,
            )
        return found


def _past(row: Row) -> Past:
    return Past(
        row.request_id,
        row.at_ms / 1000,
        row.key,
        row.session,
        Target(row.provider, row.upstream_model),
        row.model,
        Ask(0, row.input_tokens, row.output_tokens, row.stream),
        row.cached_input_tokens,
        row.cost_pusd,
        max(0, row.total_ms - (row.sent_ms or 0)) / 1000,
    )


def _told(strategy: str, rows: list[Row], found: Replay) -> SimulateAnswer:
    most = sorted(found.moves, key=lambda move: abs(move.cost_pusd - move.past.cost_pusd), reverse=True)[:_MOST_SHOWN]
    names = sorted(found.was | found.would, key=lambda name: (-found.would[name], -found.was[name], name))
    return SimulateAnswer(
        strategy,
        found.calls,
        instant(rows[0].at_ms) if rows else None,
        found.compared,
        found.changed,
        found.unserved,
        found.unpriced,
        _compared(found.was_pusd, found.was_seconds, found.compared),
        _compared(found.would_pusd, found.would_seconds, found.compared),
        [ModelShare(name, found.was[name], found.would[name]) for name in names],
        [_change(move) for move in most],
    )


def _compared(pusd: int, seconds: float, calls: int) -> Compared:
    return Compared(usd_text(pusd), round(1000 * seconds / calls) if calls else 0)


def _change(move: Moved) -> Change:
    past = move.past
    return Change(
        past.request_id,
        instant(int(past.at * 1000)),
        past.label,
        move.label,
        usd_text(past.cost_pusd),
        usd_text(move.cost_pusd),
    )
