"""Events of the Responses API, read."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from proxy.translate.faults import INCOMPLETE, fault_of
from proxy.translate.logprobs import read_logprobs
from proxy.translate.losses import Losses
from proxy.translate.reading import StreamReader
from proxy.translate.responses_items import read_annotations, read_output
from proxy.translate.stops import from_responses, tier_of
from proxy.translate.tools import Known
from proxy.translate.usage import usage_of
from proxy.translate.values import Reasoning, Text, a_text
from proxy.translate.writing import StreamWriter, play_part


class Event(Struct):
    """One event."""

    type: str = ""
    output_index: int = 0
    delta: Any = None
    logprobs: Any = None
    item: Any = None
    response: Any = None
    annotation: Any = None
    error: Any = None
    message: Any = None
    code: Any = None


_decoder = msgspec.json.Decoder(Event)
_CALLS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
_THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_STREAMED = ("function_call", "custom_tool_call")


class ResponsesEvents(StreamReader):
    """Reads events. What came in no piece is taken from the item that is whole, or from the response that is."""

    def __init__(self, writer: StreamWriter, known: Known, losses: Losses) -> None:
        super().__init__(writer, known, losses)
        self._told: dict[Any, list[str]] = {}
        self._open: dict[Any, str] = {}
        self._done: set[Any] = set()
        self._seen: set[str] = set()
        self._begun_at = self._length = 0  # in characters: the part under way, all of them

    def see(self, data: bytes) -> None:
        if self.over or data.startswith(b"[DONE]") or (event := self.decoded(_decoder, data)) is None:
            return
        kind = event.type
        if kind == "response.output_text.delta":
            self._piece(event)
            if event.logprobs:
                self.writer.likely(read_logprobs(event.logprobs))
            self._length += len(a_text(event.delta))
            self.writer.text(a_text(event.delta))
        elif kind in _CALLS:
            if self._open.get(event.output_index) in _STREAMED:  # else its item tells them
                self._piece(event)
                self.argue(event.output_index, a_text(event.delta))
        elif kind in _THOUGHTS:
            self._piece(event)
            self.writer.reason(a_text(event.delta), "openai")
        elif kind == "response.refusal.delta":
            self._piece(event)
            self.writer.refuse(a_text(event.delta))
        else:
            self._other(kind, event)

    def _piece(self, event: Event) -> None:
        if not self.writer.begun:
            self.writer.begin("")
        self._told.setdefault(event.output_index, []).append(a_text(event.delta))

    def _other(self, kind: str, event: Event) -> None:
        if kind == "response.output_item.added" and isinstance(event.item, dict):
            self._added(event.output_index, event.item)
        elif kind == "response.output_item.done" and isinstance(event.item, dict):
            self._whole(event.output_index, event.item)
        elif kind == "response.reasoning_summary_part.added" and event.output_index in self._told:
            self.writer.reason("\n\n", "openai")
        elif kind == "response.output_text.annotation.added":
            for citation in read_annotations([event.annotation], self.losses) if self.writer.begun else ():
                self.writer.cite(citation.placed(self._begun_at, self._length))
        elif kind == "response.content_part.added":
            self._begun_at = self._length
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._conclude(event.response if isinstance(event.response, dict) else {})
        elif kind == "error" or event.error:
            error = event.error or {"message": event.message, "code": event.code}
            self.fail(fault_of({"error": error}))
        elif kind == "response.created" and not self.writer.begun:
            response = event.response if isinstance(event.response, dict) else {}
            self.writer.begin(a_text(response.get("model")))

    def _added(self, index: Any, item: dict[str, Any]) -> None:
        if not self.writer.begun:
            self.writer.begin("")
        self._seen |= _names(item)
        kind = self._open[index] = a_text(item.get("type"))
        if kind == "function_call":
            self.open(index, a_text(item.get("call_id")), a_text(item.get("name")))
        elif kind == "custom_tool_call":
            self.call(index, a_text(item.get("call_id")), a_text(item.get("name")))

    def _whole(self, index: Any, item: dict[str, Any]) -> None:
        """An item is whole: tell what of it was not told."""
        if index in self._done:
            return
        if not self.writer.begun:
            self.writer.begin("")
        kind = a_text(item.get("type"))
        if kind in _STREAMED and self._open.get(index) not in _STREAMED:
            self._added(index, item)
        self._done.add(index)
        self._seen |= _names(item)
        told = "".join(self._told.pop(index, []))
        if kind in _STREAMED:
            whole = a_text(item.get("arguments")) or a_text(item.get("input"))
            if whole.startswith(told):
                self.argue(index, whole[len(told) :])
            self.close(index)
        elif kind == "reasoning":
            self._thought(item, told)
        elif kind != "message" or not told:
            for part in read_output(item, self.losses):
                play_part(part, index, self.writer, self._length)
                self._length += len(part.text) if isinstance(part, Text) else 0

    def _thought(self, item: dict[str, Any], told: str) -> None:
        for part in read_output(item, self.losses):
            if isinstance(part, Reasoning):
                if not told and part.text:
                    self.writer.reason(part.text, part.origin)
                self.writer.vouch(part)
        self.writer.thought_over_now()

    def _conclude(self, response: dict[str, Any]) -> None:
        if response.get("status") == "failed" or response.get("error"):
            self.fail(fault_of({"error": response.get("error") or INCOMPLETE.message}))
            return
        if not self.writer.begun:
            self.writer.begin(a_text(response.get("model")))
        output = response.get("output")
        for index, item in enumerate(output if isinstance(output, list) else []):
            if isinstance(item, dict) and index not in self._done and index not in self._told:
                if not self._seen & _names(item):  # some servers count otherwise at the end
                    self._whole(index, item)
        for index in [index for index, kind in self._open.items() if kind in _STREAMED and index not in self._done]:
            self.close(index)
        ending = from_responses(response.get("status"), response.get("incomplete_details"))
        ending.usage, ending.tier = usage_of(response.get("usage")), tier_of(response.get("service_tier"))
        self.end(ending)

    def finish(self) -> bool:
        if not self.over:
            self.fail(INCOMPLETE)
        return self.over


def _names(item: dict[str, Any]) -> set[str]:
    """What an item is known by, wherever it stands."""
    return {a_text(item.get("id")), a_text(item.get("call_id"))} - {""}
