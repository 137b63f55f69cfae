"""What the journal holds and the ledger keeps: one row per attempt, and the records that lead to it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Source = Literal["reported", "looked_up", "computed", "counted", "held", "interrupted", "unknown", "none"]
Charge = tuple[str, int]  # budget id, period (its start in epoch seconds; 0 for "total")


class Row(Struct, frozen=True):
    """One attempt sent upstream, or one refused call (`provider` "" and `source` "none").

    `id` is unique: request id, dot, number of the attempt. Times are UTC epoch milliseconds or
    durations in ms; None means it never came to that. `model` is the configured target,
    `asked` what the client wrote, `served` what the upstream says answered. `counts_call`: calls are
    counted on this row (their first attempt), however many attempts each took.
    """

    id: str
    request_id: str
    attempt: int
    at_ms: int
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
    cost_pusd: int = 0
    hold_pusd: int = 0
    source: Source = "none"
    first_byte_ms: int | None = None
    total_ms: int = 0
    upstream_id: str | None = None
    adjusted: str = ""
    counts_call: bool = True


class Hold(Struct, frozen=True, tag="hold"):
    """Written before the upstream sees a byte."""

    id: str
    at_ms: int
    request_id: str
    attempt: int
    key: str
    endpoint: str
    asked: str
    model: str
    provider: str
    upstream_model: str
    stream: bool
    amount_pusd: int
    charges: tuple[Charge, ...]


class Begun(Struct, frozen=True, tag="begun"):
    """The upstream has begun to answer; with its generation id the cost can be asked for later."""

    id: str
    generation_id: str


class Settled(Struct, frozen=True, tag="settled"):
    """The attempt's row, its cost charged to the periods its hold was taken in."""

    row: Row
    charges: tuple[Charge, ...]


class Voided(Struct, frozen=True, tag="voided"):
    """The attempt's row; it provably cost nothing."""

    row: Row


class Refused(Struct, frozen=True, tag="refused"):
    """A call that was never sent, kept so that `show` can say why."""

    row: Row


class Adjusted(Struct, frozen=True, tag="adjusted"):
    """An operator corrected what a budget's period has spent, and said why."""

    id: str
    at_ms: int
    budget: str
    period: int
    delta_pusd: int
    reason: str


Record = Hold | Begun | Settled | Voided | Refused | Adjusted
