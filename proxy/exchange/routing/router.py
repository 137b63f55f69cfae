"""Where calls with several candidates go: what is known of these, where sessions are, who is busy; the decision itself is
`proxy/policy/routing`. Calls with one target never come here."""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from proxy.errors import ModelNotFound, NoHealthyUpstream
from proxy.exchange.routing.candidates import Candidates
from proxy.exchange.routing.resting import Resting, account, failing
from proxy.policy.money.books import Books
from proxy.policy.money.pricebook import PriceBook
from proxy.policy.names.access import is_narrowed, may_use, rides
from proxy.policy.names.pools import AUTO
from proxy.policy.names.resolution import Names, model_not_found
from proxy.policy.retries.breaker import Breakers
from proxy.policy.routing.board import Board, Kind, board_of, kind_of
from proxy.policy.routing.deciding import Chance, Choice, asks_too_much, beyond, decide, onward
from proxy.policy.routing.health import health_of
from proxy.policy.routing.needs import needs_of
from proxy.policy.routing.observing import Observed
from proxy.policy.routing.sessions import Sessions, prefix_of
from proxy.policy.routing.values import NAMED, PRIVATE, Ask, Decision, Health
from proxy.policy.routing.words import decision_of
from proxy.policy.strategies import Pool, Seat, Strategy
from proxy.policy.values import Caller, Plan, Provider, Settings, Target
from proxy.translate.images.refusals import UnsupportedModel
from proxy.wire.call import Call

if TYPE_CHECKING:
    from proxy.exchange.job import Job

_PUSD = 1e-12
# what is learnt within this time is worth no new board: for each of its candidates it takes some five microseconds
_BOARD_SECONDS, _CANDIDATE_SECONDS = 0.25, 0.001
_MOST_DECISIONS = 500
_MOST_BOARDS = 256


class Decided(Struct, frozen=True):
    """A decision that was taken, with when and for whom; its words are made when somebody asks. `for_call`: else it was only
    recommended."""

    id: str
    at: float
    key: str
    asked: str
    choice: Choice
    ask: Ask
    health: Health
    for_call: bool = True

    def in_words(self) -> Decision:
        """As it is shown."""
        return decision_of(self.choice, self.ask, self.health, self.id)


class Drawn(Struct, frozen=True):
    """A board with when it was made and of what, and who among its candidates recovers."""

    board: Board
    at: float
    version: int
    shares: Mapping[Target, float]
    seats: tuple[Seat, ...]
    task: str


def _none_failing(_: str) -> Breakers:
    """Where no daemon runs."""
    return Breakers(())


def refuse_unlike(pool: Pool, call: Call) -> None:
    """Raise `UnsupportedModel` where `auto`, which chooses among models that chat, is to do something else."""
    if pool.is_auto and not call.endpoint.chats:
        raise UnsupportedModel(
            f"'{AUTO}' chooses among models that chat; name the model that {call.endpoint.name} is for.", param="model"
        )


class Course:
    """One call that was routed, while it runs."""

    __slots__ = ("_at", "_own", "_router", "_session")

    def __init__(self, router: Router, session: bytes, own: Mapping[str, Provider]) -> None:
        self._router = router
        self._session = session
        self._own = own
        self._at: Target | None = None

    def goes_to(self, target: Target) -> None:
        """An attempt is made there."""
        self.ended(0)
        self._router.busy[target] = self._router.busy.get(target, 0) + 1
        self._at = target

    def ended(self, input_tokens: int) -> None:
        """It is over; with an answer its session stays there."""
        if (target := self._at) is None:
            return
        self._at = None
        left = self._router.busy.get(target, 0) - 1
        if left > 0:
            self._router.busy[target] = left
        else:
            self._router.busy.pop(target, None)
        if input_tokens and self._session:
            self._router.sessions.stick(self._session, target, input_tokens, time.monotonic())

    def rest(self, seconds: float, *, is_whole: bool) -> None:
        """The provider says when it may be asked again: for that model, or for any with that key."""
        if (at := self._at) is not None:
            where = at.provider if is_whole else at
            self._router.resting.asked(where, account(self._own, at.provider), time.monotonic() + seconds)

    def answered(self, fields: Mapping[str, str]) -> None:
        """With these headers, which may say that nothing more is left there."""
        if (at := self._at) is not None:
            self._router.resting.told(at, account(self._own, at.provider), fields, time.monotonic())


