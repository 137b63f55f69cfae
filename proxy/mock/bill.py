"""The mock's own account of every call it started, to check a ledger against."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import Struct

from proxy.mock.answer import Turn, number

_MOST_ROWS = 100_000
_PUSD = Decimal("0.000000000001")


class Row(Struct):
    """One call. A streamed call its client leaves is billed at what was emitted until then."""

    id: str
    turn: Turn
    streamed: bool
    polls_left: int
    status: int = 200
    output_tokens_emitted: int = 0
    finish_reason: str | None = None
    cancelled: bool = False
    completed: bool = False
    ended: bool = False
    free: bool = False
    in_batch: bool = False

    def refuse(self, status: int) -> None:
        """The call failed before it produced anything: it costs nothing."""
        self.status, self.free, self.ended = status, True, True

    def forgive(self) -> None:
        """The stream broke with an error finish, which is not billed."""
        self.free, self.ended, self.finish_reason = True, True, "error"

    def complete(self) -> None:
        """Everything was said; from here on nothing makes the call cheaper."""
        if not self.completed:
            self.completed, self.ended = True, True
            self.output_tokens_emitted = self.turn.answer.output_tokens
            self.finish_reason = self.turn.answer.finish

    def leave(self) -> None:
        """The client closed the connection."""
        self.cancelled = self.cancelled or not self.ended
        self.ended = True

    @property
    def cost(self) -> Decimal:
        """USD that are billed."""
        return self._told - self.discount

    @property
    def discount(self) -> Decimal:
        """USD that the bill leaves off what the reply says."""
        part = self.turn.behaviour.discount
        return (self._told * Decimal(str(part))).quantize(_PUSD) if part else Decimal(0)

    @property
    def _told(self) -> Decimal:
        """USD; in a batch half of it."""
        return self._cost / 2 if self.in_batch else self._cost

    @property
    def _cost(self) -> Decimal:
        """USD. A stream of OpenRouter's that said nothing is free (zero-completion insurance)."""
        cost, planned = self.turn.answer.cost, self.turn.answer.output_tokens
        if self.free:
            return Decimal(0)
        if self.completed or not self.streamed or self.turn.behaviour.bills_after_disconnect:
            return cost.total
        if not self.output_tokens_emitted and self.turn.asked.profile == "openrouter":
            return Decimal(0)
        if self.turn.behaviour.cost is not None:
            return (cost.total * self.output_tokens_emitted / planned).quantize(_PUSD)
        return cost.prompt + cost.completion * self.output_tokens_emitted / planned

    def as_json(self) -> dict[str, Any]:
        """The row of `GET /mock/bill`."""
        asked = self.turn.asked
        return {
            "id": self.id,
            "model": asked.model,
            "endpoint": asked.endpoint,
            "streamed": self.streamed,
            "status": self.status,
            "input_tokens": asked.input_tokens,
            "output_tokens_emitted": self.output_tokens_emitted,
            "cost": _text(self.cost),
            "cancelled": self.cancelled,
            "completed": self.completed,
        }


class Bill:
    """Rows by id, oldest first. Beyond 100,000 the oldest are folded into the total."""

    def __init__(self) -> None:
        """Start with nothing owed."""
        self._rows: dict[str, Row] = {}
        self._folded = Decimal(0)
        self._folded_count = 0

    def add(self, row: Row) -> None:
        """Note a call as started."""
        self._rows[row.id] = row
        if len(self._rows) > _MOST_ROWS:
            oldest = self._rows.pop(next(iter(self._rows)))
            self._folded += oldest.cost
            self._folded_count += 1

    def find(self, id_: str) -> Row | None:
        """Find a call by its generation id."""
        return self._rows.get(id_)

    def clear(self) -> None:
        """Forget every call."""
        self._rows.clear()
        self._folded, self._folded_count = Decimal(0), 0

    @property
    def total(self) -> Decimal:
        """USD of all calls."""
        return self._folded + sum((row.cost for row in self._rows.values()), Decimal(0))

    @property
    def rows(self) -> list[Row]:
        """The calls, oldest first."""
        return list(self._rows.values())

    def as_json(self) -> dict[str, Any]:
        """The reply of `GET /mock/bill`."""
        return {
            "rows": [row.as_json() for row in self._rows.values()],
            "count": self._folded_count + len(self._rows),
            "total": _text(self.total),
        }


def _text(amount: Decimal) -> str:
    return bytes(number(amount)).decode()
