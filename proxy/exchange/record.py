"""What happened in one call, written while it happens, for the log, the ledger and `web/` to read.

Most of it is only told. Decided by is what says how far the call is, which nobody else knows: what giving up would cost when its
client leaves (`closing_stops_billing`: `asked_of`, `target`, `findings`, `held`, `stream`) or where it runs on (`phase`), that it
did leave or was cut (`client_left`, `cut_by`), whether an attempt was sent (`calls`: else it counts under no limit), and why
another target answers (`fallback`: each reason moves a call once, and what it then gets is not kept for others).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct, field

from proxy.errors import ProxyError
from proxy.exchange.entry import Tried
from proxy.exchange.times import Queued, micro
from proxy.policy.money.billing import Serving, closing_stops_billing
from proxy.policy.routing.evidence import PLAIN
from proxy.policy.values import Provider, Target
from proxy.wire.endpoints import Endpoint, Shape
from proxy.wire.error_objects import Missing, kind_of
from proxy.wire.findings import Findings
from proxy.wire.marks import UNMARKED, Marks
from proxy.wire.structs import often_set
from proxy.wire.usage import Usage

if TYPE_CHECKING:
    from proxy.exchange.listening import Listener

_ANY = Endpoint("other")
Phase = Literal["reading", "waiting", "sent", "streaming", "done"]


class Held(Protocol):
    """The hold of the attempt under way; `is_sent`: bytes of its request have gone out."""

    is_sent: bool

    def so_far_pusd(self, findings: Findings) -> int:
        """What it would cost if it ended now."""


@often_set
class Record(Struct, eq=False):
    """`at` is UTC epoch seconds; `started` is the same moment in monotonic seconds, as are all that follow, None where it never
    came to that. `waited_seconds` were spent waiting for the request's body, in line and between tries, `upstream_seconds` for
    providers. Of the attempt under way: `sent_at` it began; `opened_at` opening a connection ended, where one was opened.
    Of the reply that goes out: when its first event came (whole ones: when they went out), and of a stream the first that
    carries text, a tool call or reasoning. `queued`: of a call that stood in line.

    `timing`: the key wants its replies to say where their time went. `decision` is the id of the one that chose the target, where there were several. `pending`: what it
    costs is not known before a response in the background has ended. `cache`: what another call had to do with this one.
    `fallback`: why another answers than the first. `dressed`: what the use case has changed, whichever attempt. `losses`: from
    a protocol, to another, which field."""

    request_id: str
    started: float
    at: float = field(default_factory=time.time)
    phase: Phase = "reading"
    endpoint: str = "other"
    shape: Shape = "other"
    key: str | None = None
    tenant: str = ""
    waited_seconds: float = 0.0
    upstream_seconds: float = 0.0
    sent_at: float = 0.0
    opened_at: float | None = None
    first_byte_at: float | None = None
    first_token_at: float | None = None
    queued: Queued | None = None
    model: str | None = None
    label: str | None = None
    stream: bool = False
    speaks_anthropic: bool = False
    timing: bool = False
    pending: bool = False
    cors: Sequence[tuple[str, str]] = ()
    marks: Marks = UNMARKED
    cache: str = ""
    target: Target | None = None
    tried: tuple[Tried, ...] = ()
    calls: int = 0
    status: int = 0
    unsettled: int = 0
    cost_pusd: int = 0
    saved_pusd: int = 0
    cost_source: str | None = None
    adjusted: tuple[str, ...] = ()
    decision: str = ""
    use_case: str = ""
    arm: str = ""
    fallback: str = ""
    task: str = PLAIN
    listener: Listener | None = None
    dressed: tuple[str, ...] = ()
    losses: tuple[tuple[str, str, str], ...] = ()
    error: ProxyError | None = None
    failure: str | None = None
    failure_status: int | None = None
    missing: Missing = "unknown"
    usage: Usage | None = None
    served: str | None = None
    upstream_request_id: str | None = None
    client_left: Phase | None = None
    asked_of: Provider | None = None
    limit_headers: str = ""
    cut_by: ProxyError | None = None
    findings: Findings | None = None
    held: Held | None = None
    shadow_rejections: tuple[str, ...] = ()
    when_settled: Callable[[], object] | None = None

    def since_start(self, moment: float | None) -> float | None:
        """Seconds from the call's start, to the microsecond."""
        return None if moment is None else micro(moment - self.started)

    def server_timing(self, now: float, began: float | None, *, is_whole: bool) -> str:
        """What a `Server-Timing` header says as its head goes out, in milliseconds (W3C Server Timing 3).

        `began`: when the reply's first byte came, None where no provider has answered. The total is known where the reply
        `is_whole`.
        """
        wait = self.waited_seconds * 1000
        ours = max(0.0, (now - self.started - self.upstream_seconds) * 1000 - wait)
        said = f'wait;dur={wait:.3f};desc="request body, line, retries", ours;dur={ours:.3f};desc="Tollkeeper"'
        if began is not None:
            said += f', upstream;dur={(began - self.sent_at) * 1000:.3f};desc="provider, to its first byte"'
        return f"{said}, total;dur={(now - self.started) * 1000:.3f}" if is_whole else said

    def lose(self, source: str, target: str, fields: Iterable[str]) -> None:
        """Something of the call or its reply could not be said in another protocol."""
        self.losses += tuple((source, target, field) for field in fields)

    def closing_stops_billing(self) -> bool:
        """Whether to give up now ends what the call costs; where nothing is under way, nothing can be billed."""
        if self.asked_of is None or self.target is None or self.findings is None:
            return True
        if self.held is not None and not self.held.is_sent:
            return True
        served_by = self.findings.served_by or ("" if self.findings.events else None)
        return closing_stops_billing(Serving(self.asked_of, self.target.model, served_by), streamed=self.stream)

    def so_far_pusd(self) -> int:
        """What the attempt under way has come to."""
        return self.held.so_far_pusd(self.findings) if self.held is not None and self.findings is not None else 0

    def pass_shadow(self, code: str, entry: str) -> None:
        """A budget or limit in shadow, by its id, would have refused the call with this code; they stand in the order of codes."""
        self.shadow_rejections = tuple(sorted({*self.shadow_rejections, f"{code} by {entry}"}))

    def settled_late(self) -> None:
        """A look-up has ended; with the last one the call is over for the books as well."""
        self.unsettled -= 1
        if not self.unsettled and (tell := self.when_settled) is not None:
            self.when_settled = None
            tell()

    def left_early(self) -> bool:
        """The client went before what it asked for was complete; that is nobody's failure."""
        return self.client_left is not None and self.phase != "done"

    def error_type(self) -> str | None:
        """Whose fault it was, None where all went well."""
        if self.error is not None:
            return self.error.kind
        if self.failure is not None or self.status >= 400:
            status = self.status if self.failure_status is None else self.failure_status
            return kind_of(status, self.missing)
        return None


Ended = tuple[Record, float]  # with the monotonic time of its end


def record_of(request_id: str, endpoint: Endpoint = _ANY, key: str | None = None, tenant: str = "") -> Record:
    """The record of a call that begins now."""
    now = time.monotonic()
    return Record(request_id, now, time.time(), "reading", endpoint.name, endpoint.shape, key, tenant)