class Router:
    """Of one daemon. `take_on` begins with other settings and lists; what was observed, and sessions, stay."""

    def __init__(
        self,
        settings: Settings,
        names: Names,
        prices: PriceBook,
        breakers_of: Callable[[str], Breakers] = _none_failing,
    ) -> None:
        self.observed = Observed()
        self.busy: dict[Target, int] = {}
        self.resting = Resting()
        self.decided: deque[Decided] = deque(maxlen=_MOST_DECISIONS)
        self.sessions = Sessions()
        self.settings = settings
        self._is_auto_asked = False
        self.take_on(settings, names, prices, breakers_of)

    def take_on(
        self, settings: Settings, names: Names, prices: PriceBook, breakers_of: Callable[[str], Breakers]
    ) -> None:
        """Decide by these from now on. `breakers_of`: those of a tenant's own accounts, "" of everybody's."""
        self.resting.forget(self.settings.providers, settings.providers)
        self.settings, self._names, self._breakers_of = settings, names, breakers_of
        self._boards: dict[tuple[object, ...], Drawn] = {}
        self._candidates = Candidates(settings, prices)
        self._own: dict[tuple[object, ...], tuple[Pool, tuple[Seat, ...]]] = {}

    def strategy(self, name: str) -> Strategy:
        """One's own of that name, else a built-in one. Raises KeyError."""
        return self.settings.strategies.get(name) or NAMED[name]

    def bound_by(self, books: Books, whose: tuple[tuple[str, ...], str], strategy: Strategy, ask: Ask) -> Ask:
        """What is asked with what the budgets over these scopes leave this key: nothing else, where none binds."""
        now, (scopes, key) = time.time(), whose
        room = books.room(scopes, key, now)
        if room is None:
            return ask
        used = 0.0
        if strategy.kind == "budget":
            standings = [one for one in books.standings(scopes, now) if one.budget.cap_pusd]
            used = max((one.spent_pusd / one.budget.cap_pusd for one in standings), default=0.0)
        needs_price = self.settings.money.rules.unpriced == "deny"
        return replace(ask, left_usd=room.spendable_pusd * _PUSD, used=used, needs_price=needs_price)

    def chosen_among(self) -> set[Target]:
        """All candidates there are: of every name, and of `auto` once somebody has asked for it."""
        asked = [name for name, alias in self.settings.aliases.items() if alias.candidates]
        found: set[Target] = set()
        for name in [*asked, *((AUTO,) if self._is_auto_asked else ())]:
            with suppress(ModelNotFound):
                pool = self._names.look_up(name).plan.pool
                found |= set() if pool is None else {seat.target for seat in pool.seats}
        return found

    def choose(self, job: Job, books: Books) -> Job:
        """Put the plan of the decision in the place of the job's. Raises `NoHealthyUpstream` where nobody fits, and
        `UnsupportedModel` where nobody ever will, or `auto` is asked for what is no chat."""
        pool, record, now = job.plan.pool, job.record, time.monotonic()
        assert pool is not None
        refuse_unlike(pool, job.call)
        media = job.weight.input_media
        needs = needs_of(job.call, media.images, media.audio_seconds) | PRIVATE * job.caller.zdr
        maximum, likely = job.weight.requested.maximum or 0, job.weight.likely_input_tokens
        seats, strategy = self.seats_for(pool, job.caller, job.plan), self.strategy(pool.strategy)
        if not seats:
            raise model_not_found(job.call.model or "", ())
        most, others = job.weight.text_tokens, beyond(job.plan) if job.call.ours.fallback else ()
        ask = Ask(needs, likely, maximum, job.call.stream, most_input_tokens=most, beyond=others)
        ask = self.bound_by(books, (job.scopes, job.caller.name), strategy, ask)
        self.observed.is_wanted = True
        drawn = self._drawn(seats, strategy, ask, now)
        session = self._session(job, drawn.board.strategy)
        stuck = self.sessions.find(session, strategy.sticky_seconds, now) if session else None
        health = self._health(drawn, job.caller, ask, now)
        chance = Chance(random.random(), random.random(), random.random())
        choice = decide(drawn.board, ask, health, stuck, chance)
        record.task = drawn.task
        record.decision = f"dec_{record.request_id.removeprefix('req_')}"
        decided = Decided(record.decision, time.time(), job.caller.name, job.call.model or "", choice, ask, health)
        self.decided.append(decided)
        plan = onward(choice, job.plan, falls_back=job.call.ours.fallback)
        if plan is None:
            raise nobody(choice, decided.in_words())
        job.plan = plan
        record.label = job.plan.label
        job.course = Course(self, session, job.caller.own)
        return job

    def rehearse(
        self, pool: Pool, who: tuple[Caller, Plan], ask: Ask, strategy: Strategy | None = None
    ) -> tuple[Choice, Health]:
        """What a call would be told, without a draw: nothing is explored and nothing remembered. By the pool's strategy, or by
        one that nobody has written down."""
        now = time.monotonic()
        kind = kind_of(ask, stream=ask.stream)
        drawn = self._draw(self.seats_for(pool, *who), strategy or self.strategy(pool.strategy), kind, now)
        health = self._health(drawn, who[0], ask, now)
        return decide(drawn.board, ask, health, None, Chance()), health

    def board(self, seats: tuple[Seat, ...], strategy: Strategy, ask: Ask) -> Board:
        """The board that calls of this kind are decided by."""
        return self._drawn(seats, strategy, ask, time.monotonic()).board

    def seats_for(self, pool: Pool, caller: Caller, plan: Plan) -> tuple[Seat, ...]:
        """The candidates a caller may use; of `auto` all it may."""
        self._is_auto_asked = self._is_auto_asked or pool.is_auto
        is_switched = caller.name in self._names.switched_keys
        if not is_switched and (not is_narrowed(caller) or (not pool.is_auto and rides(caller, plan.label))):
            return pool.seats
        whose = (id(pool), caller.name if is_switched else "", caller.models, caller.also)
        found = self._own.get(whose)
        if found is None or found[0] is not pool:
            rides_ = not pool.is_auto and rides(caller, plan.label)
            own = tuple(seat for seat in pool.seats if _may(caller, self._names, seat, rides_=rides_))
            found = self._own[whose] = (pool, own)
        return found[1]

    def _session(self, job: Job, strategy: Strategy) -> bytes:
        """What a session is known by, always under its key; nothing where the strategy keeps none."""
        if not strategy.sticky_seconds:
            return b""
        said = job.record.marks.session.encode() or prefix_of(job.call)
        if not said:
            return b""
        whole = b"\0".join((job.caller.name.encode(), strategy.name.encode(), (job.call.model or "").encode(), said))
        return hashlib.blake2b(whole, digest_size=16).digest()

    def _drawn(self, seats: tuple[Seat, ...], strategy: Strategy, ask: Ask, now: float) -> Drawn:
        kind = kind_of(ask, stream=ask.stream)
        kind = kind if strategy.kind == "budget" else replace(kind, spent_tenths=0)
        name = (id(seats), strategy.name, kind)
        found, version = self._boards.get(name), self.observed.version
        if found is not None and found.seats is seats:
            if found.version == version or now - found.at < _BOARD_SECONDS + len(seats) * _CANDIDATE_SECONDS:
                return found
        if len(self._boards) >= _MOST_BOARDS:
            self._boards.clear()
        drawn = self._boards[name] = self._draw(seats, strategy, kind, now)
        return drawn

    def _draw(self, seats: tuple[Seat, ...], strategy: Strategy, kind: Kind, now: float) -> Drawn:
        observed, version = self.observed, self.observed.version
        candidates = self._candidates.of(seats)
        if observed.evidence.shown:
            candidates = tuple(observed.evidence.seen(one, kind.task) for one in candidates)
        board = board_of(candidates, lambda target: observed.speed(target, now, stream=kind.stream), strategy, kind)
        shares = {c.target: share for c in candidates if (share := observed.share(c.target, stream=kind.stream)) < 1}
        return Drawn(board, now, version, shares, seats, kind.task)

    def _health(self, drawn: Drawn, caller: Caller, ask: Ask, now: float) -> Health:
        known = Health({}, drawn.shares, self.busy)
        resting = self.resting.of(caller.own, ask.input_tokens, now)
        return health_of(drawn.board, failing(caller, self._breakers_of, now), resting, known, now)


def nobody(choice: Choice, decision: Decision) -> UnsupportedModel | NoHealthyUpstream:
    """No candidate fits; the first reasons say why."""
    why = "; ".join(f"{one.model}: {one.reason}" for one in decision.dropped[:3]) or "there are none"
    message = f"No candidate for this call fits: {why}. `tollkeeper route` shows all of them."
    return UnsupportedModel(message, param="model") if asks_too_much(choice) else NoHealthyUpstream(message)


def _may(caller: Caller, names: Names, seat: Seat, *, rides_: bool) -> bool:
    if caller.name in names.switched_keys and not names.is_on(seat.slug, caller.name):
        return False
    return rides_ or may_use(caller, names, seat.label)
