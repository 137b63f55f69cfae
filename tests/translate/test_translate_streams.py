"""Replies in another protocol: the official SDKs read them, streamed and whole alike, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protocols import IDENTITY, PAIRS, bridge, events_of, lost, passed, read_stream, read_whole, stream_of, translated
from upstreams import (
    STORIES,
    block,
    called,
    chat_whole,
    chunk,
    message,
    responses_story,
    responses_whole,
    tool_block,
    whole_body,
)

from proxy.translate.values import Protocol

pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


@pairs
def test_the_sdk_reads_the_same_of_a_stream_and_of_a_whole_reply(source: Protocol, target: Protocol) -> None:
    streamed = read_stream(target, passed(bridge(source, target), stream_of(source, STORIES[source]())))
    whole = read_whole(target, bridge(source, target).whole(whole_body(source)))
    assert streamed == whole
    said = str(whole)
    for words in ("Let me think.", "I look: é😀", "'y'"):
        assert words in said
    assert IDENTITY.id in whole["id"]


@pairs
def test_a_whole_reply_can_be_played_as_a_stream(source: Protocol, target: Protocol) -> None:
    played = read_stream(target, bridge(source, target).played(whole_body(source)))
    assert played == read_whole(target, bridge(source, target).whole(whole_body(source)))


@pairs
def test_the_cuts_of_a_stream_do_not_show(source: Protocol, target: Protocol) -> None:
    stream = stream_of(source, STORIES[source]())
    expected = passed(bridge(source, target), stream)
    for size in (1, 2, 3, 7, 64, 1000):
        assert passed(bridge(source, target), stream, size) == expected, size
    assert passed(bridge(source, target), stream.replace(b"\n", b"\r\n"), 5) == expected


@pytest.mark.parametrize("target", ["messages", "responses"])
def test_pieces_that_are_alike_are_said_as_any_other(target: Protocol) -> None:
    """Most of a stream is one event again and again with other words; thoughts, escapes and bytes of no text between."""
    words = ["I ", "look", ": é😀", ' "so" \\', "\n", "and ", "on ", "", " go"]
    said = [chunk({"content": word}) for word in words]
    events = [*said, chunk({"reasoning": "Hm."}), *said, chunk({}, "stop")]
    stream = stream_of("chat", events)
    whole = read_stream(target, passed(bridge("chat", target), stream))
    assert str(whole).count("and on  go") == 2 and "Hm." in str(whole)
    one_by_one = bridge("chat", target)
    pieces = [one_by_one.feed(piece + b"\n\n") for piece in stream.split(b"\n\n") if piece]
    assert read_stream(target, b"".join(pieces)) == whole
    strange = stream.replace(b'"on "', b'"\xff\xfe"', 1)
    assert passed(bridge("chat", target), strange).decode()


def counts(target: Protocol, usage: dict[str, Any]) -> tuple[int, int, int, int]:
    """Input with all of the cache, output, read from the cache, thoughts."""
    if target == "messages":
        cached = usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
        told = usage["cache_read_input_tokens"], usage["output_tokens_details"]["thinking_tokens"]
        return usage["input_tokens"] + cached, usage["output_tokens"], *told
    read, written = ("prompt", "completion") if target == "chat" else ("input", "output")
    details = usage[f"{read}_tokens_details"]["cached_tokens"], usage[f"{written}_tokens_details"]["reasoning_tokens"]
    return usage[f"{read}_tokens"], usage[f"{written}_tokens"], *details


@pairs
def test_every_bucket_of_the_usage_arrives(source: Protocol, target: Protocol) -> None:
    whole = read_whole(target, bridge(source, target).whole(whole_body(source)))
    assert counts(target, whole["usage"]) == (100, 40, 60, 7)


def likely(token: str, *tops: str) -> dict[str, Any]:
    """How likely a token was, and others in its place."""
    told = [{"token": one, "logprob": -0.5, "bytes": list(one.encode())} for one in (token, *tops)]
    return {**told[0], "top_logprobs": told[1:]}


TOKENS = [likely("I ", "You "), likely("look: ", "see: "), likely("é😀")]


def with_logprobs(source: Protocol) -> tuple[list[Any], dict[str, Any]]:
    """A story told in tokens, whole and in events; the events of Responses say no bytes, and chat's may say none."""
    if source == "chat":
        words = [{"content": one["token"]} for one in TOKENS]
        bare, whole = [{**one, "bytes": None} for one in TOKENS], chat_whole()
        events = [chunk(said) for said in words] + [chunk({}, "stop", usage=whole["usage"])]
        for event, token in zip(events, bare, strict=False):
            event["choices"][0]["logprobs"] = {"content": [token], "refusal": None}
        whole["choices"][0] |= {"message": {"role": "assistant", "content": "I look: é😀"}, "finish_reason": "stop"}
        whole["choices"][0]["logprobs"] = {"content": TOKENS, "refusal": None}
        return events, whole
    whole = responses_whole()
    whole["output"] = whole["output"][1:2]
    whole["output"][0]["content"][0]["logprobs"] = TOKENS
    said = [event for event in responses_story() if event.get("output_index") == 1 and "delta" not in event]
    told = [{"token": one["token"], "logprob": -0.5, "top_logprobs": one["top_logprobs"]} for one in TOKENS]
    place = {"type": "response.output_text.delta", "output_index": 1, "content_index": 0}
    deltas = [{**place, "delta": one["token"], "logprobs": [one]} for one in told]
    created = {"type": "response.created", "response": {**whole, "output": []}}
    return [created, *said[:2], *deltas, *said[2:], {"type": "response.completed", "response": whole}], whole


