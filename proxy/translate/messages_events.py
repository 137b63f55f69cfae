"""Anthropic's events, read."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from proxy.translate.faults import INCOMPLETE, fault_of
from proxy.translate.losses import Losses
from proxy.translate.messages_reading import read_citations, refusal_in
from proxy.translate.reading import StreamReader
from proxy.translate.stops import from_messages
from proxy.translate.tools import Known
from proxy.translate.usage import merged, usage_in, usage_of
from proxy.translate.values import Citation, Ending, Reasoning, a_text
from proxy.translate.writing import StreamWriter


class Delta(Struct):
    """The delta of a block, or of the message."""

    type: Any = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Any = None
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None


class Message(Struct):
    """`message` of the first event."""

    id: Any = None
    model: Any = None
    usage: Raw | UnsetType = UNSET


class Event(Struct):
    """One event."""

    type: Any = None
    index: int = 0
    message: Message | None = None
    content_block: Any = None
    delta: Delta | None = None
    usage: Raw | UnsetType = UNSET
    error: Any = None


_decoder = msgspec.json.Decoder(Event)


class MessagesEvents(StreamReader):
    """Reads events. Blocks that no other protocol has, a provider's own tools at work, are left out."""

    def __init__(self, writer: StreamWriter, known: Known, losses: Losses) -> None:
        super().__init__(writer, known, losses)
        self._id: Any = None
        self._usage: Any = None
        self._ending: Ending | None = None
        self._kinds: dict[Any, str] = {}
        self._inputs: dict[Any, Any] = {}
        self._cited: list[Citation] = []
        self._begun_at = self._length = 0  # in characters: the text under way, all of them

    def see(self, data: bytes) -> None:
        if self.over or (event := self.decoded(_decoder, data)) is None:
            return
        if event.error or event.type == "error":
            self.fail(fault_of({"error": event.error}))
        elif event.type == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta)
        elif event.type == "content_block_start" and isinstance(event.content_block, dict):
            self._start(event.index, event.content_block)
        elif event.type == "content_block_stop":
            self._stop(event.index)
        elif event.type == "message_delta" and event.delta is not None:
            self._usage = merged(self._usage, usage_in(event.usage))
            if event.delta.stop_reason:
                self._ending = from_messages(event.delta.stop_reason, event.delta.stop_sequence)
            if self.writer.begun and (said := refusal_in(event.delta.stop_details)):
                self.writer.refuse(said)
        elif event.type == "message_start" and event.message is not None:
            self._begin(event.message)
        elif event.type == "message_stop":
            self._conclude(self._ending or Ending("end"))
        elif event.type == "ping" and self.writer.begun:
            self.writer.ping()

    def _begin(self, message: Message) -> None:
        if self._id not in (
            None,
            message.id,
        ):  # somebody on the way asked anew, and what was told is of no whole message
            self.fail(INCOMPLETE)
            return
        self._id = message.id
        self._usage = merged(self._usage, usage_in(message.usage))
        if not self.writer.begun:
            self.writer.begin(a_text(message.model))

    def _start(self, index: Any, block: dict[str, Any]) -> None:
        self._stop(index)  # one that a server forgot to end
        kind = self._kinds[index] = a_text(block.get("type"))
        if not self.writer.begun:
            self.writer.begin("")
        if kind == "tool_use":
            self._inputs[index] = block.get("input")
            self.open(index, a_text(block.get("id")), a_text(block.get("name")))
        elif kind == "text":
            self._begun_at = self._length
            if block.get("text"):
                self._say(a_text(block.get("text")))
        elif kind == "thinking":
            if block.get("thinking"):
                self.writer.reason(a_text(block.get("thinking")), "anthropic")
            if block.get("signature"):
                self.writer.vouch(Reasoning(signature=a_text(block.get("signature")), origin="anthropic"))
        elif kind == "redacted_thinking":
            self.writer.vouch(Reasoning(data=a_text(block.get("data")), origin="anthropic"))
        else:
            self.losses.add("input_items")

    def _say(self, text: str) -> None:
        self._length += len(text)
        self.writer.text(text)

    def _delta(self, index: Any, delta: Delta) -> None:
        if not self.writer.begun:
            self.writer.begin("")
        if delta.text:
            self._say(delta.text)
        elif delta.partial_json:
            if self._kinds.get(index) == "tool_use":
                self._inputs[index] = None
                self.argue(index, delta.partial_json)
        elif delta.thinking:
            self.writer.reason(delta.thinking, "anthropic")
        elif delta.signature:
            self.writer.vouch(Reasoning(signature=delta.signature, origin="anthropic"))
        elif delta.citation is not None:
            self._cited += read_citations([delta.citation], self.losses)

    def _stop(self, index: Any) -> None:
        kind = self._kinds.pop(index, "")
        if kind == "tool_use":
            given = self._inputs.pop(index, None)
            if given is not None:  # nothing came of it in pieces
                self.argue(index, msgspec.json.encode(given).decode())
            self.close(index)
        elif kind in ("thinking", "redacted_thinking"):
            self.writer.thought_over_now()
        for citation in self._cited:  # they are told before the words that they are of
            self.writer.cite(citation.placed(self._begun_at, self._length))
        self._cited.clear()

    def finish(self) -> bool:
        if not self.over:
            self._conclude(self._ending)
        return self.over

    def _conclude(self, ending: Ending | None) -> None:
        if ending is None or not self.writer.begun:
            self.fail(INCOMPLETE)
            return
        for index in [index for index, kind in self._kinds.items() if kind in ("text", "tool_use")]:
            self._stop(index)
        ending.usage = usage_of(self._usage)
        self.end(ending)
