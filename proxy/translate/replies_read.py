"""Whole replies of each protocol as neutral ones."""

from __future__ import annotations

from typing import Any

from proxy.errors import InvalidValue
from proxy.translate.chat_reading import arguments_of, extra_of, read_content
from proxy.translate.chat_thoughts import read_thoughts
from proxy.translate.faults import INCOMPLETE, fault_of
from proxy.translate.logprobs import read_logprobs
from proxy.translate.losses import Losses
from proxy.translate.messages_reading import read_block, refusal_in
from proxy.translate.responses_items import read_annotations, read_output
from proxy.translate.stops import from_chat, from_messages, from_responses, tier_of
from proxy.translate.tools import Known, apart
from proxy.translate.usage import usage_elsewhere, usage_of
from proxy.translate.values import (
    EXTRA,
    Fault,
    Part,
    Protocol,
    Reasoning,
    Refusal,
    Reply,
    Text,
    ToolUse,
    a_list,
    a_text,
    an_object,
)
from proxy.wire.usage import Usage


def read_reply(protocol: Protocol, body: dict[str, Any], known: Known, losses: Losses, made: str) -> Reply:
    """Read a reply that is no error; `made` is what ids begin with that a server left out.

    Raises `InvalidValue` where its shape is not that protocol's, or it says that it failed.
    """
    if (failure := failure_in(body)) is not None:
        raise InvalidValue(f"It is an error: {failure.message}")
    if _MEMBER[protocol] not in body:
        raise InvalidValue(f"It has no '{_MEMBER[protocol]}'.", param=_MEMBER[protocol])
    reply = _READ[protocol](body, losses)
    reply.parts = [_named(part, known, is_wrapped=protocol != "responses") for part in reply.parts]
    taken: set[str] = set()
    number = 0
    for place, part in enumerate(reply.parts):
        if isinstance(part, ToolUse):
            part.id = apart(part.id or f"call_{made}_{number}", taken)
            number += 1
            before = reply.parts[place - 1]
            if isinstance(before, Reasoning) and before.origin == EXTRA:
                before.id = part.id
    reply.ending.usage = usage_of(body.get("usage")) or _usage_elsewhere(body)
    return reply


def failure_in(body: dict[str, Any]) -> Fault | None:
    """What went wrong by a reply that says it failed, whatever its status."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    error = body.get("error") or choice.get("error")
    if error:
        return fault_of({"error": error})
    failed = choice.get("finish_reason") == "error" or body.get("status") in ("failed", "cancelled")
    return INCOMPLETE if failed else None


def _usage_elsewhere(body: dict[str, Any]) -> Usage | None:
    choices = body.get("choices")
    of_choices = [one.get("usage") for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
    return usage_of(usage_elsewhere(body.get("x_groq"), body.get("timings"), of_choices))


def _named(part: Part, known: Known, *, is_wrapped: bool) -> Part:
    if isinstance(part, ToolUse) and part.kind == "function" and (is_wrapped or part.name):
        return known.call(part.id, part.name, part.arguments)
    return part


def _chat(body: dict[str, Any], losses: Losses) -> Reply:
    choices = a_list(body.get("choices"), "choices")
    choice = an_object(choices[0], "choices") if choices else {}
    message = an_object(choice.get("message") or {}, "message")
    losses.unless_empty("pictures", message.get("images"))
    losses.unless_empty("audio", message.get("audio"))
    parts = read_thoughts(message)
    said = read_content(message.get("content"), losses)
    citations = read_annotations(message.get("annotations"), losses)
    if citations and not any(isinstance(part, Text) for part in said):
        said.append(Text(""))
    told = choice.get("logprobs")
    likely = read_logprobs(told.get("content")) if isinstance(told, dict) else []
    for part in said:
        if isinstance(part, Text):
            part.citations, citations = citations, []
            part.logprobs, likely = likely, []
    parts += said
    if refusal := a_text(message.get("refusal")):
        parts.append(Refusal(refusal))
    for call in a_list(message.get("tool_calls"), "tool_calls") or [{"function": message.get("function_call")}]:
        function = call.get("function") or call.get("custom") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = arguments_of(function) or a_text(function.get("input"))
            if extra := extra_of(call, ""):
                parts.append(extra)
            parts.append(ToolUse(a_text(call.get("id")), a_text(function.get("name")), arguments))
    ending = from_chat(choice.get("finish_reason"), choice.get("stop_reason"))
    ending.tier = tier_of(body.get("service_tier"))
    return Reply(a_text(body.get("model")), parts, ending)


def _messages(body: dict[str, Any], losses: Losses) -> Reply:
    blocks = [an_object(block, "content") for block in a_list(body.get("content"), "content")]
    parts = [part for block in blocks if (part := read_block(block, losses)) is not None]
    if said := refusal_in(body.get("stop_details")):
        parts.append(Refusal(said))
    return Reply(a_text(body.get("model")), parts, from_messages(body.get("stop_reason"), body.get("stop_sequence")))


def _responses(body: dict[str, Any], losses: Losses) -> Reply:
    items = [an_object(item, "output") for item in a_list(body.get("output"), "output")]
    parts = [part for item in items for part in read_output(item, losses)]
    ending = from_responses(body.get("status"), body.get("incomplete_details"))
    ending.tier = tier_of(body.get("service_tier"))
    return Reply(a_text(body.get("model")), parts, ending)


_READ = {"chat": _chat, "messages": _messages, "responses": _responses}
# what each says all of its words in
_MEMBER: dict[Protocol, str] = {"chat": "choices", "messages": "content", "responses": "output"}