@pytest.mark.parametrize(("source", "target"), [("chat", "responses"), ("responses", "chat")])
def test_the_likelihood_of_tokens_is_told_where_both_tell_it(source: Protocol, target: Protocol) -> None:
    events, body = with_logprobs(source)
    whole = read_whole(target, bridge(source, target).whole(json.dumps(body).encode()))
    stream = passed(bridge(source, target), stream_of(source, events))
    assert read_stream(target, stream) == whole
    part = whole["choices"][0]["logprobs"] if target == "chat" else whole["output"][0]["content"][0]
    kept = part["content"] if target == "chat" else part["logprobs"]
    assert [one["token"] for one in kept] == ["I ", "look: ", "é😀"] and kept[0] == TOKENS[0]
    first = next(event for event in events_of(stream) if "I " in str(event))  # with its words, not at the end
    assert "'logprob': -0.5" in str(first)


@pytest.mark.parametrize(("source", "target"), [("chat", "responses"), ("responses", "chat")])
def test_the_likelihood_of_tokens_is_asked_for(source: Protocol, target: Protocol) -> None:
    included = "message.output_text.logprobs"
    asked: dict[Protocol, dict[str, Any]] = {
        "chat": {"messages": [], "logprobs": True, "top_logprobs": 3},
        "responses": {"input": "Hi", "include": [included], "top_logprobs": 3},
    }
    body, losses = translated(source, target, asked[source])
    assert body["top_logprobs"] == 3 and lost(losses) == []
    assert body["logprobs"] is True if target == "chat" else included in body["include"]


CUT_TEXT = [{"type": "text_delta", "text": "I lo"}]
CUT: dict[str, list[Any]] = {
    "words of chat": [chunk({"content": "I lo"}), chunk({}, "length")],
    "a call of chat": [
        chunk({"content": "I look."}),
        chunk(called(0, '{"at', id="call_1", name="look")),
        chunk({}, "length"),
    ],
    "words of messages": message(block(0, {"type": "text", "text": ""}, *CUT_TEXT), stop="max_tokens"),
    "a call of messages": message(
        block(0, {"type": "text", "text": "I look."}), tool_block(1, "toolu_1", '{"at'), stop="max_tokens"
    ),
}


@pytest.mark.parametrize("which", CUT)
def test_the_last_item_of_a_response_that_was_cut_off_is_incomplete(which: str) -> None:
    source: Protocol = "chat" if "chat" in which else "messages"
    stream = passed(bridge(source, "responses"), stream_of(source, CUT[which]))
    whole = read_stream("responses", stream)
    assert whole["status"] == "incomplete" and whole["incomplete_details"] == {"reason": "max_output_tokens"}
    ended = [event["item"] for event in events_of(stream) if event["type"] == "response.output_item.done"]
    assert [item["status"] for item in ended] == [item["status"] for item in whole["output"]]
    assert [item["status"] for item in ended] == ["completed"] * (len(ended) - 1) + ["incomplete"]
    assert ended[-1]["type"] == ("function_call" if "call" in which else "message")


def test_a_whole_reply_that_was_cut_off_ends_on_an_item_that_is_incomplete() -> None:
    body = chat_whole()
    body["choices"][0]["finish_reason"] = "length"
    said = read_whole("responses", bridge("chat", "responses").whole(json.dumps(body).encode()))
    assert said["status"] == "incomplete"
    assert [item.get("status") for item in said["output"]] == [None, "completed", "completed", "incomplete"]
    played = bridge("chat", "responses").played(json.dumps(body).encode())
    assert read_stream("responses", played) == said


def test_a_response_says_what_openrouters_sdk_demands_of_one() -> None:
    told = json.loads(bridge("chat", "responses").whole(json.dumps(chat_whole()).encode()))
    assert (told["completed_at"], told["frequency_penalty"], told["presence_penalty"]) == (None, 0, 0)
