"""Chat's chunks, read."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from proxy.translate.chat_reading import arguments_of, extra_of
from proxy.translate.chat_thoughts import IN_CONTENT, read_detail, thought_in
from proxy.translate.faults import INCOMPLETE, fault_of
from proxy.translate.logprobs import read_logprobs
from proxy.translate.losses import Losses
from proxy.translate.reading import StreamReader
from proxy.translate.responses_items import read_annotations
from proxy.translate.stops import from_chat, tier_of
from proxy.translate.tools import Known
from proxy.translate.usage import merged, usage_elsewhere, usage_in, usage_of
from proxy.translate.values import Ending, Reasoning, a_count, a_text
from proxy.translate.writing import StreamWriter


class Delta(Struct):
    """What a chunk adds; some servers send `message` in its place."""

    content: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    annotations: Any = None
    images: Any = None
    audio: Any = None


class Choice(Struct):
    """One choice. `stop_reason` is vLLM's."""

    index: Any = 0
    delta: Delta | None = None
    message: Delta | None = None
    logprobs: Any = None
    finish_reason: Any = None
    native_finish_reason: Any = None
    stop_reason: Any = None
    error: Any = None
    usage: Any = None


class Chunk(Struct):
    """One chunk. `x_groq` and `timings` (llama.cpp), and `usage` of a choice (Moonshot), are where some tell the usage."""

    model: Any = None
    choices: list[Choice] | None = None
    usage: Raw | UnsetType = UNSET
    error: Any = None
    service_tier: Any = None
    x_groq: Any = None
    timings: Any = None


_decoder = msgspec.json.Decoder(Chunk)


class ChatEvents(StreamReader):
    """Reads chunks. A call is known by its index, else by its id; else it is the last one's (wire.md 2.3, 4)."""

    def __init__(self, writer: StreamWriter, known: Known, losses: Losses, made: str) -> None:
        """`made` is what ids begin with that a server left out."""
        super().__init__(writer, known, losses)
        self._made = made
        self._calls = _Calls(self, made)
        self._ending: Ending | None = None
        self._usage: Any = None
        self._told_elsewhere: dict[str, Any] = {}
        self._tier = ""
        self._said = False

    def see(self, data: bytes) -> None:
        if self.over:
            return
        if data.startswith(b"[DONE]"):
            self._conclude(self._ending or (Ending("end") if self._said else None))
            return
        chunk = self.decoded(_decoder, data)
        if chunk is None:
            return
        if not self.writer.begun and (chunk.choices or chunk.model):  # Azure's first chunk says neither
            self.writer.begin(a_text(chunk.model))
        for choice in chunk.choices or ():
            if choice.index in (0, None):
                self._choice(choice, chunk.error)
        if chunk.usage is not UNSET:
            self._usage = merged(self._usage, usage_in(chunk.usage))
        if elsewhere := usage_elsewhere(chunk.x_groq, chunk.timings, [c.usage for c in chunk.choices or ()]):
            self._told_elsewhere = elsewhere
        if chunk.service_tier:
            self._tier = tier_of(chunk.service_tier)
        if chunk.error and not self.over:
            self.fail(fault_of({"error": chunk.error}))

    def _choice(self, choice: Choice, error: Any) -> None:
        """Read a choice; `error` is what its chunk says went wrong."""
        delta = choice.delta or choice.message
        if delta is not None:
            if choice.logprobs:
                self._note_likely(choice.logprobs, delta)
            self._delta(delta)
        if choice.finish_reason == "error" or choice.error:
            self.fail(fault_of({"error": choice.error or error or INCOMPLETE.message}))
        elif choice.finish_reason:
            self._ending = from_chat(choice.finish_reason, choice.stop_reason)

    def _note_likely(self, said: Any, delta: Delta) -> None:
        """Keep how likely words were; nobody else says it of thoughts and calls."""
        if isinstance(said, dict) and not (delta.tool_calls or delta.reasoning or delta.reasoning_content):
            self.writer.likely(read_logprobs(said.get("content")))

    def _delta(self, delta: Delta) -> None:
        if delta.reasoning_details or delta.reasoning or delta.reasoning_content:
            self._think(delta)
        if delta.content:
            self._said = True
            if isinstance(delta.content, str):
                self.writer.text(delta.content)
            else:
                self._parts(delta.content)
        if delta.refusal:
            self._said = True
            self.writer.refuse(a_text(delta.refusal))
        if delta.tool_calls or delta.function_call:
            self._said = True
            calls = delta.tool_calls or [{"index": 0, "function": delta.function_call}]
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, dict):
                    self._calls.see(call)
        self.losses.unless_empty("pictures", delta.images)
        self.losses.unless_empty("audio", delta.audio)
        if delta.annotations:
            for citation in read_annotations(delta.annotations, self.losses):
                self.writer.cite(citation)

    def _parts(self, content: Any) -> None:
        """Content that comes in parts, as Mistral's where it thinks."""
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, dict):
                continue
            if thought := thought_in(part):
                self.writer.reason(thought, IN_CONTENT)
            elif text := a_text(part.get("text")):
                self.writer.text(text)

    def _think(self, delta: Delta) -> None:
        told = False
        for name in ("reasoning_content", "reasoning"):
            text = getattr(delta, name)
            if isinstance(text, str) and text and not told:
                origin = "reasoning_details" if delta.reasoning_details else name
                self.writer.reason(text, origin)
                told = True
        for block in delta.reasoning_details if isinstance(delta.reasoning_details, list) else ():
            thought = read_detail(block) if isinstance(block, dict) else None
            if thought is None:
                continue
            if thought.text and not told:
                self.writer.reason(thought.text, thought.origin)
            if thought.signature or thought.data:
                self.writer.vouch(thought)

    def finish(self) -> bool:
        if not self.over:
            self._conclude(self._ending)
        return self.over

    def _conclude(self, ending: Ending | None) -> None:
        """The stream is over: it was whole only where something says so."""
        if ending is None:
            self.fail(INCOMPLETE)
            return
        self._calls.close()
        ending.usage, ending.tier = usage_of(self._usage or self._told_elsewhere), self._tier
        self.end(ending)


