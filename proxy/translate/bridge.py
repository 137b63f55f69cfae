"""A call between two protocols: its request there and back, and of its reply what the client gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.errors import CallerError, InvalidJson
from proxy.translate.chat_events import ChatEvents
from proxy.translate.chat_reading import read_chat
from proxy.translate.chat_stream import ChatStream
from proxy.translate.chat_writing import write_chat
from proxy.translate.faults import INCOMPLETE, UNREADABLE, envelope, fault_of
from proxy.translate.losses import Loss, Losses
from proxy.translate.messages_events import MessagesEvents
from proxy.translate.messages_reading import read_messages
from proxy.translate.messages_stream import MessagesStream
from proxy.translate.messages_writing import write_messages
from proxy.translate.reading import StreamReader
from proxy.translate.replies_read import failure_in, read_reply
from proxy.translate.replies_written import chat_reply, messages_reply, responses_reply
from proxy.translate.responses_events import ResponsesEvents
from proxy.translate.responses_items import Recall, recalled
from proxy.translate.responses_reading import read_responses
from proxy.translate.responses_stream import ResponsesStream
from proxy.translate.responses_writing import write_responses
from proxy.translate.tools import Known, wire_name
from proxy.translate.values import Aim, Choice, Fault, Identity, Protocol, Reasoning, Reply, Request, ToolUse
from proxy.translate.writing import StreamWriter, encode, play
from proxy.wire.alike import Alike
from proxy.wire.json_text import mended
from proxy.wire.sse import EventCutter, data_of, split_events

_READ: dict[Protocol, Callable[[dict[str, Any], Losses], Request]] = {
    "chat": read_chat,
    "messages": read_messages,
    "responses": read_responses,
}
_WRITE: dict[Protocol, Callable[[Request, Aim, Losses], dict[str, Any]]] = {
    "chat": write_chat,
    "messages": write_messages,
    "responses": write_responses,
}


def _nothing(_: str) -> None:
    """Nothing is known."""


def decode(body: bytes) -> dict[str, Any]:
    """A body as an object. Raises `InvalidJson`."""
    value = _value(body)
    if not isinstance(value, dict):
        raise InvalidJson("The body must be a JSON object.")
    return value


def _value(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        try:
            return msgspec.json.decode(mended(body))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise InvalidJson("The body cannot be read as JSON.") from None


def read_request(protocol: Protocol, body: bytes, losses: Losses, recall: Recall = _nothing) -> Request:
    """A client's request; `recall` knows items it refers to. Raises the `CallerError`s of a body that is not that protocol's."""
    said = decode(body)
    if protocol == "responses" and isinstance(said.get("input"), list):
        said["input"] = recalled(said["input"], recall)
    return _READ[protocol](said, losses)


def write_request(request: Request, aim: Aim, losses: Losses) -> bytes:
    """The body that asks for the same there."""
    request = _with_choice(request, aim.protocol, losses)
    if aim.largest is not None and request.maximum is not None and request.maximum > aim.largest:
        losses.add("max_tokens", "changed")
        request = msgspec.structs.replace(request, maximum=aim.largest)
    return encode(_WRITE[aim.protocol](request, aim, losses))


def _with_choice(request: Request, protocol: Protocol, losses: Losses) -> Request:
    """The request with the tool that must be called under its name there; one that is left out cannot be."""
    choice = request.choice
    if choice is None or not choice.names:
        return request
    named = {tool.name: wire_name(tool.namespace, tool.name, protocol) for tool in request.tools}
    names = tuple(named[name] for name in choice.names if name in named)
    if names:
        return msgspec.structs.replace(request, choice=Choice(choice.mode, names))
    losses.add("tool_choice")
    return msgspec.structs.replace(request, choice=None)


class Bridge:
    """The way back: from the protocol of the upstream to that of the client. Feed it bytes as they come.

    `source` is whom the request went to, `target` who asked. `losses` goes on growing while the reply is read.
    """

    __slots__ = (
        "_alike",
        "_cutter",
        "_items",
        "_known",
        "_losses",
        "_reader",
        "_request",
        "_writer",
        "identity",
        "source",
        "target",
    )

    def __init__(self, source: Protocol, target: Protocol, request: Request, identity: Identity) -> None:
        self.source: Protocol = source
        self.target: Protocol = target
        self.identity = identity
        self._request = request
        self._known = Known(request.tools, source)
        self._losses = Losses()
        self._alike = Alike() if source == "chat" else None
        self._cutter = EventCutter()
        self._items: list[dict[str, Any]] = []
        self._writer = self._new_writer()
        self._reader = self._new_reader()

    def _new_writer(self) -> StreamWriter:
        shown = self._request.thinking.shown
        if self.target == "chat":
            asked = self._request
            return ChatStream(self.identity, include_usage=asked.include_usage, shown=shown, functions=asked.functions)
        if self.target == "messages":
            return MessagesStream(self.identity, shown=shown)
        return ResponsesStream(self.identity, self._request.echo)

    def _new_reader(self) -> StreamReader:
        if self.source == "chat":
            return ChatEvents(self._writer, self._known, self._losses, self.identity.id)
        kind = MessagesEvents if self.source == "messages" else ResponsesEvents
        return kind(self._writer, self._known, self._losses)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What of the reply the client could not be told."""
        return self._losses.sort()

    @property
    def ended(self) -> bool:
        """Whether the event that ends the client's stream was written."""
        return self._writer.ended

    @property
    def fault(self) -> Fault | None:
        """What went wrong, of a stream that ended in an error."""
        return self._reader.fault

    @property
    def thoughts(self) -> list[Reasoning]:
        """The thoughts of the reply, for when the client cannot carry them."""
        return self._writer.thoughts

    @property
    def calls(self) -> list[str]:
        """The ids of the tools that were called."""
        return self._writer.calls

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of the reply, for when the client only refers to them."""
        if not self._request.refers:
            return []
        return self._writer.output if isinstance(self._writer, ResponsesStream) and self._writer.begun else self._items

    def feed(self, chunk: bytes) -> bytes:
        """The events that the client gets for these bytes."""
        if not self._cutter.tail and self._is_more(chunk):
            return self._writer.take()
        return self._read(self._cutter.feed(chunk)) if chunk else b""

    def _is_more(self, event: bytes) -> bool:
        """Whether it is one more piece of the words under way and nothing else, as most events are; then it was told."""
        if self._alike is None or self._reader.over:
            return False
        text = self._alike.text_of(event)
        return text is not None and self._writer.more(text)

    def finish(self) -> bytes:
        """The upstream's stream is at its end: what the client's ends on, an error where it was cut."""
        written = self._read(self._cutter.rest() + b"\n\n")
        self._reader.finish()
        return written + self._writer.take()

    def fail(self, fault: Fault = INCOMPLETE) -> bytes:
        """The error that ends the client's stream, unless it is over."""
        if self._writer.ended:
            return b""
        self._reader.fail(fault)
        return self._writer.take()

    def _read(self, block: bytes) -> bytes:
        over = self._reader
        for event in split_events(block):
            if over.over:
                break
            if self._is_more(event):
                continue
            if data := data_of(event):
                self._see(data)
                if self._alike is not None:
                    self._alike.learn(event)
            elif data is None and event.startswith(b":") and self._writer.begun:
                self._writer.ping()
        return self._writer.take()

    def _see(self, data: bytes) -> None:
        try:
            self._reader.see(data)
        except CallerError:  # it was no fault of the caller's here
            self._reader.fail(UNREADABLE)

    def whole(self, body: bytes) -> bytes:
        """A reply that is no stream. Raises `CallerError`s where it is not what that protocol replies, or says that it failed."""
        reply = self._reply(body)
        shown = self._request.thinking.shown
        if self.target == "chat":
            return encode(chat_reply(reply, self.identity, shown=shown, functions=self._request.functions))
        if self.target == "messages":
            return encode(messages_reply(reply, self.identity, shown=shown))
        response = responses_reply(reply, self.identity, self._request.echo)
        self._items = response["output"]
        return encode(response)

    def played(self, body: bytes) -> bytes:
        """A whole reply as the stream that the client asked for."""
        play(self._reply(body), self._writer)
        return self._writer.take()

    def _reply(self, body: bytes) -> Reply:
        reply = read_reply(self.source, decode(body), self._known, self._losses, self.identity.id)
        self._writer.thoughts += [part for part in reply.parts if isinstance(part, Reasoning)]
        self._writer.calls += [part.id for part in reply.parts if isinstance(part, ToolUse)]
        return reply

    def error(self, body: bytes, status: int) -> bytes:
        """An error of the upstream in the client's envelope."""
        try:
            value = _value(body)
        except InvalidJson:
            value = None
        return encode(envelope(self.target, fault_of(value, status)))

    def failure(self, body: bytes) -> tuple[int, bytes] | None:
        """The same of a reply that says it failed, and the status that is."""
        try:
            fault = failure_in(decode(body))
        except InvalidJson:
            return None
        return None if fault is None else (fault.status, encode(envelope(self.target, fault)))
