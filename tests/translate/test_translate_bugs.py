"""Streams on which gateways are known to fail: each a test, read by the official SDKs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols import PROTOCOLS, asking, bridge, events_of, lost, passed, read_stream, stream_of
from upstreams import (
    STORIES,
    USAGE,
    block,
    called,
    chunk,
    message,
    numbered,
    responses_story,
    responses_whole,
    tool_block,
)

from proxy.errors import InvalidValue
from proxy.translate.usage import messages_usage
from proxy.translate.values import Protocol
from proxy.wire.usage import Usage

END = [chunk({}, "stop")]
CALLED = [chunk({}, "tool_calls")]


def told(target: Protocol, source: Protocol, events: list[Any], *, done: bool = True) -> Any:
    """What the client's SDK reads of a stream."""
    return read_stream(target, passed(bridge(source, target), stream_of(source, events, done=done)))


def blocks(source: Protocol, events: list[Any]) -> list[dict[str, Any]]:
    return told("messages", source, events).get("content", [])


def test_text_beside_an_empty_list_of_calls_is_text() -> None:
    events = [chunk({"content": "Hi", "tool_calls": []}), chunk({"content": " there", "tool_calls": None}), *END]
    assert blocks("chat", events) == [{"type": "text", "text": "Hi there"}]


def done_only() -> list[dict[str, Any]]:
    """Arguments that came in no delta, but with what ends them."""
    return [event for event in responses_story() if event["type"] != "response.function_call_arguments.delta"]


def never_begun() -> list[dict[str, Any]]:
    """Arguments of calls whose items were never begun, only ended."""
    kinds = {"response.output_item.added"}
    return [e for e in responses_story() if not (e["type"] in kinds and e["item"]["type"] == "function_call")]


def terminal_only() -> list[dict[str, Any]]:
    """A response of which nothing was streamed."""
    return numbered([{"type": "response.completed", "response": responses_whole()}])


@pytest.mark.parametrize("events", [done_only(), never_begun(), terminal_only()])
@pytest.mark.parametrize("target", ["messages", "chat"])
def test_arguments_that_came_in_no_delta_are_told(events: list[Any], target: Protocol) -> None:
    assert told(target, "responses", events) == told(target, "responses", responses_story())


@pytest.mark.parametrize(
    "events",
    [
        [chunk(called(0, '{"at": "x"}', id="c1", name="look"), "tool_calls")],
        [
            {
                **chunk(),
                "choices": [
                    {
                        "index": 0,
                        "message": called(0, '{"at": "x"}', id="c1", name="look"),
                        "finish_reason": "tool_calls",
                    }
                ],
            }
        ],
        [chunk(called(0, "", id="c1", name="look")), chunk(called(0, '{"at": "x"}'), "tool_calls")],
        [
            chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": {"at": "x"}}}]}),
            *CALLED,
        ],
    ],
    ids=["with-the-reason", "as-message", "at-the-end", "as-object"],
)
def test_arguments_that_come_late_or_whole_are_told(events: list[Any]) -> None:
    assert blocks("chat", events) == [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "x"}}]


def test_a_call_that_was_never_told_in_pieces_keeps_its_input() -> None:
    call = block(0, {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "x"}})
    choice = told("chat", "messages", message(call, stop="tool_use"))["choices"][0]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == {"at": "x"}


def test_every_run_of_thoughts_has_a_block_of_its_own() -> None:
    deltas = [{"reasoning": "a"}, {"content": "b"}, {"reasoning": "c"}, called(0, "{}", id="c1", name="look")]
    found = blocks("chat", [*map(chunk, deltas), chunk({"reasoning": "d"}), *CALLED])
    said = [(b["type"], b.get("thinking", b.get("text"))) for b in found]
    assert said == [("thinking", "a"), ("text", "b"), ("thinking", "c"), ("tool_use", None), ("thinking", "d")]


