"""One call on its way through the exchange."""

from __future__ import annotations

from msgspec import Struct

from proxy.dialects import Incoming
from proxy.exchange.painting import Sketch
from proxy.exchange.record import Record
from proxy.policy.limits.limiter import Taken
from proxy.policy.money.weight import Weight, weigh
from proxy.policy.values import Caller, Plan
from proxy.wire.call import Call
from proxy.wire.endpoints import Endpoint

_NOTHING = Call(Endpoint("none"), "", "", "GET", b"")
NO_WEIGHT = weigh(_NOTHING)
_NOBODY = Incoming(())


class Job(Struct):
    """What was asked and what it weighs, by whom, where it may go, and until when its client waits (monotonic seconds).

    `scopes`: whose budgets and limits it falls under; `under` also which narrowed budgets bind its latest attempt. `taken` is
    what it has taken from its limits, None until the step in which its first attempt takes its hold; tokens as
    `likely_tokens` has them. `sketch`: the pictures it asks for, where its provider is asked otherwise. `cap`: the maximum of
    output tokens to put in, whatever budgets say; None is none.
    """

    call: Call
    weight: Weight
    caller: Caller
    plan: Plan
    incoming: Incoming
    record: Record
    until: float
    scopes: tuple[str, ...]
    likely_tokens: int
    taken: Taken | None = None
    under: tuple[str, ...] = ()
    sketch: Sketch | None = None
    cap: int | None = None

    def let_go(self) -> None:
        """No further attempt follows: a long stream need not keep the request, least of all its body."""
        self.call, self.weight, self.incoming, self.sketch = _NOTHING, NO_WEIGHT, _NOBODY, None
