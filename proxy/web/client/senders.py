"""Who sends which heads, and what calls of theirs needed that came before: known again by digests, nothing of which is a secret."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from proxy.dialects import Incoming
from proxy.exchange.prepared import Prepared
from proxy.policy.money.conversations import Conversations
from proxy.policy.names.access import is_narrowed
from proxy.policy.values import Caller
from proxy.web.client.heads import Head
from proxy.web.client.keys import Keyring
from proxy.wire.body_template import MOST_ENDS, USUAL_BYTES
from proxy.wire.endpoints import Shape
from proxy.wire.request_head import HeadParts, places_of, with_values

MOST_HEADS = 1024
MOST_DIGESTS = 16_384
MOST_PREPARED_BYTES = 32 * 2**20  # of what calls needed that came before
_MOST_OF_A_HEAD = 64


class Bodies(Struct, eq=False):
    """What calls of one sender needed that came before: the `latest`, which mostly comes again, and where there are several, by
    what their bodies say before their messages, the longest ends first."""

    latest: Prepared | None = None
    by_before: dict[bytes, list[Prepared]] | None = None


class Sender(Struct, eq=False):
    """A head and whose it is; the `bodies` that came with it. `admitted_until`: whether their key still counts need not be asked
    before, in UTC epoch seconds. `is_odd`: replies tell them more than usual, or errors otherwise. The rest is what records of
    their calls begin with."""

    head: Head
    caller: Caller
    bodies: Bodies = field(default_factory=Bodies)
    admitted_until: float = 0.0
    is_odd: bool = False
    endpoint: str = ""
    shape: Shape = "other"
    key: str = ""
    tenant: str = ""

    def __post_init__(self) -> None:
        self.is_odd = bool(self.head.cors or self.head.speaks_anthropic or self.caller.timing)
        self.endpoint, self.shape = self.head.endpoint.name, self.head.endpoint.shape
        self.key, self.tenant = self.caller.name, self.caller.tenant


class Outline(Struct, frozen=True, eq=False):
    """Heads that differ in nothing but values that only pass. `places`: where these stand among the headers of the first of them,
    whose `values` it has."""

    head: Head
    places: tuple[int, ...]
    values: tuple[bytes, ...]

    def filled(self, values: tuple[bytes, ...]) -> Head:
        """The head with other values."""
        headers = with_values(self.head.incoming.headers, self.places, values)
        return replace(self.head, incoming=Incoming(headers))


class Heads:
    """Heads by the digests of their outlines, and senders by those of all that a head says; a change of what they were judged by, keys
    too, makes a new one."""

    def __init__(self) -> None:
        self._known: dict[bytes, Outline] = {}
        self._came: set[bytes] = set()
        self.senders: dict[bytes, Sender] = {}
        self._varying: dict[tuple[bytes, str], Sender] = {}
        self._prepared_bytes = 0
        self.conversations = Conversations()

    def recognised(self, digest: bytes, of_all: bytes, parts: HeadParts, keys: Keyring, begins: bool) -> Sender | None:
        """Who sends a head whose outline came before, if whoever presents the credential may ask for it. Where all of it came before,
        it is known from now on by the digest `of_all`; one comes where a call `begins`, and not before its body is there."""
        outline = self._known.get(digest)
        caller = None if outline is None else keys.caller_of(parts.credential)
        if outline is None or caller is None or (outline.head.endpoint.unbounded and is_narrowed(caller)):
            return None
        if parts.values == outline.values:
            sender = Sender(outline.head, caller)
        else:
            sender = Sender(outline.filled(parts.values), caller, self._bodies_of(digest, outline, caller))
            if not begins or not self._has_come(of_all):
                return sender
        if len(self.senders) >= MOST_DIGESTS:
            self.senders.clear()
        self.senders[of_all] = sender
        return sender

    def _bodies_of(self, digest: bytes, outline: Outline, caller: Caller) -> Bodies:
        """What is known of bodies whatever values their heads have."""
        known = self._varying.get((digest, caller.name))
        if known is None or known.caller is not caller:
            if len(self._varying) >= MOST_DIGESTS:
                self._varying.clear()
            known = self._varying[digest, caller.name] = Sender(outline.head, caller)
        return known.bodies

    def _has_come(self, digest: bytes) -> bool:
        """Whether this was asked before, of late."""
        if digest in self._came:
            return True
        if len(self._came) >= MOST_DIGESTS:
            self._came.clear()
        self._came.add(digest)
        return False

    def keep(self, sender: Sender, prepared: Prepared) -> Prepared:
        """The next call of the same head and sender with such a body need not be worked out again; what others have in common
        with it who send the same is one."""
        caller, known, number = sender.caller, sender.head.prepared, prepared.template.number
        about = number, caller.zdr, caller.tenant if caller.own else ""
        first = known.get(about)
        if first is not None and _is_same(first, prepared):
            prepared, size_bytes = replace(first, scopes=prepared.scopes, terms=None, others=()), USUAL_BYTES
        else:
            size_bytes = prepared.template.size_bytes
            if len(known) >= _MOST_OF_A_HEAD:
                known.clear()
            known[about] = prepared
        self._prepared_bytes += size_bytes
        if self._prepared_bytes > MOST_PREPARED_BYTES:  # senders know heads, and these what their bodies needed
            for forgotten in (self._known, self.senders, self._varying):
                forgotten.clear()
            self._prepared_bytes = 0
        bodies = sender.bodies
        latest, bodies.latest = bodies.latest, prepared
        if latest is not None:
            if bodies.by_before is None:
                bodies.by_before = {latest.template.before: [latest]}
            template = prepared.template
            alike = bodies.by_before.setdefault(template.before, [])
            alike[:] = [one for one in alike if one.template.behind != template.behind][: MOST_ENDS - 1] + [prepared]
            alike.sort(key=lambda one: -len(one.template.behind))
        return prepared

    def learn(self, digest: bytes, values: tuple[bytes, ...], head: Head) -> None:
        """Know it again, and those like it, once one like it has come twice. Of digests and heads, memory has an end."""
        if not self._has_come(digest) or (places := places_of(head.incoming.headers, values)) is None:
            return
        if len(self._known) >= MOST_HEADS:
            self._known.clear()
        self._known[digest] = Outline(head, places, values)


def _is_same(one: Prepared, other: Prepared) -> bool:
    return (one.call, one.plan, one.marks, one.requested) == (other.call, other.plan, other.marks, other.requested)