def test_thoughts_of_nothing_but_a_signature_swallow_no_call() -> None:
    thought = block(
        0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "signature_delta", "signature": "s"}
    )
    events = message(thought, tool_block(1, "t1", "{}"), stop="tool_use")
    choice = told("chat", "messages", events)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["id"] == "t1"
    kinds = [item["type"] for item in told("responses", "messages", events)["output"]]
    assert kinds == ["reasoning", "function_call"]


@pytest.mark.parametrize(("word", "stop"), [("tool_calls", "end_turn"), ("stop", "end_turn")])
def test_calls_that_never_came_are_no_reason_to_stop(word: str, stop: str) -> None:
    assert told("messages", "chat", [chunk({"content": "Hi"}), chunk({}, word)])["stop_reason"] == stop


X, Y = '{"at": "x"}', '{"at": "y"}'
ODD_CALLS = {
    "interleaved": [
        called(0, "", id="a", name="look"),
        called(1, "", id="b", name="look"),
        called(0, X[:6]),
        called(1, Y[:4]),
        called(0, X[6:]),
        called(1, Y[4:]),
    ],
    "sparse": [called(3, X, id="a", name="look"), called(7, Y, id="b", name="look")],
    "same index": [called(0, X, id="a", name="look"), called(0, Y[:3], id="b", name="look"), called(0, Y[3:])],
    "no index": [called(None, X[:3], id="a", name="look"), called(None, X[3:]), called(None, Y, id="b", name="look")],
    "id every time": [
        called(0, X[:3], id="a", name="look"),
        called(0, X[3:], id="a", name="look"),
        called(1, Y, id="b", name="look"),
    ],
    "name late": [called(0, X[:3], id="a"), called(0, X[3:], name="look"), called(1, Y, id="b", name="look")],
    "white space behind": [called(0, X, id="a", name="look"), called(1, Y, id="b", name="look"), called(0, "  \n")],
    "same id": [called(0, X, id="a", name="look"), called(1, Y, id="a", name="look")],
    "text between": [called(0, X, id="a", name="look"), {"content": "\n"}, called(1, Y, id="b", name="look")],
}


@pytest.mark.parametrize("target", ["messages", "responses"])
@pytest.mark.parametrize("name", ODD_CALLS)
def test_calls_are_told_apart_whatever_a_server_leaves_out(name: str, target: Protocol) -> None:
    whole = told(target, "chat", [*map(chunk, ODD_CALLS[name]), *CALLED])
    if target == "messages":
        calls = [(b["id"], b["name"], b["input"]) for b in whole["content"] if b["type"] == "tool_use"]
    else:
        items = [item for item in whole["output"] if item["type"] == "function_call"]
        calls = [(item["call_id"], item["name"], item["arguments"]) for item in items]
    second = "a_2" if name == "same id" else "b"
    assert calls == [("a", "look", {"at": "x"}), (second, "look", {"at": "y"})]


GEMINIS = {
    "in one chunk": [
        {"tool_calls": called(0, X, id="", name="look")["tool_calls"] + called(0, Y, id="", name="look")["tool_calls"]}
    ],
    "one by one": [called(0, X, id="", name="look"), called(0, Y, id="", name="look")],
    "without index": [called(None, X, name="look"), called(None, Y, name="look")],
}


@pytest.mark.parametrize("name", GEMINIS)
def test_calls_of_one_index_and_without_ids_are_told_apart_where_each_is_whole(name: str) -> None:
    whole = told("responses", "chat", [*map(chunk, GEMINIS[name]), *CALLED])
    assert [item["arguments"] for item in whole["output"]] == [{"at": "x"}, {"at": "y"}]
    assert len({item["call_id"] for item in whole["output"]}) == 2


@pytest.mark.parametrize("target", ["messages", "responses"])
def test_the_models_name_is_that_of_the_first_chunk_that_says_it(target: Protocol) -> None:
    """Azure's first chunk tells of its filters, and has neither model nor choices."""
    filters = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    whole = told(target, "chat", [filters, chunk({"content": "Hi"}), *END])
    assert whole["model"] == "llama"


