"""A reply as chat's chunks."""

from __future__ import annotations

from typing import Any

from proxy.translate.chat_writing import details
from proxy.translate.faults import named_id, openai_object
from proxy.translate.stops import settled, to_chat
from proxy.translate.usage import chat_usage
from proxy.translate.values import Citation, Ending, Fault, Identity, ToolUse
from proxy.translate.writing import StreamWriter, encode

_DONE = b"data: [DONE]\n\n"


class ChatStream(StreamWriter):
    """Writes chunks. `include_usage`: the client asked for the chunk that tells it. `shown`: it can take thoughts.
    `functions`: of calls it can take one, as chat told it before there were tools."""

    def __init__(self, identity: Identity, *, include_usage: bool, shown: bool = True, functions: bool = False) -> None:
        super().__init__(identity)
        self._include_usage = include_usage
        self._shown = shown
        self._functions = functions
        self._before = self._after = b""
        self._ordinals: dict[int, int] = {}
        self._custom: set[int] = set()
        self._blocks = self._cited = 0

    def begin(self, model: str) -> None:
        super().begin(model)
        head = {
            "id": named_id("chat", self.identity),
            "object": "chat.completion.chunk",
            "created": self.identity.created,
            "model": model,
        }
        self._before = b"data: " + encode(head)[:-1] + b',"choices":[{"index":0,"delta":'
        rest = b',"usage":null' if self._include_usage else b""
        self._after = b',"logprobs":null,"finish_reason":null}]' + rest + b"}\n\n"
        self._delta({"role": "assistant", "content": ""})

    def _delta(self, delta: dict[str, Any]) -> None:
        self._out.append(self._before + encode(delta) + self._after)

    def text(self, text: str) -> None:
        self._settle_thought()
        after = self._after
        if self._likely:
            after = after.replace(b"null", encode(self._told_likely()), 1)  # its first is that of `logprobs`
        self._out.append(b'%b{"content":%b}%b' % (self._before, encode(text), after))

    def _told_likely(self) -> dict[str, Any] | None:
        told, self._likely = self._likely, []
        return chat_logprobs(told)

    def refuse(self, text: str) -> None:
        self._settle_thought()
        self._delta({"refusal": text})

    def cite(self, citation: Citation) -> None:
        # the SDK adds up lists by the index of their entries
        self._delta({"annotations": [{"index": self._cited, **annotation(citation)}]})
        self._cited += 1

    def reason(self, text: str, origin: str) -> None:
        super().reason(text, origin)
        if self._shown:
            self._delta({"reasoning": text})

    def _settle_thought(self) -> None:
        if self._thought is not None:
            self.thought_over_now()

    def thought_over_now(self) -> None:
        thought = self.thought_over()
        if thought is not None and self._shown:  # whole, as SDKs add up the members of blocks that come in pieces
            blocks = details(thought, self._blocks)
            self._delta({"reasoning_details": blocks})
            self._blocks += len(blocks)

    def call(self, key: int, use: ToolUse) -> None:
        super().call(key, use)
        self._settle_thought()
        ordinal = self._ordinals[key] = len(self._ordinals)
        if self._functions:
            if not ordinal:
                self._delta({"function_call": {"name": use.name, "arguments": use.arguments}})
            return
        if use.kind == "custom":
            self._custom.add(key)
            call: dict[str, Any] = {"type": "custom", "custom": {"name": use.name, "input": use.arguments}}
        else:
            call = {"type": "function", "function": {"name": use.name, "arguments": use.arguments}}
        self._delta({"tool_calls": [{"index": ordinal, "id": use.id, **call}]})

    def argue(self, key: int, fragment: str) -> None:
        if not fragment:
            return
        if self._functions:
            if not self._ordinals[key]:
                self._delta({"function_call": {"arguments": fragment}})
            return
        kind = b'"custom":{"input":' if key in self._custom else b'"function":{"arguments":'
        call = b'{"tool_calls":[{"index":%d,%b%b}}]}' % (self._ordinals[key], kind, encode(fragment))
        self._out.append(self._before + call + self._after)

    def end(self, ending: Ending) -> None:
        self._settle_thought()
        self.ended = True
        stop = settled(ending.stop, has_tools=bool(self._ordinals))
        head = self._before[: -len(b',"choices":[{"index":0,"delta":')]
        finish = {"index": 0, "delta": {}, "logprobs": self._told_likely()}
        finish["finish_reason"] = to_chat(stop, functions=self._functions)
        finish["native_finish_reason"] = ending.native or None
        tier = b',"service_tier":' + encode(ending.tier) if ending.tier else b""
        rest = b',"usage":null' if self._include_usage else b""
        self._out.append(head + tier + b',"choices":[' + encode(finish) + b"]" + rest + b"}\n\n")
        if self._include_usage:
            self._out.append(head + b',"choices":[],"usage":' + encode(chat_usage(ending.usage)) + b"}\n\n")
        self._out.append(_DONE)

    def fail(self, fault: Fault) -> None:
        self.ended = True
        self._out.append(b"data: " + encode({"error": openai_object(fault)}) + b"\n\n")


def chat_logprobs(tokens: list[Any]) -> dict[str, Any] | None:
    """How likely tokens were; None where nobody says."""
    return {"content": tokens, "refusal": None} if tokens else None


def annotation(citation: Citation) -> dict[str, Any]:
    """Where words come from."""
    inner = {"url": citation.url, "title": citation.title}
    places = {"start_index": max(0, citation.start), "end_index": max(0, citation.end)}
    return {"type": "url_citation", "url_citation": inner | places}
