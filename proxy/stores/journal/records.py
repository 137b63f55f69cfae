"""What the journal holds and the ledger keeps: one row per attempt, and the records that lead to it.

They are written as arrays, without the names of their fields: fields are only ever appended, with defaults, so that older
journals replay. A bound stated with a type
is kept by whoever reads a record; one that breaks it is as good as unreadable, and its hold is charged.
None can be part of a circle, so that the garbage collector need not look at them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from proxy.policy.money.periods import LAST_START

MOST_INT = 2**63 - 1  # of a column

Pusd = Annotated[int, Meta(ge=0, le=MOST_INT)]  # 1e-12 USD
Milliseconds = Annotated[int, Meta(ge=0, le=1000 * LAST_START)]  # since the epoch, UTC
Source = Literal["reported", "looked_up", "computed", "counted", "held", "interrupted", "unknown", "none", "cached"]
Period = Annotated[int, Meta(ge=0, le=LAST_START)]  # its start in epoch seconds; 0 for "total"
Charge = tuple[str, Period]  # budget id, period


class Row(Struct, frozen=True, array_like=True, gc=False):
    """One attempt sent upstream, or one call that never was (`provider` ""): refused (`source` "none"), or served with the
    reply to another ("cached": `upstream_id` is that one, and `saved_pusd` what it cost). Of a line of a provider's own batch
    `saved_pusd` is what it would have cost more on its own.

    `id` is unique: request id, dot, number of the attempt. `at_ms` is UTC epoch milliseconds. `model` is the configured target,
    `asked` what the client wrote, `served` what the upstream says answered. `counts_call`: calls are
    counted on this row (their first attempt), however many attempts each took. `times`: how many refused calls
    of that key, reason and second the row stands for; its id is the first one's. `message` is why a call was refused;
    of one that was sent, what budgets and limits in shadow would have refused it with. `session` is the client's own id, and
    `tags` have commas between them; "" where there are none.

    From the call's start it took `sent_ms` until the attempt began (`waited_ms` of them spent waiting: for the request's
    body, in line, between tries), `first_byte_ms` until the reply, `first_token_ms` until its first token, `total_ms`
    until its end; `connect_ms` of the attempt went into a new connection. None: it never came to that, or nobody noted it.
    `tenant` is whose the key was then, "" nobody's; `use_case` the name and version of the entry that had its say, `arm`
    an experiment and the target of its arm, with a slash between them; "" where none did.
    """

    id: str
    request_id: str
    attempt: int
    at_ms: Milliseconds
    key: str
    endpoint: str
    asked: str
    model: str
    provider: str
    upstream_model: str = ""
    served: str | None = None
    status: int = 0
    outcome: str = ""
    error: str | None = None
    message: str | None = None
    stream: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pusd: Pusd = 0
    hold_pusd: Pusd = 0
    source: Source = "none"
    first_byte_ms: int | None = None
    total_ms: int = 0
    upstream_id: str | None = None
    adjusted: str = ""
    counts_call: bool = True
    times: int = 1
    first_token_ms: int | None = None
    waited_ms: int | None = None
    sent_ms: int | None = None
    connect_ms: int | None = None
    session: str = ""
    tags: str = ""
    tenant: str = ""
    use_case: str = ""
    decision: str = ""
    arm: str = ""
    saved_pusd: Pusd = 0


class Hold(Struct, frozen=True, array_like=True, gc=False, tag="hold"):
    """Written before the upstream sees a byte. `batch` is the job whose lines a provider's own batch answers, "" for every
    other call: then the hold stays until that is over."""

    id: str
    at_ms: Milliseconds
    request_id: str
    attempt: int
    key: str
    endpoint: str
    asked: str
    model: str
    provider: str
    upstream_model: str
    stream: bool
    amount_pusd: Pusd
    charges: tuple[Charge, ...]
    session: str = ""
    tags: str = ""
    tenant: str = ""
    decision: str = ""
    batch: str = ""


class Begun(Struct, frozen=True, array_like=True, gc=False, tag="begun"):
    """The upstream has begun to answer; with its generation id the cost can be asked for later.

    `background`: the id is that of a response which the provider goes on with whoever listens.
    """

    id: str
    generation_id: str
    background: bool = False


class Settled(Struct, frozen=True, array_like=True, gc=False, tag="settled"):
    """The attempt's row, its cost charged to the periods its hold was taken in. `offered` says which tools the request
    defined (wire/toolset.py), and `called` which of them its reply called; "" where there were none, or it cannot be told."""

    row: Row
    charges: tuple[Charge, ...]
    offered: str = ""
    called: tuple[str, ...] = ()


class Corrected(Struct, frozen=True, array_like=True, gc=False, tag="corrected"):
    """What an attempt cost after all: a usage that came behind its settlement. `was` is the row it had, `row` the one
    it has; the difference is charged to the periods its hold was taken in. One at most for each attempt. `offered` is that of
    its settlement."""

    was: Row
    row: Row
    charges: tuple[Charge, ...]
    offered: str = ""

    @property
    def delta_pusd(self) -> int:
        """What is to be added to what was charged."""
        return self.row.cost_pusd - self.was.cost_pusd


class Voided(Struct, frozen=True, array_like=True, gc=False, tag="voided"):
    """The attempt's row; it provably cost nothing."""

    row: Row


class Refused(Struct, frozen=True, array_like=True, gc=False, tag="refused"):
    """A call that was never sent, kept so that `show` can say why; one of source "cached" was served all the same."""

    row: Row


class Adjusted(Struct, frozen=True, array_like=True, gc=False, tag="adjusted"):
    """An operator corrected what a budget's period has spent, and said why; `actor`, `source` and `tenant` as the audit
    has them, "" where it follows from something else that was done."""

    id: str
    at_ms: Milliseconds
    budget: str
    period: Period
    delta_pusd: Annotated[int, Meta(ge=-MOST_INT, le=MOST_INT)]
    reason: str
    actor: str = ""
    source: str = ""
    tenant: str = ""


Record = Hold | Begun | Settled | Corrected | Voided | Refused | Adjusted