@pytest.mark.parametrize("error", [{"message": "Provider disconnected", "code": 502}, None])
def test_a_whole_reply_whose_choice_is_an_error_is_no_answer(error: Any) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "error", "error": error}
    due = "Provider disconnected" if error else "The provider ended its answer in the middle"
    with pytest.raises(InvalidValue, match=due):
        bridge("chat", "messages").whole(json.dumps({"choices": [choice]}).encode())


@pytest.mark.parametrize("streamed", [True, False])
def test_pictures_and_sound_of_a_reply_are_named_where_they_are_lost(streamed: bool) -> None:
    said = {"content": "Look.", "images": [{"type": "image_url", "image_url": {"url": "data:,"}}], "audio": {"id": "a"}}
    one = bridge("chat", "messages")
    if streamed:
        passed(one, stream_of("chat", [chunk(said), *END]))
    else:
        one.whole(json.dumps({"choices": [{"message": said, "finish_reason": "stop"}]}).encode())
    assert lost(one.losses) == ["audio", "pictures"]


@pytest.mark.parametrize("target", ["messages", "responses"])
def test_a_call_that_nobody_named_is_not_kept_quiet(target: Protocol) -> None:
    stream = passed(bridge("chat", target), stream_of("chat", [chunk(called(0, X)), *CALLED]))
    assert b'"name":""' in stream and b"a1b2c3_0" in stream


def test_items_that_are_counted_otherwise_at_the_end_are_told_once() -> None:
    events = [
        {**event, **({"output_index": event["output_index"] + 5} if "output_index" in event else {})}
        for event in responses_story()
    ]
    assert told("chat", "responses", events) == told("chat", "responses", responses_story())


def test_members_that_are_null_are_none() -> None:
    nothing = {"text": None, "thinking": None, "partial_json": None, "signature": None}
    said = block(0, {"type": "text", "text": None}, {**nothing, "type": "text_delta", "text": "Hi"})
    assert told("chat", "messages", message(said))["choices"][0]["message"]["content"] == "Hi"


