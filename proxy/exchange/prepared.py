"""What calls have in common that differ in nothing but their messages, worked out by the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from proxy.dialects import Incoming, UpstreamRequest
from proxy.exchange.entry import Tried
from proxy.policy.money.requested import Requested
from proxy.policy.retries.breaker import Breakers
from proxy.policy.values import ApiName, Plan, Provider, Target
from proxy.wire.body_template import BodyTemplate
from proxy.wire.call import Call
from proxy.wire.marks import Marks
from proxy.wire.outgoing import Change

if TYPE_CHECKING:
    from proxy.exchange.hold_terms import HoldTerms


class Sent(Struct, frozen=True):
    """The request of an attempt: all of it but the body that `change` makes, with the headers that were `incoming`. `begins` is what stands for the first `cut`
    bytes of a body in which nothing else changes, None where more does."""

    request: UpstreamRequest
    incoming: Incoming
    change: Change
    adjusted: tuple[str, ...]
    begins: bytes | None = None
    cut: int = 0


class Route(Struct, eq=False):
    """The way of an attempt to its target, as far as calls alike have it in common.

    `names` are the label whose own price counts, and the model as the provider is sent it. `is_barred`: none may be made
    there. `api`: what it may have to be translated from, None where it goes as it is. `answered` is what records have of
    it with a 200, `named` the lines of a reply's head that say who answered, between the
    call's id and how many attempts that took, `sent` its request where no budget has lowered it, `like` what the first that
    went this way held, whosever it was.
    """

    target: Target
    provider: Provider
    breakers: Breakers
    names: tuple[str, str]
    is_barred: bool
    api: ApiName | None
    answered: tuple[Tried]
    named: str
    sent: Sent | None = None
    like: HoldTerms | None = None


class Prepared(Struct, eq=False):
    """Of one head and sender, and bodies alike but for their messages, which have the `template`. `call` is the first of them,
    less its body. `requested`: what they ask for, where their messages have been texts and nothing else; None
    where each is to be looked into. `terms` is what the latest attempt held, `others` are those of other ways.

    All but the scopes and the terms of holds is one with what others have who send the same: where many keys call, hardly more than
    that is looked at of each. It lives as long as what the head was judged by: configuration, keys, lists of models.
    """

    template: BodyTemplate
    call: Call
    plan: Plan
    marks: Marks
    scopes: tuple[str, ...]
    requested: Requested | None
    routes: dict[int, Route] = {}
    terms: HoldTerms | None = None
    others: tuple[HoldTerms, ...] = ()

    def terms_of(self, route: Route) -> HoldTerms | None:
        """What an attempt holds that goes another way than the latest."""
        found = next((terms for terms in self.others if terms.route is route), None)
        if found is not None:
            self.keep(found)
        return found

    def keep(self, terms: HoldTerms) -> None:
        """It is that of the latest attempt."""
        before = self.others if self.terms is None else (*self.others, self.terms)
        self.terms, self.others = terms, tuple([one for one in before if one.route is not terms.route])
