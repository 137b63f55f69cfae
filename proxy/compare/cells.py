"""One call of a comparison: its reply as it streams, and what is known of it at its end."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import httptools
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.dialects import Incoming
from proxy.exchange.record import Record
from proxy.exchange.stand_ins import Nobody
from proxy.policy.money.amounts import usd_text
from proxy.policy.quality.detectors import flags_of
from proxy.policy.quality.reading import FINISHES, decoded
from proxy.policy.quality.values import Finish, Said, Wanted, Watch
from proxy.policy.sharing import CacheRules, Sharing
from proxy.policy.values import Caller
from proxy.web.client.api import Api
from proxy.web.client.heads import Head
from proxy.web.client.senders import Sender
from proxy.wire.endpoints import MODEL_ROWS
from proxy.wire.sse import data_of, split_events

_CHAT = "/chat/completions"
_JSON = ("Content-Type", "application/json")
_HEAD = Head("POST", _CHAT, "", MODEL_ROWS[_CHAT], [], Incoming((_JSON,)), _JSON[1], math.inf, False, None, None)

APART = Sharing(coalesce=False, cache=CacheRules(0))


class Cell(Struct, frozen=True):
    """A reply, measured. `cost_usd` None: it is looked up, and `show` will know it."""

    column: str
    model: str | None
    run: int
    request_id: str
    status: int
    text: str
    first_token_ms: int | None
    total_ms: int
    output_tokens: int | None
    tokens_per_second: float | None
    cost_usd: str | None
    cost_source: str | None
    flags: list[str]
    error: str | None = None


class CellConnection(Nobody):
    """Stands where the call's client would; `said` gets each piece of text, `over` is done once the call is."""

    def __init__(self, said: Callable[[str], None]) -> None:
        self.over: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self.text: list[str] = []
        self.finish: Finish = "unknown"
        self.refuses = False
        self.error: str | None = None
        self.status = 0
        self.ended_at = 0.0
        self._said = said
        self._parser: Any = httptools.HttpResponseParser(self)
        self._rest = b""
        self._plain = bytearray()

    def leave(self) -> None:
        """What a client that goes does to the call."""
        if self.client is not None:
            self.client.left(self.client)

    def answered(self) -> None:
        """The call is over."""
        self.ended_at = time.monotonic()
        if self.client is not None and not self.over.done():
            self.over.set_result(self.client.record)
        super().answered()

    def send(self, data: bytes) -> bool:
        """Take bytes of the reply."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.error = "upstream_bad_response"
        return True

    def hang_up(self, last_words_seconds: float) -> None:
        """The reply broke off; what it said until then stands."""
        self.error = self.error or "upstream_reset"

    def on_headers_complete(self) -> None:
        """The reply's head is there."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Read the events that are whole; anything but a stream is an error's."""
        if self.status >= 400:
            self._plain += body
            return
        whole, end, self._rest = (self._rest + body).rpartition(b"\n\n")
        for event in split_events(whole + end) if end else ():
            self._read(data_of(event) or b"")

    def on_message_complete(self) -> None:
        """An error's code, where it was one."""
        if self._plain:
            self.error = _code_in(bytes(self._plain)) or f"status {self.status}"

    def _read(self, data: bytes) -> None:
        chunk = decoded(data)
        if "error" in chunk:
            self.error = str(chunk["error"].get("code")) if isinstance(chunk["error"], dict) else "error"
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        found = choice.get("delta")
        delta = found if isinstance(found, dict) else {}
        self.refuses = self.refuses or bool(delta.get("refusal"))
        if isinstance(text := delta.get("content"), str) and text:
            self.text.append(text)
            self._said(text)
        if isinstance(reason := choice.get("finish_reason"), str):
            self.finish = FINISHES.get(reason, "unknown")

    def cell(self, column: str, model: str | None, run: int, record: Record) -> Cell:
        """What is known now that it is over."""
        usage, total = record.usage, self.ended_at - record.started
        said = Said("".join(self.text), self.finish, self.refuses, (), total)
        first = record.since_start(record.first_token_at)
        flowing = None if first is None else total - first
        tokens = usage.output_tokens if usage else None
        return Cell(
            column, model, run, record.request_id, record.status, said.text,
            None if first is None else round(first * 1000), round(total * 1000), tokens,
            round(tokens / flowing, 1) if tokens and flowing else None,
            usd_text(record.cost_pusd) if record.cost_source and not record.unsettled else None,
            record.cost_source,
            [] if self.error else list(flags_of(said, Watch(), Wanted())),
            self.error,
        )  # fmt: skip


def begin_chat(
    api: Api, caller: Caller, model: str, body: dict[str, Any], said: Callable[[str], None] = lambda _: None
) -> CellConnection:
    """Make a call of our own in somebody's name: `body` is a chat completion without its model. It streams, so that its
    first token has a time, and is nobody else's, whatever is said of calls that are alike."""
    connection = CellConnection(said)
    api.begin(
        connection,
        Sender(_HEAD, replace(caller, sharing=APART)),
        msgspec.json.encode({"model": model, **body, "stream": True}),
    )
    return connection


def _code_in(body: bytes) -> str | None:
    error = decoded(body).get("error")
    code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    return None if code is None else str(code)