NO_BEGINNING: dict[Protocol, list[dict[str, Any]]] = {
    "messages": message(block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"}))[3:],
    "responses": numbered(
        [
            {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"},
            {"type": "response.completed", "response": responses_whole(output=[])},
        ]
    ),
}


@pytest.mark.parametrize("target", PROTOCOLS)
@pytest.mark.parametrize("source", NO_BEGINNING)
def test_a_stream_without_its_first_event_is_read(source: Protocol, target: Protocol) -> None:
    if source != target:
        assert "Hi" in str(told(target, source, NO_BEGINNING[source]))


ODD_INDEXES: list[tuple[Protocol, list[Any]]] = [
    ("chat", [chunk(called([0], X, id="a", name="look")), *CALLED]),  # type: ignore[arg-type]
    ("messages", [{"type": "content_block_delta", "index": {}, "delta": {"text": "Hi"}}]),
    ("responses", [{"type": "response.output_text.delta", "output_index": [1], "delta": "Hi"}]),
]


@pytest.mark.parametrize("target", PROTOCOLS)
@pytest.mark.parametrize(("source", "events"), ODD_INDEXES)
def test_an_index_that_is_none_is_no_accident(source: Protocol, events: list[Any], target: Protocol) -> None:
    if source != target:
        assert passed(bridge(source, target), stream_of(source, events))


@pytest.mark.parametrize("target", ["messages", "responses"])
def test_of_several_answers_told_by_turns_the_first_is_told(target: Protocol) -> None:
    said = [("A", 0), ("x", 1), ("y", 1), (" b", 0), ("z", 1), ("w", 1), (" c", 0)]
    events = [chunk({"content": text}) for text, _ in said]
    for event, (_, index) in zip(events, said, strict=True):
        event["choices"][0]["index"] = index
    stream = passed(bridge("chat", target), stream_of("chat", [*events, *END]))
    assert "A b c" in json.dumps(read_stream(target, stream))


@pytest.mark.parametrize("source", PROTOCOLS)
def test_a_body_that_is_no_reply_is_said_to_be_none(source: Protocol) -> None:
    target: Protocol = "messages" if source == "chat" else "chat"
    for body in (b"{}", b'{"choices": {}, "output": [], "content": {}, "status": "failed"}'):
        with pytest.raises(InvalidValue):
            bridge(source, target).whole(body)
    with pytest.raises(InvalidValue, match="It is an error: Out of memory."):
        bridge(source, target).whole(b'{"error": {"message": "Out of memory."}, "choices": [], "output": []}')


def check_messages(events: list[dict[str, Any]]) -> None:
    """The law of Anthropic's streams: one beginning, blocks one after the other, one end."""
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_delta") == kinds.count("message_stop") == 1
    opened, index = None, -1
    for event in events:
        if event["type"] == "content_block_start":
            index += 1
            assert opened is None and event["index"] == index
            opened = index
        elif event["type"].startswith("content_block"):
            assert event["index"] == opened
            opened = None if event["type"] == "content_block_stop" else opened
    assert opened is None


def check_responses(events: list[dict[str, Any]]) -> None:
    """The law of Responses' streams: dense numbers, each item begun and done, the last event with all of it."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    done = {event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert added == list(range(len(added))) and sorted(done) == added
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    assert events[-1]["response"]["output"] == [done[index] for index in added]


deltas = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(max_size=3)),
    st.builds(lambda text: {"reasoning": text}, st.text(min_size=1, max_size=3)),
    st.builds(lambda text: {"refusal": text}, st.text(min_size=1, max_size=3)),
    st.builds(
        lambda index, text: called(index, text, id=f"c{index}", name="look"),
        st.integers(0, 3),
        st.sampled_from(["", "{", "}", "{}"]),
    ),
)


@settings(max_examples=150)
@given(st.lists(deltas, max_size=12), st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
def test_any_chunks_make_lawful_events(said: list[dict[str, Any]], word: str) -> None:
    stream = stream_of("chat", [*map(chunk, said), chunk({}, word), chunk(None, usage=USAGE["chat"])])
    check_messages(events_of(passed(bridge("chat", "messages"), stream)))
    check_responses(events_of(passed(bridge("chat", "responses"), stream)))


def thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


@pytest.mark.parametrize("streamed", [True, False])
def test_thoughts_inside_of_content_are_thoughts(streamed: bool) -> None:
    parts = [thinking("Let me "), thinking("think."), {"type": "text", "text": "Hi"}]
    if streamed:
        pieces = [chunk({"content": [part]}) for part in parts]
        message = told("messages", "chat", [*pieces, chunk({"content": 7}), *END])
    else:
        whole = {"choices": [{"message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}]}
        message = json.loads(bridge("chat", "messages").whole(json.dumps(whole).encode()))
    *thoughts, words = message["content"]
    assert "".join(block["thinking"] for block in thoughts) == "Let me think." and words["text"] == "Hi"


def ended_with(**members: Any) -> dict[str, Any]:
    """The chunk with the reason, with members in its choice."""
    last = chunk({}, "stop")
    last["choices"][0] |= members
    return last


USAGE_SHAPES = {
    "apart": [*END, chunk(None, usage=USAGE["chat"])],
    "with the reason": [chunk({}, "stop", usage=USAGE["chat"])],
    "twice": [chunk({}, "stop"), chunk({"content": ""}, "stop", usage=USAGE["chat"])],
    "null first": [chunk({"content": ""}, usage=None), *END, chunk(None, usage=USAGE["chat"])],
    "Groq's": [chunk({}, "stop", x_groq={"id": "req_1", "usage": USAGE["chat"]})],
    "Moonshot's": [ended_with(usage=USAGE["chat"])],
    "llama.cpp's": [chunk({}, "stop", timings={"cache_n": 60, "prompt_n": 40, "predicted_n": 20})],
    "in two places": [
        chunk({}, "stop", timings={"cache_n": 1, "prompt_n": 1, "predicted_n": 1}),
        chunk(None, usage=USAGE["chat"]),
    ],
    "growing": [
        chunk({"content": ""}, usage={"prompt_tokens": 1, "completion_tokens": 0}),
        chunk({}, "stop", usage=USAGE["chat"]),
    ],
}


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("name", USAGE_SHAPES)
def test_usage_is_found_wherever_it_stands(name: str, done: bool) -> None:
    whole = told("messages", "chat", [chunk({"content": "Hi"}), *USAGE_SHAPES[name]], done=done)
    assert whole["usage"]["input_tokens"] == 40 and whole["usage"]["cache_read_input_tokens"] == 60
    assert whole["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    "members",
    [
        {"x_groq": {"usage": USAGE["chat"]}},
        {"timings": {"cache_n": 60, "prompt_n": 40, "predicted_n": 20}},
        {"x_groq": {"id": "req_1"}, "timings": None, "usage": USAGE["chat"]},
    ],
)
def test_usage_of_a_whole_reply_is_found_wherever_it_stands(members: dict[str, Any]) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    body = json.dumps({"model": "m", "choices": [choice], **members}).encode()
    usage = json.loads(bridge("chat", "messages").whole(body))["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (40, 60)


FAULT = {"message": "Out of memory.", "type": "server_error", "code": 503}
FAILING: dict[str, tuple[Protocol, list[Any]]] = {
    "chat": ("chat", [chunk({"content": "Hi"}), {"error": FAULT}]),
    "chat with choices": ("chat", [chunk({"content": "Hi"}), chunk({"content": ""}, "error", error=FAULT)]),
    "messages": (
        "messages",
        [
            *message(block(0, {"type": "text", "text": "Hi"}))[:3],
            {"type": "error", "error": {"type": "overloaded_error", "message": "Out of memory."}},
        ],
    ),
    "responses": (
        "responses",
        [
            *responses_story()[:5],
            {
                "type": "response.failed",
                "response": responses_whole(
                    status="failed", error={"code": "server_error", "message": "Out of memory."}
                ),
            },
        ],
    ),
    "responses error": (
        "responses",
        [*responses_story()[:5], {"type": "error", "code": "server_error", "message": "Out of memory.", "param": None}],
    ),
}


def ends_badly(target: Protocol, stream: bytes) -> dict[str, Any]:
    """The error that a client's stream ends on; it never ends well as well."""
    assert b"[DONE]" not in stream and b"message_stop" not in stream
    assert b"response.completed" not in stream and b"response.incomplete" not in stream
    *before, last = events_of(stream)
    assert not any(event.get("error") or event.get("type") == "response.failed" for event in before)
    if target == "responses":
        assert last["type"] == last["type"] == "response.failed" and last["response"]["status"] == "failed"
        return last["response"]["error"]
    assert target == "chat" or last["type"] == "error"
    return last["error"]


@pytest.mark.parametrize("target", PROTOCOLS)
@pytest.mark.parametrize("name", FAILING)
def test_an_error_in_the_middle_is_an_error_in_the_clients_words(name: str, target: Protocol) -> None:
    source, events = FAILING[name]
    if source != target:
        stream = passed(bridge(source, target), stream_of(source, events))
        assert ends_badly(target, stream)["message"] == "Out of memory."


@pytest.mark.parametrize("target", PROTOCOLS)
@pytest.mark.parametrize("source", PROTOCOLS)
def test_a_stream_that_is_cut_anywhere_never_ends_well(source: Protocol, target: Protocol) -> None:
    if source == target:
        return
    events = STORIES[source]()
    whole = (
        next(n for n, e in enumerate(events) if "finish_reason" in str(e) and "tool_calls'}]" in str(e))
        if source == "chat"
        else len(events) - 1
    )
    whole = whole - 1 if source == "messages" else whole
    for kept in range(whole):
        stream = passed(bridge(source, target), stream_of(source, events[:kept], done=False))
        assert ends_badly(target, stream)["message"]


def test_what_cannot_be_read_ends_the_stream() -> None:
    one = bridge("chat", "messages")
    written = one.feed(stream_of("chat", [chunk({"content": "Hi"})], done=False) + b"data: {broken\n\n")
    assert ends_badly("messages", written)["type"] == "api_error"
    assert one.feed(stream_of("chat", END)) == b"" and one.fail() == b""


def test_thoughts_go_back_as_one_text_under_the_name_they_came_in() -> None:
    """Some servers take no lists there."""
    from protocols import translated

    thinking = told(
        "messages",
        "chat",
        [chunk({"reasoning_content": "a"}), chunk({"reasoning_content": "b"}), chunk({"content": "c"}), *END],
    )["content"]
    body = {"messages": [{"role": "assistant", "content": thinking}, {"role": "user", "content": "d"}]}
    sent, losses = translated("messages", "chat", body)
    assert sent["messages"][0] == {"role": "assistant", "content": "c", "reasoning_content": "ab"}
    assert losses == []


@pytest.mark.parametrize(("target", "include"), [("chat", True), ("chat", False)])
def test_chat_tells_usage_where_it_was_asked_to(target: Protocol, include: bool) -> None:
    request = asking(target, stream_options={"include_usage": include})
    stream = passed(bridge("messages", target, request), stream_of("messages", STORIES["messages"]()))
    assert (b'"usage":{' in stream) is include
    assert stream.endswith(b"data: [DONE]\n\n")
    assert json.loads(stream.split(b"\n\n")[0][6:])["object"] == "chat.completion.chunk"


@pytest.mark.parametrize(
    ("read", "cached", "written", "due"),
    [
        (2168, 2161, 2161, (7, 0, 2161)),  # Gemini's at OpenRouter, recorded: the same tokens as both
        (100, 60, 80, (20, 20, 60)),
        (100, 60, 40, (0, 40, 60)),
        (100, 120, 130, (0, 0, 100)),
    ],
)
def test_what_anthropic_is_told_apart_adds_up_to_what_was_read(
    read: int, cached: int, written: int, due: tuple[int, int, int]
) -> None:
    told = messages_usage(
        Usage(read, 0, cached_tokens=cached, cache_write_tokens=written, cache_write_1h_tokens=written)
    )
    parts = (told["input_tokens"], told["cache_creation_input_tokens"], told["cache_read_input_tokens"])
    assert parts == due
    assert sum(told.get("cache_creation", {}).values()) == due[1]


ODD_ITEMS = [
    [{"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "summary": 7}}],
    [{"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": [7]}}],
]


@pytest.mark.parametrize("events", ODD_ITEMS)
@pytest.mark.parametrize("target", ["chat", "messages"])
def test_an_event_that_is_none_is_the_providers_fault(target: Protocol, events: list[Any]) -> None:
    last = events_of(passed(bridge("responses", target), stream_of("responses", events)))[-1]
    assert last["error"]["message"]


def test_a_call_whose_item_began_without_a_kind_is_told_when_it_is_whole() -> None:
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "type": None, "arguments": ""}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"status": "completed", "output": [item]}},
    ]
    (call,) = told("chat", "responses", events)["choices"][0]["message"]["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("call_1", "f")


@pytest.mark.parametrize("target", ["chat", "messages"])
def test_a_stream_that_begins_with_an_item_that_is_whole_is_one(target: Protocol) -> None:
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    events = [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"status": "completed", "output": [item]}},
    ]
    assert "Hi" in json.dumps(told(target, "responses", events))


@pytest.mark.parametrize("target", ["chat", "responses"])
def test_a_message_that_begins_in_the_middle_of_another_is_an_error(target: Protocol) -> None:
    """As where somebody on the way lost its connection, asked anew, and goes on with that answer."""
    cut = message(tool_block(0, "toolu_1", '{"at": "'))[:3]
    again = message(block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Again"}))
    way = bridge("messages", target)
    assert read_stream(target, way.feed(stream_of("messages", [again[0], *again])) + way.finish())
    again[0]["message"]["id"] = "msg_another"
    way = bridge("messages", target)
    stream = way.feed(stream_of("messages", [*cut, *again])) + way.finish()
    assert b"in the middle" in stream.split(b"\n\n")[-2] and b"Again" not in stream
