"""Gemini's calls of tools carry a signature that has to come back with them, else it refuses to go on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protocols import asking, bridge, lost, passed, read_stream, stream_of
from upstreams import chunk

from proxy.translate.bridge import read_request, write_request
from proxy.translate.kept import KeptThoughts
from proxy.translate.losses import Losses
from proxy.translate.sealing import seal
from proxy.translate.values import EXTRA, Aim, Protocol, Reasoning, Request

SIGNED = {"google": {"thought_signature": "c2lnbmF0dXJl"}}
FIRST = {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
SECOND = {"id": "call_b", "type": "function", "function": {"name": "look", "arguments": '{"at":2}'}}
SAID = [{**FIRST, EXTRA: SIGNED}, SECOND]
HI = {"role": "user", "content": "Hi"}


def said(target: Protocol, *, streamed: bool) -> dict[str, Any]:
    """What a client makes of Gemini's reply."""
    if streamed:
        calls = [{**call, "index": place} for place, call in enumerate(SAID)]
        stream = stream_of("chat", [chunk({"tool_calls": calls}), chunk({}, "tool_calls")])
        reply: dict[str, Any] = read_stream(target, passed(bridge("chat", target), stream))
        return reply
    message = {"role": "assistant", "content": None, "tool_calls": SAID}
    whole = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    told: dict[str, Any] = json.loads(bridge("chat", target).whole(json.dumps(whole).encode()))
    return told


def carried(target: Protocol, reply: dict[str, Any]) -> Request:
    """The next request of that client."""
    if target == "messages":
        body = {"messages": [HI, {"role": "assistant", "content": reply["content"]}, HI]}
    else:
        body = {"input": [HI, *map(_as_sent, reply["output"]), HI]}
    return read_request(target, json.dumps(body).encode(), Losses())


def _as_sent(item: dict[str, Any]) -> dict[str, Any]:
    """With its arguments as text again, which `read_stream` tells by what they say."""
    arguments = item.get("arguments")
    return {**item, "arguments": json.dumps(arguments, separators=(",", ":"))} if isinstance(arguments, dict) else item


def calls_sent(request: Request, model: str = "gemini-3-flash-preview") -> tuple[list[Any], list[str]]:
    """The calls as they go out, and what was lost."""
    losses = Losses()
    body = json.loads(write_request(request, Aim("chat", model), losses))
    return body["messages"][1]["tool_calls"], lost(losses.sort())


@pytest.mark.parametrize("target", ["messages", "responses"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_signature_comes_back_with_its_call(target: Protocol, streamed: bool) -> None:
    assert calls_sent(carried(target, said(target, streamed=streamed))) == (SAID, [])


@pytest.mark.parametrize("target", ["messages", "responses"])
def test_others_than_gemini_are_not_shown_it(target: Protocol) -> None:
    assert calls_sent(carried(target, said(target, streamed=True)), "llama-3.3-70b") == ([FIRST, SECOND], ["thinking"])


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_wants_no_thoughts_has_it_kept(streamed: bool) -> None:
    one = bridge("chat", "messages", asking("messages", thinking={"type": "disabled"}))
    call = {**SAID[0], "index": 0}
    if streamed:
        passed(one, stream_of("chat", [chunk({"tool_calls": [call]}), chunk({}, "tool_calls")]))
    else:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        one.whole(json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode())
    kept = KeptThoughts()
    kept.keep("alice", one.calls, one.thoughts, now=0.0)
    request = carried(
        "messages", {"content": [{"type": "tool_use", "id": "call_a", "name": "look", "input": {"at": 1}}]}
    )
    kept.put_back("alice", request, now=1.0)
    assert calls_sent(request) == ([SAID[0]], [])


@pytest.mark.parametrize("data", ["", "{", "[]", '{}]}],"model":"other"', "7"])
def test_what_a_client_made_up_is_left_out(data: str) -> None:
    thought = {"type": "thinking", "thinking": "", "signature": seal(Reasoning(data=data, id="call_a", origin=EXTRA))}
    use = {"type": "tool_use", "id": "call_a", "name": "look", "input": {"at": 1}}
    assert calls_sent(carried("messages", {"content": [thought, use]})) == ([FIRST], [])
