"""What is asked, what is said, and what it costs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from proxy.errors import InvalidJson, InvalidValue
from proxy.mock.answer import Answer, compose, number, words_of
from proxy.mock.asked import read_asked, read_json, wanted_tool
from proxy.mock.behaviours import parse_behaviour
from proxy.mock.catalogue import MODELS, price_of, served_name


def answered(endpoint: str = "chat/completions", **fields: Any) -> Answer:
    asked = read_asked("openrouter", endpoint, {"model": "mock/echo", **fields})
    return compose(asked, parse_behaviour(asked.model), price_of(asked.model))


def user(text: object) -> dict[str, object]:
    return {"role": "user", "content": text}


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"properties": {"at": {"const": "sun"}}}}}


@pytest.mark.parametrize(
    ("endpoint", "fields", "text"),
    [
        ("chat/completions", {"messages": [user("one"), user("two  three\n")]}, "two  three\n"),
        (
            "chat/completions",
            {"messages": [user([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}])]},
            "a b",
        ),
        ("chat/completions", {"messages": [{"role": "system", "content": "s"}]}, "Hello from the mock."),
        ("chat/completions", {"messages": [user(None)]}, "Hello from the mock."),
        ("chat/completions", {"messages": [user("\ud83d")]}, "?"),
        ("chat/completions", {"prompt": "bare"}, "bare"),
        ("chat/completions", {}, "Hello from the mock."),
        ("completions", {"prompt": ["first", "second"]}, "first"),
        ("completions", {"prompt": []}, "Hello from the mock."),
        ("responses", {"input": "plain"}, "plain"),
        ("responses", {"input": [user([{"type": "input_text", "text": "item"}])]}, "item"),
        ("messages", {"system": "s", "messages": [user("claude")]}, "claude"),
    ],
)
def test_the_last_user_text_comes_back(endpoint: str, fields: dict[str, Any], text: str) -> None:
    assert answered(endpoint, **fields).text == text


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_maximum_cuts_the_answer(name: str) -> None:
    answer = answered(messages=[user("a b c")], **{name: 2})
    assert (answer.text, answer.finish, answer.output_tokens) == ("a b", "length", 2)


def test_a_maximum_that_just_fits_cuts_nothing() -> None:
    assert answered(messages=[user("a b c")], max_tokens=3).finish == "stop"


def test_tokens_are_counted_the_same_way_every_time() -> None:
    answer = answered(messages=[{"role": "system", "content": "äö"}, user("x y")], n=2)
    assert answer.input_tokens == 2  # 4 + 3 bytes of UTF-8
    assert answer.output_tokens == 4


def test_a_token_array_counts_four_bytes_a_token() -> None:
    assert read_asked("openai", "embeddings", {"model": "e", "input": [[1, 2], [3]]}).input_tokens == 3


def test_a_number_of_tokens_may_be_ordered() -> None:
    assert answered(model="mock/echo?tokens=3").text == "token1 token2 token3"


@pytest.mark.parametrize("text", ["", "a", " a", "a ", "  a\n\nb  ", "\n"])
def test_words_join_to_the_text_they_came_from(text: str) -> None:
    assert "".join(words_of(text)) == text


def test_a_tool_is_called_with_arguments_its_schema_accepts() -> None:
    answer = answered(model="mock/tool", tools=[TOOL])
    assert (answer.tool, answer.finish) == ("look", "tool_calls")
    assert json.loads("".join(answer.arguments)) == {"at": "sun"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "look"),
        ("none", None),
        ({"type": "function", "function": {"name": "b"}}, "b"),
        ({"type": "tool", "name": "b"}, "b"),
        ({"type": "tool", "name": "missing"}, "look"),
    ],
)
def test_the_chosen_tool_is_called(choice: object, expected: str | None) -> None:
    fields = {"model": "tool", "tools": [TOOL, {"name": "b", "input_schema": {}}, "junk"], "tool_choice": choice}
    found = wanted_tool(read_asked("openai", "chat/completions", fields))
    assert (found and found[0]) == expected


def test_without_tools_the_tool_model_talks() -> None:
    assert answered(model="mock/tool", messages=[user("hi")]).finish == "stop"


@pytest.mark.parametrize(
    ("choice", "tool"),
    [
        ("auto", None),
        ("none", None),
        ({"type": "auto"}, None),
        ("required", "look"),
        ({"type": "any"}, "look"),
        ({"type": "tool", "name": "b"}, "b"),
        ({"type": "function", "name": "b"}, "b"),
        ({"type": "function", "function": {"name": "b"}}, "b"),
    ],
)
def test_a_call_that_is_demanded_is_made_whatever_the_model(choice: object, tool: str | None) -> None:
    tools = [TOOL, {"name": "b", "input_schema": {}}]
    assert answered(model="any", messages=[user("hi")], tools=tools, tool_choice=choice).tool == tool


SCRIPT = 'Please. mock: call look {"at": {"the": "moon"}} Thanks.'


def test_a_prompt_may_say_which_tool_to_call_whatever_the_model() -> None:
    answer = answered(model="any", messages=[user(SCRIPT)], tools=[{"name": "a", "input_schema": {}}, TOOL])
    assert (answer.tool, answer.finish) == ("look", "tool_calls")
    assert json.loads("".join(answer.arguments)) == {"at": {"the": "moon"}}


@pytest.mark.parametrize("torn", [SCRIPT[:-12], SCRIPT.replace("look", "lock"), "mock: call look now"])
def test_a_script_that_cannot_be_followed_is_echoed(torn: str) -> None:
    answer = answered(messages=[user(torn)], tools=[TOOL])
    assert (answer.tool, answer.text) == (None, torn)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [user(SCRIPT), {"role": "tool", "tool_call_id": "1", "content": "seen"}]},
        {"messages": [user(SCRIPT), user([{"type": "tool_result", "tool_use_id": "1", "content": "seen"}])]},
        {"input": [user(SCRIPT), {"type": "function_call_output", "call_id": "1", "output": "seen"}]},
    ],
    ids=["chat", "messages", "responses"],
)
def test_a_tools_result_is_said(fields: dict[str, Any]) -> None:
    answer = answered(**fields, tools=[TOOL])
    assert (answer.tool, answer.text) == (None, "seen")


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"response_format": {"type": "json_object"}}, {"answer": "hi"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"const": 5}}}}, 5),
        ({"text": {"format": {"type": "json_schema", "schema": {"const": 6}}}}, 6),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"const": 7}}}}, 7),
    ],
)
def test_structured_output_is_valid(fields: dict[str, Any], value: object) -> None:
    assert json.loads(answered(model="mock/json", messages=[user("hi")], **fields).text) == value


FIVE = {"response_format": {"type": "json_schema", "json_schema": {"name": "five", "schema": {"const": 5}}}}


@pytest.mark.parametrize(
    ("model", "text", "said"),
    [
        ("openai/gpt-5-mini", "hi", "5"),
        ("openai/gpt-5-mini", ' {"a": 1}', ' {"a": 1}'),
        ("openai/gpt-5-mini?tokens=2", "hi", "token1 token2"),
        ("mock/echo", "hi", "hi"),
        ("echo", "hi", "hi"),
    ],
    ids=["a real model", "an object laid in its mouth", "words ordered", "the echo", "the echo, short"],
)
def test_a_real_model_keeps_the_shape_that_is_asked_of_it(model: str, text: str, said: str) -> None:
    assert answered(model=model, messages=[user(text)], **FIVE).text == said


def test_json_without_a_format_is_text() -> None:
    assert answered(model="mock/json", messages=[user("hi")], response_format={"type": "text"}).text == "hi"


def test_thoughts_are_a_part_of_the_output() -> None:
    answer = answered(model="mock/reasoning?thoughts=2", messages=[user("hi")])
    assert (len(answer.thoughts), answer.output_tokens) == (2, 3)


def test_a_call_costs_its_tokens_times_the_catalogue_price() -> None:
    answer = answered(model="openai/gpt-5-mini", messages=[user("a b c d")])
    assert answer.cost.total == 2 * Decimal("0.00000025") + 4 * Decimal("0.000002")


def test_a_price_of_25_characters_is_exact() -> None:
    price = MODELS["mock/exact"].pricing["prompt"]
    assert len(price) == 25
    assert answered(model="mock/exact", prompt="x").cost.prompt == Decimal(price)


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("openai/gpt-5-mini", "openai/gpt-5-mini-2025-08-07"),
        ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini-2025-08-07"),
        ("gpt-5-mini", "openai/gpt-5-mini-2025-08-07"),
        ("mock/echo", "mock/echo"),
        ("echo", "echo"),
        ("somebody/else", "somebody/else"),
        ("mock/slow?ttft=0", "mock/slow?ttft=0"),
    ],
)
def test_a_reply_names_the_canonical_slug(model: str, served: str) -> None:
    assert served_name(model) == served


def test_a_router_without_a_price_costs_the_default() -> None:
    assert price_of("openrouter/auto") == price_of("somebody/else")


@pytest.mark.parametrize(
    ("amount", "style", "text"),
    [
        ("0.00000425", "sci", b"4.25e-06"),
        ("6E-7", "sci", b"6e-07"),
        ("120", "sci", b"1.2e+02"),
        ("0", "sci", b"0"),
        ("0.00000425", "plain", b"0.00000425"),
        ("0.0300", "plain", b"0.03"),
        ("1E+2", "plain", b"100"),
        ("100", "plain", b"100"),
    ],
)
def test_an_amount_is_printed_exactly(amount: str, style: str, text: bytes) -> None:
    printed = bytes(number(Decimal(amount), style))
    assert printed == text
    assert Decimal(printed.decode()) == Decimal(amount)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"[" * 100_000, b'{"n":' + b"1" * 5000 + b"}", b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        read_json(body)


def test_an_odd_body_is_read_as_providers_read_it() -> None:
    assert (
        read_json(b'\xef\xbb\xbf{"seed":123456789012345678901234567890,"a":1e400}')["seed"]
        == 123456789012345678901234567890
    )
    assert read_json(b" ") == {}


@pytest.mark.parametrize(
    ("profile", "fields"),
    [
        ("openai", {}),
        ("openai", {"model": 7}),
        ("openrouter", {"model": ""}),
        ("openai", {"model": "m", "n": 0}),
        ("openai", {"model": "m", "n": 129}),
        ("openai", {"model": "m", "max_tokens": "many"}),
        ("openai", {"model": "m", "max_tokens": True}),
    ],
)
def test_unusable_fields_are_refused(profile: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        read_asked(profile, "chat/completions", fields)


def test_openrouter_has_a_default_model() -> None:
    assert read_asked("openrouter", "chat/completions", {}).model == "mock/echo"
    assert read_asked("openrouter", "chat/completions", {"models": ["a/b", "c/d"]}).model == "a/b"
    assert read_asked("openai", "moderations", {"input": "x"}).model == "omni-moderation-latest"