class _Calls:
    """Tells the calls of a stream apart, whatever a server leaves out."""

    def __init__(self, reader: StreamReader, made: str) -> None:
        self._reader = reader
        self._made = made
        self._by_index: dict[Any, int] = {}
        self._ids: dict[int, str] = {}
        self._opened: set[int] = set()
        self._closed: set[int] = set()
        self._arguments: dict[int, list[str]] = {}
        self._extra: dict[int, Reasoning] = {}
        self._last = -1

    def see(self, call: dict[str, Any]) -> None:
        """Read one entry of `tool_calls`."""
        function = call.get("function") or call.get("custom")
        function = function if isinstance(function, dict) else {}
        name = a_text(function.get("name"))
        fragment = arguments_of(function) or a_text(function.get("input"))
        key = self._key(call, begins=bool(name) and fragment.lstrip()[:1] == "{")
        if key in self._closed:
            return
        if extra := extra_of(call, ""):
            self._extra[key] = extra
        if name and key not in self._opened:
            self._open(key, name)
        if fragment:
            self._arguments[key].append(fragment)
            if key in self._opened:
                self._reader.argue(key, fragment)

    def _key(self, call: dict[str, Any], *, begins: bool) -> int:
        """The call that is meant: a new one where index or id say so; where they say nothing (Gemini's), one that `begins`
        behind one that is whole."""
        index, identity = a_count(call.get("index")), a_text(call.get("id"))
        key = self._by_index.get(index) if index is not None else None
        if key is None and index is None:
            same = [known for known, told in self._ids.items() if told == identity and identity]
            key = same[0] if same else self._last if self._last >= 0 and not identity else None
        if key is not None and identity and self._ids[key] not in ("", identity):
            key = None  # the same index for another call
        if key is not None and begins and not identity and _is_whole("".join(self._arguments[key])):
            key = None
        if key is None:
            key = len(self._ids)
            self._ids[key], self._arguments[key] = identity, []
        if index is not None:
            self._by_index[index] = key
        self._ids[key] = self._ids[key] or identity
        self._last = key
        return key

    def _open(self, key: int, name: str) -> None:
        for other in self._opened - self._closed:
            if _is_whole("".join(self._arguments[other])):
                self._close(other)
        self._opened.add(key)
        self._ids[key] = self._ids[key] or f"call_{self._made}_{key}"
        self._reader.open(key, self._ids[key], name, self._extra.get(key))
        for fragment in self._arguments[key]:
            self._reader.argue(key, fragment)

    def _close(self, key: int) -> None:
        self._closed.add(key)
        self._reader.close(key)

    def close(self) -> None:
        """No more of any of them will come; one that was never named is told all the same."""
        for key in sorted(self._ids.keys() - self._opened):
            self._open(key, "")
        for key in sorted(self._opened - self._closed):
            self._close(key)


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
