"""One call on its way through the exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from proxy.dialects import Incoming
from proxy.exchange.image_calls import ImageCall
from proxy.exchange.prepared import Prepared, Route
from proxy.exchange.record import Record
from proxy.policy.limits.limiter import Limits
from proxy.policy.limits.pace import DEFAULT
from proxy.policy.money.requested import Requested
from proxy.policy.money.weight import Weight, weigh, weight_of_texts
from proxy.policy.values import Caller, Plan, Target
from proxy.wire.call import Call
from proxy.wire.endpoints import Endpoint
from proxy.wire.structs import often_set


class Course(Protocol):
    """What follows a call whose target was chosen among several."""

    def goes_to(self, target: Target) -> None:
        """An attempt is made there."""

    def rest(self, seconds: float, *, is_whole: bool) -> None:
        """The provider of that attempt says when it may be asked again."""

    def answered(self, fields: Mapping[str, str]) -> None:
        """It came with these headers."""

    def ended(self, input_tokens: int) -> None:
        """It is over; so many tokens were read, 0 where there was no answer."""


_NOTHING = Call(Endpoint("none"), "", "", "GET", b"")
NO_WEIGHT = weigh(_NOTHING)
_NOBODY = Incoming(())


@often_set
class Job(Struct):
    """What was asked and what it weighs, by whom, where it may go, and until when its client waits (monotonic seconds).

    `requested`, `text_tokens` and `likely_tokens` are as its `weight` has them, which is `weighed` where it was looked into; what is
    text and nothing else weighs what follows from these.
    `scopes`: whose budgets and limits it falls under; `under` also which narrowed budgets bind its latest attempt. `limits`
    are those it has taken from, with its `likely_tokens`: none until the step in which its first attempt takes its hold.
    `image_call`: the pictures it asks for, where its provider is asked otherwise. `cap`: the maximum of
    output tokens to put in, whatever budgets say; None is none. `course` is there where the target was chosen among several; `place`: from which limits of a
    provider its attempt took, so many tokens, after how many calls.
    `rank`: of its priority. `leave` gives back the place it has at a target that is paced. `prepared` is what was worked out for
    one like it, `route` the way of the latest attempt, and
    `is_answered` whether that has brought an answer that is no error.
    """

    call: Call
    requested: Requested
    text_tokens: int
    likely_tokens: int
    caller: Caller
    plan: Plan
    incoming: Incoming
    record: Record
    until: float
    scopes: tuple[str, ...]
    under: tuple[str, ...]
    rank: int = DEFAULT
    prepared: Prepared | None = None
    weighed: Weight | None = None
    limits: Limits | None = None
    image_call: ImageCall | None = None
    cap: int | None = None
    course: Course | None = None
    place: tuple[Limits, int, int] | None = None
    leave: Callable[[], None] | None = None
    route: Route | None = None
    is_answered: bool = False

    def over(self) -> None:
        """The call has ended: whoever chose its targets counts it no more."""
        if self.course is not None:
            usage = self.record.usage if self.record.status < 400 else None
            self.course.ended(0 if usage is None else usage.input_tokens)

    @property
    def weight(self) -> Weight:
        """All of what it weighs."""
        return self.weighed or weight_of_texts(
            self.record.endpoint, self.text_tokens - self.requested.tools_tokens, self.likely_tokens, self.requested
        )

    def let_go(self) -> None:
        """No further attempt follows: a long stream need not keep the request, least of all its body."""
        self.call, self.incoming, self.image_call = _NOTHING, _NOBODY, None
