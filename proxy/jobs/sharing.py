"""Calls that are alike: identical ones under way are sent once, and exact answers are kept and given again.

Nobody shares with another key or tenant. What is shared costs nothing: it takes no hold and no place under a limit, and is
a row of the ledger without an attempt. The first of several calls goes its way; the others get what it gets, as it comes.
Where it fails before they got anything, one of them goes its way as well, and what becomes of that they all are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from proxy.exchange.client import Client
from proxy.exchange.io.stepper import Stepper
from proxy.exchange.record import Record
from proxy.jobs.faults import NotCached
from proxy.jobs.flights import Flight, Recording
from proxy.jobs.kept import Kept, KeptReplies, Sought
from proxy.jobs.passing import pass_on, say_again, tell_failure
from proxy.policy.sharing import digest_of, first_said, was_lowered, wish_for
from proxy.policy.tenants import owner_of
from proxy.policy.values import Plan
from proxy.web.client.heads import Asked
from proxy.wire.call import Call

_FAILURES = 2  # of calls that are alike, after which all that wait are told
Place = tuple[str, bytes, str, tuple[str, ...]]  # whose, the digest of what is asked, its session and tags


class Leader(Flight):
    """A call that others get the reply of. `is_over`: nothing more will come of it. `ended` hears that, `left` that neither
    a client nor a follower is there any more."""

    def __init__(self, client: Client, ended: Callable[[Leader], None], left: Callable[[Leader], None]) -> None:
        super().__init__(client.record.request_id)
        self.record = client.record
        self.stepper = client.stepper
        self.recording = Recording(client.connection, self._client_left, self._over, self.wake)
        self.reading = self.recording.reading
        self.is_over = False
        self._has_left = False
        self._followers = 0
        self._ended = ended
        self._left = left

    @property
    def is_open(self) -> bool:
        """Whether one more may follow."""
        is_wanted = self._followers > 0 or not self._has_left
        return is_wanted and not self.is_over and not self.reading.dropped

    def __enter__(self) -> Leader:
        """One more follows."""
        self._followers += 1
        return self

    def __exit__(self, *_: object) -> None:
        """One less."""
        self._followers -= 1
        if self._has_left and not self._followers and not self.is_over:
            self._left(self)

    def _client_left(self) -> bool:
        """From now on it is the followers' alone; whether there is one."""
        self._has_left = True
        return self._followers > 0

    def _over(self) -> None:
        self.is_over = True
        self._ended(self)
        self.wake()


class Sharer:
    """`serve` answers a call with what another got, or lets it go its way and takes in what it gets."""

    def __init__(self, kept_replies: KeptReplies, left: Callable[[Stepper, Record], None]) -> None:
        """`left` is told of calls whose clients have left, and nobody else wants any more."""
        self._kept_replies = kept_replies
        self._left = left
        self._under_way: dict[Place, Leader] = {}

    async def serve(self, asked: Asked, client: Client, call: Call, plan: Plan) -> bool:
        """Whether it was answered. Raises `ProxyError`."""
        caller, record, head = asked.caller, client.record, asked.head.incoming.headers
        said = first_said((caller.sharing, plan.sharing))
        if plan.experiment:  # which is about what differs
            record.cache = "bypass" if said is not None else ""
            said = None
        wish = wish_for(said, call, plan.defaults, head, zdr=caller.zdr)
        if wish.bypassed:
            record.cache = "bypass"
        if wish.only_kept and (wish.cache is None or not wish.reads):
            raise _not_kept("is kept of calls like this one")
        if not wish.coalesce and wish.cache is None:
            return False
        told = (plan.targets, plan.start, caller.max_output)
        sought = Sought(owner_of(caller), digest_of(call, plan.defaults, head, *told), wish, caller.max_output)
        if wish.cache is not None:
            if wish.reads and (kept := await self._kept_replies.find(sought)) is not None:
                self._hit(client, kept)
                return True
            record.cache = "miss" if wish.reads else "bypass"
            if wish.only_kept:
                raise _not_kept("that is new enough is kept of this call")
        if wish.coalesce and await self._follow(sought, client):
            return True
        self._lead(sought, client, plan)
        return False

    def _hit(self, client: Client, kept: Kept) -> None:
        record, age = client.record, max(0, int(time.time() - kept.at_ms / 1000))
        record.cache, record.saved_pusd = "hit", kept.cost_pusd
        note = f"the reply to {kept.request_id}, kept {age} s before"
        self._kept_replies.note(record, kept.reply.status, (kept.request_id, note))
        say_again(client, kept.reply, [("Age", str(age))])

    async def _follow(self, sought: Sought, client: Client) -> bool:
        """Whether another call's reply served this one; False where this one is to lead."""
        record, failures = client.record, 0
        was, place = record.cache, _place(sought, record)
        while (leader := self._under_way.get(place)) is not None and leader.is_open:
            record.cache, record.phase = "coalesced", "waiting"
            with leader:
                if await pass_on(leader, client, partial(self._note, leader, record)):
                    return True
            failures += 1
            if failures == _FAILURES:
                tell_failure(leader, client, partial(self._note, leader, record))
                return True
        record.cache, record.phase = was, "reading"
        return False

    def _note(self, leader: Leader, record: Record, status: int) -> None:
        record.saved_pusd = leader.record.cost_pusd
        self._kept_replies.note(
            record, status, (leader.request_id, f"the reply to {leader.request_id}, then under way")
        )

    def _lead(self, sought: Sought, client: Client, plan: Plan) -> None:
        """From now on what this client gets is taken in."""
        place = _place(sought, client.record)
        leader = Leader(client, partial(self._over, sought, place, plan), self._unwanted)
        if sought.wish.coalesce:
            self._under_way[place] = leader
        client.connection, client.takers = leader.recording, (*client.takers, leader.recording)

    def _over(self, sought: Sought, place: Place, plan: Plan, leader: Leader) -> None:
        """It is over: what it got may serve others later."""
        if self._under_way.get(place) is leader:
            del self._under_way[place]
        reading, record, cap = leader.reading, leader.record, sought.cap
        is_good = reading.is_whole and not reading.dropped and 200 <= reading.status < 300 and _answers(leader)
        is_first = not record.fallback and len({(tried.provider, tried.model) for tried in record.tried}) <= 1
        is_usual = is_first and not was_lowered(record.adjusted, plan.defaults, cap)
        if sought.wish.cache is not None and is_good and is_usual and record.error is None and record.failure is None:
            kept = Kept(record.request_id, int(time.time() * 1000), record.cost_pusd, reading.reply())
            self._kept_replies.keep(sought, kept)

    def _unwanted(self, leader: Leader) -> None:
        self._left(leader.stepper, leader.record)


def _answers(leader: Leader) -> bool:
    """Whether what came is an answer: the page of a gateway is none, nor a chat without a word."""
    kind, record = leader.reading.headers.get("content-type", ""), leader.record
    if kind.startswith("text/"):
        return kind.startswith("text/event-stream")
    return record.shape == "other" or record.findings is None or not record.findings.said_nothing


def _not_kept(what: str) -> NotCached:
    return NotCached(
        f"Nothing {what}, and `Cache-Control: only-if-cached` wants nothing else; leave it out to ask anew."
    )


def _place(sought: Sought, record: Record) -> Place:
    return sought.owner, sought.digest, record.marks.session, record.marks.tags
