"""A reply as Anthropic's events: blocks one after the other, each with one beginning and one end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.translate.faults import messages_error, named_id
from proxy.translate.messages_writing import thought_block
from proxy.translate.stops import settled, to_messages
from proxy.translate.usage import messages_usage
from proxy.translate.values import Citation, Ending, Fault, Identity, ToolUse
from proxy.translate.writing import StreamWriter, encode

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class MessagesStream(StreamWriter):
    """Writes events. While the arguments of a tool are under way, all else waits. `shown`: thoughts were asked for."""

    def __init__(self, identity: Identity, *, shown: bool = True) -> None:
        super().__init__(identity)
        self._shown = shown
        self._index = -1
        self._open = ""
        self._more = b""
        self._tool: int | None = None
        self._has_refused = False
        self._later: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def begin(self, model: str) -> None:
        super().begin(model)
        message: dict[str, Any] = {
            "id": named_id("messages", self.identity),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": messages_usage(None),
        }
        self._event({"type": "message_start", "message": message})

    def _event(self, event: dict[str, Any]) -> None:
        self._out.append(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), encode(event)))

    def _start(self, kind: str, block: dict[str, Any]) -> None:
        """Begin a block; the one before it ends."""
        self._stop()
        self._index += 1
        self._open = kind
        self._event({"type": "content_block_start", "index": self._index, "content_block": block})
        self._more = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
            b'{"type":"text_delta","text":"' % self._index
        )

    def _stop(self) -> None:
        if not self._open:
            return
        if self._open == "thinking" and (thought := self.thought_over()) is not None:
            self._delta(b"signature", b"signature", thought_block(thought)["signature"])
        self._open = ""
        self._out.append(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index)

    def _delta(self, kind: bytes, member: bytes, text: str) -> None:
        self._out.append(
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
            b'{"type":"%b_delta","%b":%b}}\n\n' % (self._index, kind, member, encode(text))
        )

    def _waits(self, step: Callable[..., None], *arguments: Any) -> bool:
        if self._tool is None:
            return False
        self._later.append((step, arguments))
        return True

    def text(self, text: str) -> None:
        if self._open != "text":
            if self._waits(self.text, text):
                return
            self._settle_thought()
            self._start("text", {"type": "text", "text": ""})
        self._delta(b"text", b"text", text)

    def refuse(self, text: str) -> None:
        self._has_refused = True
        self.text(text)

    def more(self, text: bytes) -> bool:
        if self._open != "text":
            return False
        self._out.append(b'%b%b"}}\n\n' % (self._more, text))
        return True

    def cite(self, citation: Citation) -> None:
        if self._waits(self.cite, citation):
            return
        if self._open != "text":
            self._start("text", {"type": "text", "text": ""})
        delta = {"type": "citations_delta", "citation": web_citation(citation)}
        self._event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def reason(self, text: str, origin: str) -> None:
        if self._waits(self.reason, text, origin):
            return
        super().reason(text, origin)
        if not self._shown:
            return
        if self._open != "thinking":
            self._start("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        self._delta(b"thinking", b"thinking", text)

    def vouch(self, thought: Any) -> None:
        if not self._waits(self.vouch, thought):
            super().vouch(thought)

    def thought_over_now(self) -> None:
        if not self._waits(self.thought_over_now):
            self._settle_thought()

    def _settle_thought(self) -> None:
        if self._thought is None:
            return
        if not self._shown:
            self.thought_over()
            return
        if self._open != "thinking":  # nothing of them was told
            self._start("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        self._stop()

    def call(self, key: int, use: ToolUse) -> None:
        if self._waits(self.call, key, use):
            return
        super().call(key, use)
        self._settle_thought()
        self._start("tool", {"type": "tool_use", "id": use.id, "name": use.name, "input": {}})
        self._tool = key
        self.argue(key, use.arguments)

    def argue(self, key: int, fragment: str) -> None:
        if key == self._tool:
            if fragment:
                self._delta(b"input_json", b"partial_json", fragment)
        else:
            self._waits(self.argue, key, fragment)

    def close(self, key: int) -> None:
        if key != self._tool:
            self._waits(self.close, key)
            return
        self._stop()
        self._tool = None
        later, self._later = self._later, []
        for step, arguments in later:
            step(*arguments)

    def ping(self) -> None:
        self._out.append(_PING)

    def end(self, ending: Ending) -> None:
        while self._tool is not None:
            self.close(self._tool)
        self._settle_thought()
        self._stop()
        self.ended = True
        stop = settled(ending.stop, has_tools=bool(self.calls), has_refused=self._has_refused)
        delta = {"stop_reason": to_messages(stop), "stop_sequence": ending.stop_sequence or None}
        self._event({"type": "message_delta", "delta": delta, "usage": messages_usage(ending.usage)})
        self._event({"type": "message_stop"})

    def fail(self, fault: Fault) -> None:
        self.ended = True
        self._event({"type": "error", "error": messages_error(fault)})


def web_citation(citation: Citation) -> dict[str, Any]:
    """Where words come from."""
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.quoted,
        "encrypted_index": "",
    }
