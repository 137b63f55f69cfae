"""A reply as events of the Responses API: numbered, with places, ended by one that carries all of it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from proxy.translate import responses_output as out
from proxy.translate.values import Citation, Ending, Fault, Identity, ToolUse
from proxy.translate.writing import StreamWriter, encode

_MORE = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,%b,'
    b'"delta":"%b","logprobs":[]}\n\n'
)


class _Call(Struct):
    """A call under way: where it stands, and what came of its arguments."""

    index: int
    item_id: str
    use: ToolUse
    fragments: list[str]


class ResponsesStream(StreamWriter):
    """Writes events; `echo` is what they repeat of the request. An item of words or thoughts ends where another kind begins; calls may be under way together."""

    def __init__(self, identity: Identity, echo: dict[str, Any]) -> None:
        super().__init__(identity)
        self._echo = echo
        self._number = 0
        self._items = 0
        self._output: dict[int, dict[str, Any]] = {}
        self._calls: dict[int, _Call] = {}
        self._said: list[_Call] = []
        self._open = ""
        self._place = b""
        self._index = 0
        self._item_id = ""
        self._content: list[dict[str, Any]] = []
        self._words: list[str] = []
        self._notes: list[dict[str, Any]] = []
        self._part_likely: list[Any] = []
        self._before = 0  # characters that were said before the part under way
        self._begun: dict[str, Any] = {}

    @property
    def output(self) -> list[dict[str, Any]]:
        """The items that are whole, in order."""
        return [self._output[index] for index in sorted(self._output)]

    def begin(self, model: str) -> None:
        super().begin(model)
        self._begun = out.head(self.identity, model, "in_progress", self._echo)
        self._event("response.created", {"response": self._begun})
        self._event("response.in_progress", {"response": self._begun})

    def _event(self, kind: str, members: dict[str, Any]) -> None:
        event = {"type": kind, "sequence_number": self._number, **members}
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(event)))
        self._number += 1

    def _delta(self, kind: bytes, place: bytes, text: str, rest: bytes = b"") -> None:
        self._out.append(
            b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b,"delta":%b%b}\n\n'
            % (kind, kind, self._number, place, encode(text), rest)
        )
        self._number += 1

    def _add(self, prefix: str) -> tuple[int, str]:
        """The place and the id of the next item."""
        self._end_calls()
        index = self._items
        self._items += 1
        return index, f"{prefix}_{self.identity.id}_{index}"

    def _where(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": self._index}

    def text(self, text: str) -> None:
        if self._open != "text":
            self._part("text")
        self._words.append(text)
        rest = b',"logprobs":' + encode(self._told_likely()) if self._likely else b',"logprobs":[]'
        self._delta(b"response.output_text.delta", self._place, text, rest)

    def more(self, text: bytes) -> bool:
        if self._open != "text" or self._likely:
            return False
        self._words.append(text.decode())
        self._out.append(_MORE % (self._number, self._place, text))
        self._number += 1
        return True

    def _told_likely(self) -> list[Any]:
        """The tokens that were noted for what is told now; the part they are of ends on all of them."""
        told, self._likely = self._likely, []
        self._part_likely += told
        return told

    def refuse(self, text: str) -> None:
        if self._open != "refusal":
            self._part("refusal")
        self._words.append(text)
        self._delta(b"response.refusal.delta", self._place, text)

    def cite(self, citation: Citation) -> None:
        if self._open != "text":
            self._part("text")
        note = out.annotation(citation.placed(-self._before, -self._before))
        place = {**self._where(), "content_index": len(self._content), "annotation_index": len(self._notes)}
        self._notes.append(note)
        self._event("response.output_text.annotation.added", {**place, "annotation": note})

    def _part(self, kind: str) -> None:
        """Begin a part of a message, and the message if it is its first."""
        if self._open in ("text", "refusal"):
            self._end_part()
        else:
            self._end_item()
            self._index, self._item_id = self._add("msg")
            item = out.message_item(self._item_id, [], "in_progress")
            self._event("response.output_item.added", {"output_index": self._index, "item": item})
        self._open = kind
        part = out.text_part("", [], []) if kind == "text" else out.refusal_part("")
        place = {**self._where(), "content_index": len(self._content)}
        self._place = encode(place)[1:-1]
        self._event("response.content_part.added", {**place, "part": part})

    def _end_part(self) -> None:
        text, place = "".join(self._words), {**self._where(), "content_index": len(self._content)}
        if self._open == "text":
            self._told_likely()
            part = out.text_part(text, self._notes, self._part_likely)
            self._event("response.output_text.done", {**place, "text": text, "logprobs": self._part_likely})
        else:
            part = out.refusal_part(text)
            self._event("response.refusal.done", {**place, "refusal": text})
        self._event("response.content_part.done", {**place, "part": part})
        self._content.append(part)
        self._before += len(text) if self._open == "text" else 0
        self._words, self._notes, self._part_likely = [], [], []

    def _end_item(self, ending: Ending | None = None) -> None:
        """The item of words or thoughts that is under way is whole, or cut off by the reply's `ending`."""
        if self._open in ("text", "refusal"):
            self._end_part()
            item = out.message_item(self._item_id, self._content)
            self._content = []
        elif self._thought is not None:
            item = self._end_thought()
        else:
            return
        self._open = ""
        self._done(self._index, item, ending)

    def _done(self, index: int, item: dict[str, Any], ending: Ending | None = None) -> None:
        if ending is not None:
            out.cut_off([item], ending)
        self._output[index] = item
        self._event("response.output_item.done", {"output_index": index, "item": item})

    def reason(self, text: str, origin: str) -> None:
        if self._open != "thoughts":
            if self._open:
                self._end_item()
            self._think()
            part = {"type": "summary_text", "text": ""}
            self._event("response.reasoning_summary_part.added", {**self._where(), "summary_index": 0, "part": part})
        super().reason(text, origin)
        self._delta(b"response.reasoning_summary_text.delta", self._place, text)

    def _think(self) -> None:
        self._index, self._item_id = self._add("rs")
        self._open = "thoughts"
        self._place = encode({**self._where(), "summary_index": 0})[1:-1]
        item = {"id": self._item_id, "type": "reasoning", "summary": []}
        self._event("response.output_item.added", {"output_index": self._index, "item": item})

    def vouch(self, thought: Any) -> None:
        if self._open in ("text", "refusal"):
            self._end_item()
        super().vouch(thought)

    def thought_over_now(self) -> None:
        if self._thought is not None:
            self._end_item()

    def _end_thought(self) -> dict[str, Any]:
        if self._open != "thoughts":  # nothing of them was told
            self._think()
        thought = self.thought_over()
        assert thought is not None
        if thought.text:
            part, place = {"type": "summary_text", "text": thought.text}, {**self._where(), "summary_index": 0}
            self._event("response.reasoning_summary_text.done", {**place, "text": thought.text})
            self._event("response.reasoning_summary_part.done", {**place, "part": part})
        return out.reasoning_item(self._item_id, thought)

    def call(self, key: int, use: ToolUse) -> None:
        super().call(key, use)
        self._end_item()
        index, item_id = self._add("ctc" if use.kind == "custom" else "fc")
        self._calls[key] = _Call(index, item_id, use, [use.arguments] if use.arguments else [])
        if use.kind in ("function", "custom"):
            item = out.call_item(use, item_id, "in_progress")
            self._event("response.output_item.added", {"output_index": index, "item": item})

    def argue(self, key: int, fragment: str) -> None:
        call = self._calls.get(key)
        if call is None or not fragment:
            return
        call.fragments.append(fragment)
        if call.use.kind not in ("function", "custom"):
            return
        kind = b"response.custom_tool_call_input.delta"
        if call.use.kind == "function":
            kind = b"response.function_call_arguments.delta"
        self._delta(kind, encode({"item_id": call.item_id, "output_index": call.index})[1:-1], fragment)

    def close(self, key: int) -> None:
        """All its arguments were there; whether it was cut off is known when something follows, or nothing does."""
        if (call := self._calls.pop(key, None)) is not None:
            self._said.append(call)

    def _end_calls(self, ending: Ending | None = None) -> None:
        """The calls that were said are whole, but the last where the reply's `ending` cut it off."""
        said, self._said = self._said, []
        for call in said:
            self._end_call(call, ending if call is said[-1] else None)

    def _end_call(self, call: _Call, ending: Ending | None) -> None:
        use, place = call.use, {"item_id": call.item_id, "output_index": call.index}
        use.arguments = "".join(call.fragments)
        item = out.call_item(use, call.item_id)
        if use.kind == "function":
            done = {**place, "name": use.name, "arguments": use.arguments}
            self._event("response.function_call_arguments.done", done)
        elif use.kind == "custom":
            self._event("response.custom_tool_call_input.done", {**place, "input": use.arguments})
        else:
            self._event("response.output_item.added", {"output_index": call.index, "item": item})
        self._done(call.index, item, ending)

    def end(self, ending: Ending) -> None:
        for key in list(self._calls):
            self.close(key)
        self._end_item(ending)
        self._end_calls(ending)
        self.ended = True
        response = out.ended(self._begun, self.output, ending)
        self._event(f"response.{response['status']}", {"response": response})

    def fail(self, fault: Fault) -> None:
        if not self.begun:
            self.begin(self.model)
        self._end_calls()
        self.ended = True
        self._event("response.failed", {"response": out.failed(self._begun, self.output, fault)})
