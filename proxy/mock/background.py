"""Responses in the background: made at once, fetched later, cancelled on the way (OpenAI's side of the mock)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import msgspec
from msgspec import Struct

from proxy.mock.bill import Row
from proxy.mock.script import body_pause, timed
from proxy.mock.skins.responses import begun_body, response_body, response_frames

_MOST = 10_000


class Response(Struct):
    """One of them. Times are monotonic seconds; it takes as long as its stream would."""

    row: Row
    began: float
    end: Literal["", "cancelled"] = ""

    def status(self, now: float) -> str:
        """How it stands: queued before its first word was due, then in progress until its last."""
        waited = now - self.began
        if self.end:
            return self.end
        if waited < body_pause(self.row.turn):
            return "queued" if waited < self.row.turn.behaviour.ttft else "in_progress"
        return "completed"

    def body(self, now: float) -> dict[str, Any]:
        """The response object; `completed` is `incomplete` where a maximum cut it."""
        status = self.status(now)
        return response_body(self.row.turn) if status == "completed" else begun_body(self.row.turn, status)

    def events(self, after: int) -> Iterator[tuple[float, bytes]]:
        """The events of its stream behind this number, with the monotonic second of each; none once it was cancelled."""
        for due, data in islice(timed(self.row.turn, response_frames(self.row.turn)), max(0, after + 1), None):
            if self.end:
                return
            yield self.began + due, data

    def cancel(self, now: float) -> None:
        """Stop it; what has come to its end stays as it is. What was stopped is not billed."""
        if self.status(now) != "completed":
            self.end = "cancelled"
            self.row.refuse(200)


class Background:
    """The responses begun, by id; the oldest are dropped."""

    def __init__(self) -> None:
        self._responses: dict[str, Response] = {}

    def begin(self, row: Row, now: float) -> Response:
        """Take one on: from here on it is billed whoever listens."""
        behaviour = msgspec.structs.replace(row.turn.behaviour, bills_after_disconnect=True)
        row.turn = msgspec.structs.replace(row.turn, behaviour=behaviour)
        if len(self._responses) >= _MOST:
            del self._responses[next(iter(self._responses))]
        self._responses[row.id] = Response(row, now)
        return self._responses[row.id]

    def find(self, response_id: str) -> Response | None:
        """The response of this id."""
        return self._responses.get(response_id)

    def remove(self, response_id: str) -> None:
        """Forget one."""
        self._responses.pop(response_id, None)
