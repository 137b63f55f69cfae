"""What calls have in common that differ in nothing but their messages, worked out by the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from proxy.dialects import UpstreamRequest
from proxy.exchange.record import Tried
from proxy.policy.money.asks import Asks
from proxy.policy.retries.breaker import Breakers
from proxy.policy.values import Plan, Provider, Target, Tongue
from proxy.wire.body_template import BodyTemplate
from proxy.wire.call import Call
from proxy.wire.marks import Marks
from proxy.wire.outgoing import Change

if TYPE_CHECKING:
    from proxy.exchange.fares import Fare


class Sent(Struct, frozen=True):
    """The request of an attempt: all of it but the body that `change` makes. `begins` is what stands for the first `cut`
    bytes of a body in which nothing else changes, None where more does."""

    request: UpstreamRequest
    change: Change
    adjusted: tuple[str, ...]
    begins: bytes | None = None
    cut: int = 0


class Route(Struct, eq=False):
    """The way of an attempt to its target, as far as calls alike have it in common.

    `names` are the label whose own price counts, and the model as the provider is sent it. `is_barred`: none may be made
    there. `tongue`: what it may have to be translated from, None where it goes as it is. `answered` is what records have of
    it with a 200, `named` the lines of a reply's head that say who answered, between the
    call's id and how many attempts that took, `sent` its request where no budget has lowered it, `like` what the first that
    went this way held, whosever it was.
    """

    target: Target
    provider: Provider
    breakers: Breakers
    names: tuple[str, str]
    is_barred: bool
    tongue: Tongue | None
    answered: Tried
    named: str
    sent: Sent | None = None
    like: Fare | None = None


class Prepared(Struct, eq=False):
    """Of one head and sender, and bodies alike but for their messages, which have the `template`. `call` is the first of them,
    less its body. `asks`: what they ask for, where their messages have been texts and nothing else; None
    where each is to be looked into. `fare` is what the latest attempt held, `others` are those of other ways.

    All but the scopes and fares is one with what others have who send the same: where many keys call, hardly more than
    that is looked at of each. It lives as long as what the head was judged by: configuration, keys, lists of models.
    """

    template: BodyTemplate
    call: Call
    plan: Plan
    marks: Marks
    scopes: tuple[str, ...]
    asks: Asks | None
    routes: dict[int, Route] = {}
    fare: Fare | None = None
    others: tuple[Fare, ...] = ()

    def fare_of(self, route: Route) -> Fare | None:
        """What an attempt holds that goes another way than the latest."""
        found = next((fare for fare in self.others if fare.route is route), None)
        if found is not None:
            self.keep(found)
        return found

    def keep(self, fare: Fare) -> None:
        """It is that of the latest attempt."""
        before = self.others if self.fare is None else (*self.others, self.fare)
        self.fare, self.others = fare, tuple([one for one in before if one.route is not fare.route])
