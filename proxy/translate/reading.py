"""What is read of a stream while it comes: one event after the other, told to a writer."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from proxy.translate.faults import UNREADABLE
from proxy.translate.losses import Losses
from proxy.translate.tools import Known, Unwrapper, apart
from proxy.translate.values import Ending, Fault, Reasoning, ToolUse
from proxy.translate.writing import StreamWriter
from proxy.wire.json_text import mended

Event = TypeVar("Event")


class StreamReader:
    """Reads the data of events. `known` are the tools of the request, `losses` takes what the client cannot be told."""

    def __init__(self, writer: StreamWriter, known: Known, losses: Losses) -> None:
        self.writer = writer
        self.known = known
        self.losses = losses
        self.over = False
        self.fault: Fault | None = None
        self._ids: set[str] = set()
        self._unwrappers: dict[int, Unwrapper] = {}

    def see(self, data: bytes) -> None:
        """Read one event."""
        raise NotImplementedError

    def finish(self) -> bool:
        """The stream is at its end; whether the reply is whole."""
        return self.over

    def decoded(self, decoder: msgspec.json.Decoder[Event], data: bytes) -> Event | None:
        """The event; None, and the end of the stream, where it cannot be read."""
        try:
            return decoder.decode(data)
        except UnicodeDecodeError:
            pass
        except (msgspec.DecodeError, RecursionError):
            try:
                return decoder.decode(mended(data))
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                pass
        self.fail(UNREADABLE)
        return None

    def fail(self, fault: Fault) -> None:
        """The upstream failed."""
        self.over, self.fault = True, fault
        self.writer.fail(fault)

    def end(self, ending: Ending) -> None:
        """The upstream said all."""
        self.over = True
        self.writer.end(ending)

    def open(self, key: int, identity: str, name: str, extra: Reasoning | None = None) -> None:
        """A function is called; it may stand for another kind of tool. `extra` has to come back with it."""
        use = self.known.call(apart(identity, self._ids), name)
        use.arguments = ""
        if extra is not None:
            extra.id = use.id
            self.writer.thought_over_now()
            self.writer.vouch(extra)
            self.writer.thought_over_now()
        if use.kind == "custom":
            self._unwrappers[key] = Unwrapper()
        self.writer.call(key, use)

    def argue(self, key: int, fragment: str) -> None:
        """Some of its arguments."""
        unwrapper = self._unwrappers.get(key)
        text = fragment if unwrapper is None else unwrapper.feed(fragment)
        if text:
            self.writer.argue(key, text)

    def close(self, key: int) -> None:
        """All its arguments were there."""
        unwrapper = self._unwrappers.pop(key, None)
        if unwrapper is not None and (rest := unwrapper.finish()[0]):
            self.writer.argue(key, rest)
        self.writer.close(key)

    def call(self, key: int, identity: str, name: str) -> None:
        """A custom tool is called that needs no unwrapping."""
        self.writer.call(key, ToolUse(apart(identity, self._ids), name, "", "custom"))
