"""What calls have in common that differ in nothing but their messages, worked out by the first of them."""

from __future__ import annotations

from msgspec import Struct

from proxy.dialects import UpstreamRequest
from proxy.policy.values import Plan, Provider
from proxy.wire.body_template import BodyTemplate
from proxy.wire.call import Call
from proxy.wire.marks import Marks
from proxy.wire.outgoing import Change


class Sent(Struct, frozen=True):
    """The request of such a call to one target, which no budget has lowered: all of it but the body that `change` makes.
    `begins` is what stands for the first `cut` bytes of a body in which nothing else changes, None where more does."""

    provider: Provider
    request: UpstreamRequest
    change: Change
    adjusted: tuple[str, ...]
    hides_usage: bool
    begins: bytes | None = None
    cut: int = 0


class Prepared(Struct, eq=False):
    """Of one head and sender, and bodies alike but for their messages, which have the `template`. `call` is the first of them,
    less its body.

    It lives as long as what the head was judged by: configuration, keys, lists of models.
    """

    template: BodyTemplate
    call: Call
    plan: Plan
    marks: Marks
    scopes: tuple[str, ...]
    sent: dict[int, Sent] = {}


class Before(Struct, eq=False):
    """Of one head and sender, whatever the bodies: by the numbers of their templates, and the `latest`, which mostly comes again."""

    by_template: dict[int, Prepared] = {}
    latest: Prepared | None = None
