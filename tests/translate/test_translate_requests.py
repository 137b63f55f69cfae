"""Requests in another protocol: tables of what each member becomes, and what is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protocols import IDENTITY, PAIRS, bridge, events_of, lost, passed, read_stream, stream_of, translated
from upstreams import called, chunk

from proxy.errors import InvalidValue
from proxy.translate.bridge import Bridge, read_request, write_request
from proxy.translate.counting import estimate
from proxy.translate.effort import effort_for, is_adaptive, messages_effort
from proxy.translate.kept import KEPT_SECONDS, KeptThoughts
from proxy.translate.losses import Losses
from proxy.translate.tools import LONGEST, fitting_id, wire_name
from proxy.translate.values import Aim, Protocol, Reasoning, Request, Text, ToolUse, Turn

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
FUNCTION = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
HI = [{"role": "user", "content": "Hi"}]


def shaped(target: Protocol, schema: Any) -> tuple[Any, list[str]]:
    """The schema of a reply as it goes out, and what was lost."""
    members = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}
    body, losses = translated("chat", target, {"model": "x", "messages": HI, **members})
    told = body["output_config"]["format"] if target == "messages" else body["text"]["format"]
    return told["schema"], lost(losses)


CLOSED = {"type": "object", "additionalProperties": False}
# (what was asked for, what Anthropic is asked for)
SHAPES: list[tuple[Any, Any]] = [
    (CLOSED, CLOSED),
    ({**CLOSED, "properties": {}}, {**CLOSED, "properties": {}}),
    ({"type": ["object", "null"]}, {**CLOSED, "type": ["object", "null"]}),
    (
        {**SCHEMA, "additionalProperties": {"type": "string"}},
        {**SCHEMA, **CLOSED},
    ),
    ({**SCHEMA, "additionalProperties": True}, {**SCHEMA, **CLOSED}),
    (
        {
            **CLOSED,
            "properties": {"minimum": {"type": "integer", "minimum": 0, "maximum": 9, "description": "A digit."}},
        },
        {
            **CLOSED,
            "properties": {"minimum": {"type": "integer", "description": "A digit.\n\n{minimum: 0, maximum: 9}"}},
        },
    ),
    (
        {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "object"}}},
        {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/a"}, "$defs": {"a": CLOSED}},
    ),
    (
        {"type": "array", "minItems": 2, "items": {"oneOf": [{"type": "string", "maxLength": 4}, {"type": "object"}]}},
        {
            "type": "array",
            "items": {"anyOf": [{"type": "string", "description": "{maxLength: 4}"}, CLOSED]},
            "description": "{minItems: 2}",
        },
    ),
    ({"enum": [{"minimum": 1}]}, {"enum": [{"minimum": 1}]}),
    ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    ({"type": "integer", "format": "int32"}, {"type": "integer", "description": "{format: int32}"}),
    (
        {**CLOSED, "properties": {"format": {"type": "string", "format": "password"}}},
        {**CLOSED, "properties": {"format": {"type": "string", "description": "{format: password}"}}},
    ),
    (True, True),
]


@pytest.mark.parametrize(("asked", "due"), SHAPES)
def test_anthropic_is_asked_for_shapes_it_takes(asked: Any, due: Any) -> None:
    assert shaped("messages", asked) == (due, [] if asked == due else ["response_format"])
    assert shaped("responses", asked) == (asked, [])


@pytest.mark.parametrize(
    ("model", "marked", "kept"),
    [("claude-sonnet-4.5", False, {"type": "ephemeral"}), ("claude-sonnet-4.5", True, None), ("other", False, None)],
)
def test_claude_keeps_the_prompts_of_clients_that_count_on_it(model: str, marked: bool, kept: Any) -> None:
    """As Codex does, whose calls would cost several times as much."""
    mark = {"cache_control": {"type": "ephemeral"}} if marked else {}
    content = [{"type": "text", "text": "Hi", **mark}]
    losses = Losses()
    asked = {"messages": [{"role": "user", "content": content}], "prompt_cache_key": "k"}
    request = read_request("chat", json.dumps(asked).encode(), losses)
    body = json.loads(write_request(request, Aim("messages", model), losses))
    assert body.get("cache_control") == kept
    assert [(loss.field, loss.became) for loss in losses.sort()] == [
        ("prompt_cache_key", "changed" if kept else "dropped")
    ]


OPEN = [None, {"type": "object"}, {"type": "object", "properties": {}}, {"type": "object", "additionalProperties": {}}]


@pytest.mark.parametrize(
    ("model", "schema"), [*(("claude-sonnet-5", schema) for schema in OPEN), ("claude-opus-4", SCHEMA)]
)
def test_anthropic_is_told_in_words_of_a_shape_it_cannot_be_held_to(model: str, schema: Any) -> None:
    """Any object at all, as `json_object` asks for, is no schema it takes; models before 4.1 take none."""
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    system = {"role": "system", "content": "Be brief."}
    members = {"response_format": {"type": "json_object"} if schema is None else asked}
    losses = Losses()
    request = read_request("chat", json.dumps({"messages": [system, *HI], **members}).encode(), losses)
    body = json.loads(write_request(request, Aim("messages", model), losses))
    assert "output_config" not in body
    first, told = [block["text"] for block in body["system"]]
    assert first == "Be brief." and told.startswith("Reply with one JSON object and nothing else")
    assert (json.dumps(schema, separators=(",", ":")) in told) is (schema not in (None, {"type": "object"}))
    assert [(loss.field, loss.became) for loss in losses.sort()] == [("response_format", "changed")]


@pytest.mark.parametrize("strict", [None, False, True])
def test_only_strict_tools_are_narrowed_for_anthropic(strict: bool | None) -> None:
    schema = {"type": "object", "properties": {"at": {"type": "integer", "minimum": 1}}}
    tool = {"name": "look", "parameters": schema} | ({} if strict is None else {"strict": strict})
    members = {"model": "x", "messages": HI, "tools": [{"type": "function", "function": tool}]}
    body, losses = translated("chat", "messages", members)
    taken = {**CLOSED, "properties": {"at": {"type": "integer", "description": "{minimum: 1}"}}}
    assert body["tools"][0]["input_schema"] == (taken if strict else schema)
    assert lost(losses) == (["other"] if strict else [])


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_that_speaks_alone_is_heard_by_anthropic(role: str) -> None:
    body, losses = translated("chat", "messages", {"model": "x", "messages": [{"role": role, "content": "A poem."}]})
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "A poem."}]}]
    assert "system" not in body and lost(losses) == ["system_position"]


def test_calls_in_a_row_are_one_message_before_their_results() -> None:
    """Anthropic takes messages of one speaker in a row; chat wants all results behind the message with their calls."""
    calls = [{"type": "tool_use", "id": f"t{at}", "name": "look", "input": {}} for at in (1, 2)]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "x"} for call in calls]
    messages = [
        *HI,
        {"role": "assistant", "content": [{"type": "text", "text": "A"}, calls[0]]},
        {"role": "assistant", "content": [{"type": "text", "text": "B"}, calls[1]]},
        {"role": "user", "content": results},
    ]
    body, losses = translated("messages", "chat", {"model": "x", "max_tokens": 9, "messages": messages})
    _, said, *told = body["messages"]
    assert (said["content"], [call["id"] for call in said["tool_calls"]]) == ("A\nB", ["t1", "t2"])
    assert [message["tool_call_id"] for message in told] == ["t1", "t2"] and losses == []


def test_a_system_that_speaks_alone_is_the_input_of_responses() -> None:
    asked = {
        "model": "x",
        "messages": [{"role": "system", "content": "A poem."}, {"role": "developer", "content": "Now."}],
    }
    body, losses = translated("chat", "responses", asked)
    said = [{"type": "input_text", "text": "A poem.\n\nNow."}]
    assert body["input"] == [{"type": "message", "role": "system", "content": said}]
    assert "instructions" not in body and losses == []


BLANKS = ["", " ", "\n\n", "\u00a0"]


@pytest.mark.parametrize("blank", BLANKS)
def test_white_space_alone_is_not_said_to_anthropic(blank: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    conversation = [
        {"role": "system", "content": blank},
        {"role": "user", "content": [{"type": "text", "text": blank}, {"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": blank, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": blank},
    ]
    body, losses = translated("chat", "messages", {"model": "x", "messages": conversation})
    assert "system" not in body and losses == []
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": []}]},
    ]


def chat_to_messages(**members: Any) -> tuple[dict[str, Any], list[str]]:
    body, losses = translated("chat", "messages", {"model": "x", "messages": HI, **members}, maximum=9000)
    return body, lost(losses)


CHAT_TO_MESSAGES = [
    ({}, {"max_tokens": 9000, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, []),
    ({"max_tokens": 5}, {"max_tokens": 5}, []),
    ({"max_tokens": 0}, {"max_tokens": 0}, []),  # the provider says what is wrong with it
    ({"max_completion_tokens": 6}, {"max_tokens": 6}, []),
    ({"temperature": 1.5}, {"temperature": 1.0}, ["temperature"]),
    ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}, []),
    ({"stop": "x"}, {"stop_sequences": ["x"]}, []),
    ({"stop": ["x", "\n"]}, {"stop_sequences": ["x"]}, ["stop"]),
    ({"tools": [FUNCTION], "tool_choice": "required"}, {"tool_choice": {"type": "any"}}, []),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "look"}}},
        {"tool_choice": {"type": "tool", "name": "look"}},
        [],
    ),
    (
        {"tools": [FUNCTION], "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        [],
    ),
    ({"tools": [FUNCTION], "tool_choice": "none"}, {"tool_choice": {"type": "none"}}, []),
    (
        {"response_format": {"type": "json_object"}},
        {"output_config": None},
        ["response_format"],
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}}},
        ["response_format"],
    ),
    ({"user": "u"}, {"metadata": {"user_id": "u"}}, []),
    ({"service_tier": "default"}, {"service_tier": "standard_only"}, []),
    ({"service_tier": "flex"}, {}, ["service_tier"]),
    ({"n": 2}, {}, ["n"]),
    ({"n": 1}, {}, []),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": None}, ["logprobs"]),
    ({"logprobs": False}, {}, []),
    ({"seed": 1, "logit_bias": {"5": 1}}, {}, ["logit_bias", "seed"]),
    ({"presence_penalty": 1, "frequency_penalty": 1}, {}, ["frequency_penalty", "presence_penalty"]),
    ({"presence_penalty": 0, "frequency_penalty": 0.0}, {}, []),
    ({"seed": 0}, {}, ["seed"]),
    ({"prediction": {"type": "content", "content": "x"}}, {}, ["prediction"]),
    ({"modalities": ["text", "audio"], "audio": {"voice": "x"}}, {}, ["audio", "modalities"]),
    ({"metadata": {"a": "b"}}, {}, ["metadata"]),
    ({"store": True}, {}, ["store"]),
    ({"top_k": 5}, {"top_k": 5}, []),
    ({"verbosity": "low", "prompt_cache_key": "k"}, {}, ["prompt_cache_key", "verbosity"]),
    ({"never_heard_of": 1}, {}, ["other"]),
    ({"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 1800}}, []),
    (
        {"reasoning_effort": "low", "temperature": 0.5, "top_p": 0.5, "top_k": 5},
        {"temperature": None, "top_p": None, "top_k": None},
        ["temperature", "top_k", "top_p"],
    ),
    ({"reasoning_effort": "low", "temperature": 1, "top_p": 1}, {"temperature": None, "top_p": None}, []),
    ({"reasoning": {"max_tokens": 2000}}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, []),
    ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, []),
    ({"reasoning_effort": "high", "max_tokens": 900}, {"max_tokens": 900}, ["reasoning"]),
]


@pytest.mark.parametrize(("members", "expected", "losses"), CHAT_TO_MESSAGES)
def test_members_of_chat_for_messages(members: dict[str, Any], expected: dict[str, Any], losses: list[str]) -> None:
    body, found = chat_to_messages(**members)
    assert {name: body.get(name) for name in expected} == expected
    assert found == losses


@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        ("claude-opus-4-6", {"type": "adaptive"}, "high"),
        ("claude-sonnet-5", {"type": "adaptive"}, "high"),
        ("claude-sonnet-4-5-20250929", {"type": "enabled", "budget_tokens": 16000}, None),
        ("claude-3-7-sonnet-20250219", {"type": "enabled", "budget_tokens": 16000}, None),
        ("claude-3-5-sonnet-20241022", None, None),
    ],
)
def test_each_model_is_asked_to_think_in_its_own_way(model: str, thinking: Any, effort: str | None) -> None:
    losses = Losses()
    request = read_request(
        "chat", json.dumps({"messages": HI, "reasoning_effort": "high", "max_tokens": 20000}).encode(), losses
    )
    from proxy.translate.messages_writing import write_messages
    from proxy.translate.values import Aim

    body = write_messages(request, Aim("messages", model), losses)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert lost(losses.sort()) == ([] if thinking else ["reasoning"])
    assert is_adaptive(model) is (effort is not None)


@pytest.mark.parametrize(
    ("model", "asked", "sent", "losses"),
    [
        ("claude-sonnet-4", (0.5, 0.9), (0.5, 0.9), []),
        ("claude-opus-4-1-20250805", (0.5, 0.9), (0.5, None), ["top_p"]),
        ("claude-sonnet-4-5", (0.5, 1), (0.5, None), []),
        ("claude-sonnet-4-5", (1, 0.9), (None, 0.9), []),
        ("claude-haiku-4-5", (None, 0.9), (None, 0.9), []),
        ("claude-opus-4-7", (0.5, 1), (None, None), ["temperature"]),
        ("claude-sonnet-5", (1, 0.9), (None, None), ["top_p"]),
    ],
)
def test_each_claude_is_told_how_to_draw_as_far_as_it_lets_itself(
    model: str, asked: tuple[Any, Any], sent: tuple[Any, Any], losses: list[str]
) -> None:
    found = Losses()
    body = {"messages": HI, "temperature": asked[0], "top_p": asked[1]}
    request = read_request("chat", json.dumps(body).encode(), found)
    written = json.loads(write_request(request, Aim("messages", model), found))
    assert (written.get("temperature"), written.get("top_p")) == sent
    assert lost(found.sort()) == losses


@pytest.mark.parametrize(("model", "word"), [("claude-opus-4-6", "max"), ("claude-opus-4-7", "xhigh")])
def test_an_effort_is_asked_for_in_the_words_of_the_model(model: str, word: str) -> None:
    assert messages_effort("xhigh", model) == word


@pytest.mark.parametrize(
    ("asked", "sent", "losses"), [(1, 16, ["max_tokens"]), (16, 16, []), (0, 0, []), (None, None, [])]
)
def test_responses_puts_out_no_fewer_than_sixteen_tokens(asked: Any, sent: Any, losses: list[str]) -> None:
    body, found = translated("messages", "responses", {"messages": HI, "max_tokens": asked})
    assert body.get("max_output_tokens") == sent and lost(found) == losses


def test_a_tool_without_a_type_of_its_parameters_takes_an_object() -> None:
    said = [{"properties": {"at": {}}}, [], None]
    tools = [{"type": "function", "function": {"name": "look", "parameters": schema}} for schema in said]
    body, _ = chat_to_messages(tools=tools)
    kinds = [tool["input_schema"]["type"] for tool in body["tools"]]
    assert kinds == ["object"] * 3 and body["tools"][0]["input_schema"]["properties"] == {"at": {}}


def test_calls_that_a_server_numbers_anew_in_each_reply_are_told_apart() -> None:
    def turn(*ids: str) -> list[Any]:
        calls = [{"id": i, "type": "function", "function": {"name": "look", "arguments": "{}"}} for i in ids]
        results = [{"role": "tool", "tool_call_id": i, "content": str(n)} for n, i in enumerate(ids)]
        return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]

    body, _ = chat_to_messages(messages=[*HI, *turn("call_0", "call_0"), *turn("call_0")])
    blocks = [block for message in body["messages"][1:] for block in message["content"]]
    called = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert called == ["call_0", "call_0_2", "call_0_3"]
    assert [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"] == called


ODD: list[Any] = [[], {}, 5, ["x"]]
ODD_PARTS = [{"type": kind, "text": 5} for kind in ODD]
ODD_MEMBERS = {
    "messages": [{"role": [], "content": ODD_PARTS}],
    "input": [{"type": ["message"], "role": ["x"], "content": "Hi"}, {"role": {}, "content": ODD_PARTS}],
    "include": ODD,
    "tools": [{"type": kind, "name": kind} for kind in ODD],
    "tool_choice": {"type": ["x"], "name": ["x"]},
    "response_format": {"type": ODD},
    "metadata": {"user_id": ODD},
    "stop": ODD,
    "stop_sequences": ODD,
    "max_tokens": 10**30,
    **dict.fromkeys(("reasoning", "thinking", "text", "output_config", "stream_options", "service_tier"), ODD),
}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_members_of_no_known_shape_are_no_accident(source: Protocol, target: Protocol) -> None:
    translated(source, target, ODD_MEMBERS)


def test_efforts_and_budgets_are_one_table() -> None:
    assert [effort_for(budget, 10_000) for budget in (1024, 2000, 5000, 8000, 9500)] == [
        "minimal",
        "low",
        "medium",
        "high",
        "xhigh",
    ]


def test_a_conversation_of_chat_for_messages() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, PNG]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}},
                {"id": "b", "type": "function", "function": {"name": "look", "arguments": ""}},
                {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{bro"}},
            ],
        },
        {"role": "tool", "tool_call_id": "functions.look:0", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
        {"role": "tool", "tool_call_id": "c", "content": "3"},
        {"role": "system", "content": "Hurry."},
        {"role": "user", "content": "And?"},
    ]
    body, losses = chat_to_messages(messages=messages)
    assert [block["text"] for block in body["system"]] == ["Be brief.", "Be kind.", "Hurry."]
    user, assistant, results = body["messages"]
    assert user["content"][1] == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
    }
    odd = fitting_id("functions.look:0")
    assert [block["input"] for block in assistant["content"]] == [{"at": "x"}, {}, {"arguments": "{bro"}]
    assert [block["id"] for block in assistant["content"]] == [odd, "b", "c"]
    assert [block.get("tool_use_id") for block in results["content"]] == [odd, "b", "c", None]
    assert losses == ["system_position", "tool_arguments"]


def messages_to_chat(**members: Any) -> tuple[dict[str, Any], list[str]]:
    body, losses = translated("messages", "chat", {"model": "x", "max_tokens": 100, "messages": HI, **members})
    return body, lost(losses)


MESSAGES_TO_CHAT = [
    (
        {"messages": [{"role": "assistant", "content": [{"type": "compaction", "content": "They met."}]}, *HI]},
        {"messages": [{"role": "assistant", "content": "They met."}, *HI]},
        [],
    ),
    ({"messages": [{"role": "assistant", "content": [{"type": "compaction", "content": None}]}, *HI]}, {}, []),
    ({}, {"max_tokens": 100, "messages": HI}, []),
    ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, []),
    ({"n": 50, "seed": 1}, {"n": None, "seed": 1}, ["n"]),  # of messages there is one answer
    ({"n": 1}, {"n": None}, []),
    ({"max_tokens": "10"}, {"max_tokens": 10}, []),
    ({"system": "Be brief."}, {"messages": [{"role": "system", "content": "Be brief."}, *HI]}, []),
    (
        {
            "system": [
                {"type": "text", "text": "A"},
                {"type": "text", "text": "B", "cache_control": {"type": "ephemeral"}},
            ]
        },
        {"messages": [{"role": "system", "content": "A\n\nB"}, *HI]},
        ["cache_control"],
    ),
    ({"stop_sequences": ["x"]}, {"stop": ["x"]}, []),
    ({"top_k": 4}, {"top_k": 4}, []),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}, {"reasoning_effort": "medium"}, []),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, {"reasoning_effort": "high"}, []),
    ({"thinking": {"type": "disabled"}}, {"reasoning_effort": None}, ["reasoning"]),
    ({"metadata": {"user_id": "u"}}, {"user": "u"}, []),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {"tools": None}, ["tools.web_search"]),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, {"tools": None}, ["tools.bash"]),
    (
        {
            "tools": [{"name": "look", "input_schema": SCHEMA}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        },
        {"tool_choice": "required", "parallel_tool_calls": False},
        [],
    ),
    (
        {"context_management": {"edits": [1]}, "mcp_servers": [1], "container": "c"},
        {},
        ["container", "context_management", "mcp_servers"],
    ),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}},
        [],
    ),
    (
        {"messages": [*HI, {"role": "assistant", "content": "So"}]},
        {"messages": [*HI, {"role": "assistant", "content": "So"}]},
        ["prefill"],
    ),
    (
        {"messages": [*HI, {"role": "system", "content": "Hurry."}]},
        {"messages": [{"role": "system", "content": "Hurry."}, *HI]},
        ["system_position"],
    ),
    (
        {
            "system": [
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=a1;"},
                {"type": "text", "text": "Be brief."},
            ]
        },
        {"messages": [{"role": "system", "content": "Be brief."}, *HI]},
        ["metadata"],
    ),
    ({"messages": [*HI, *HI]}, {"messages": [{"role": "user", "content": "Hi\nHi"}]}, []),
    ({"metadata": {"user_id": "u" * 65}}, {"user": None}, ["user"]),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://x"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": ""}]},
        ["documents"],
    ),
]


@pytest.mark.parametrize(
    ("thread", "losses"),
    [
        ({"type": "create"}, [("other", "dropped")]),
        ({"type": "continue", "previous_message_id": "msg_1"}, [("conversation", "refused"), ("other", "dropped")]),
    ],
)
def test_a_thread_of_messages_goes_on_at_its_provider_alone(thread: dict[str, Any], losses: list[Any]) -> None:
    _, found = translated("messages", "chat", {"model": "x", "max_tokens": 5, "messages": HI, "thread": thread})
    assert [(loss.field, loss.became) for loss in found] == losses


def test_a_summary_of_messages_is_made_by_its_provider_alone() -> None:
    asked = {"model": "x", "max_tokens": 5, "messages": HI, "compaction": {"type": "enabled"}}
    _, found = translated("messages", "chat", asked)
    assert ("compaction", "refused") in [(loss.field, loss.became) for loss in found]


@pytest.mark.parametrize(("members", "expected", "losses"), MESSAGES_TO_CHAT)
def test_members_of_messages_for_chat(members: dict[str, Any], expected: dict[str, Any], losses: list[str]) -> None:
    body, found = messages_to_chat(**members)
    assert {name: body.get(name) for name in expected} == expected
    assert found == losses


def test_results_of_tools_for_chat() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    results = [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}, image]},
        {"type": "tool_result", "tool_use_id": "b", "content": "No such file.", "is_error": True},
        {"type": "text", "text": "Go on."},
    ]
    calls = [{"type": "tool_use", "id": i, "name": "look", "input": {"at": i}} for i in "ab"]
    body, losses = messages_to_chat(
        messages=[{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    )
    assistant, first, second, said = body["messages"]
    assert assistant["content"] is None
    assert [json.loads(call["function"]["arguments"]) for call in assistant["tool_calls"]] == [{"at": "a"}, {"at": "b"}]
    assert (first["tool_call_id"], first["content"]) == ("a", "1")
    assert (second["tool_call_id"], second["content"]) == ("b", "Error: No such file.")
    assert said == {"role": "user", "content": [PNG, {"type": "text", "text": "Go on."}]}
    assert losses == ["tool_result_error", "tool_result_media"]


PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Patches.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
}
MCP = {
    "type": "namespace",
    "name": "mcp__files",
    "description": "Files.",
    "tools": [{"type": "function", "name": "read", "parameters": SCHEMA}],
}
CODEX = {
    "model": "gpt-oss",
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandboxed."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": '*** Begin\n"x"'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done."},
        {"type": "function_call", "call_id": "c2", "name": "read", "namespace": "mcp__files", "arguments": "{}"},
        {
            "type": "local_shell_call",
            "call_id": "c3",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "it"}]},
        {"type": "local_shell_call_output", "call_id": "c3", "output": "a\nb"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "parameters": SCHEMA, "strict": False},
        PATCH,
        MCP,
        {"type": "local_shell"},
        {"type": "web_search"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
}


@pytest.mark.parametrize("between", ["a picture", "words"])
def test_nothing_stands_between_the_results_of_tools(between: str) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    calls = [{"type": "function_call", "call_id": name, "name": "look", "arguments": "{}"} for name in "ab"]
    first = {"type": "function_call_output", "call_id": "a", "output": [picture] if between == "a picture" else "1"}
    words = [] if between == "a picture" else [{"role": "user", "content": "Wait."}]
    second = {"type": "function_call_output", "call_id": "b", "output": "2"}
    body, _ = translated("responses", "chat", {"model": "x", "input": [*HI, *calls, first, *words, second, *HI]})
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert [message.get("tool_call_id") for message in body["messages"][2:4]] == ["a", "b"]


def test_what_codex_asks_a_chat_server() -> None:
    body, losses = translated("responses", "chat", CODEX)
    assert lost(losses) == ["tools.web_search"]
    system, user, patched, patch_result, asked, read_result, shell_result = body["messages"]
    assert system == {"role": "system", "content": "You are a coding agent.\n\nSandboxed."}
    assert user == {"role": "user", "content": "Fix it."}
    assert patched["tool_calls"][0]["function"] == {
        "name": "apply_patch",
        "arguments": json.dumps({"input": '*** Begin\n"x"'}, separators=(",", ":")),
    }
    assert patch_result == {"role": "tool", "tool_call_id": "c1", "content": "Done."}
    assert [call["function"]["name"] for call in asked["tool_calls"]] == ["mcp__files__read", "local_shell"]
    assert json.loads(asked["tool_calls"][1]["function"]["arguments"]) == {"command": ["ls"], "env": {}}
    assert [read_result["content"], shell_result["content"]] == ["it", "a\nb"]
    functions = {tool["function"]["name"]: tool["function"] for tool in body["tools"]}
    assert list(functions) == ["shell", "apply_patch", "mcp__files__read", "local_shell"]
    assert "start: X" in functions["apply_patch"]["description"]
    assert functions["apply_patch"]["parameters"]["required"] == ["input"]
    assert functions["local_shell"]["parameters"]["required"] == ["command"]
    assert body["reasoning_effort"] == "medium" and body["parallel_tool_calls"] is False
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
def test_tools_that_come_with_the_conversation_are_offered_as_well(kind: str) -> None:
    asked: dict[str, Any] = {**CODEX, "tools": CODEX["tools"][:1]}
    asked["input"] = [{"type": kind, "role": "developer", "tools": CODEX["tools"][1:]}, *CODEX["input"]]
    plain, lost_of_plain = translated("responses", "chat", CODEX)
    body, losses = translated("responses", "chat", asked)
    assert (body, lost(losses)) == (plain, lost(lost_of_plain))


@pytest.mark.parametrize("size", [0, 1, 3])
def test_codex_gets_its_own_kinds_of_tools_back(size: int) -> None:
    patch = '*** Begin Patch\n+print("é😀")\n'
    arguments = json.dumps({"input": patch})
    deltas = [called(0, "", id="c1", name="apply_patch"), *(called(0, letter) for letter in arguments)]
    deltas += [called(1, '{"path":', id="c2", name="mcp__files__read"), called(1, '"x"}')]
    deltas += [called(2, '{"command":["ls"]}', id="c3", name="local_shell")]
    stream = stream_of("chat", [*map(chunk, deltas), chunk({}, "tool_calls")])
    written = passed(bridge("chat", "responses", CODEX), stream, size)
    custom, function, shell = read_stream("responses", written)["output"]
    assert (custom["type"], custom["call_id"], custom["name"], custom["input"]) == (
        "custom_tool_call",
        "c1",
        "apply_patch",
        patch,
    )
    assert (function["namespace"], function["name"], function["arguments"]) == ("mcp__files", "read", {"path": "x"})
    assert (shell["type"], shell["action"]["command"]) == ("local_shell_call", ["ls"])
    pieces = [e["delta"] for e in events_of(written) if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(pieces) == patch and len(pieces) > 20


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"patch": "x"}', "x"),
        ("raw text", "raw text"),
        ("", ""),
        ('{"input": 5}', '{"input": 5}'),
        ('{"input":"\\ud83d\\ude00"}', "😀"),
    ],
)
def test_a_model_that_does_not_keep_to_the_shape_is_taken_at_its_word(arguments: str, text: str) -> None:
    events = [
        chunk(called(0, "", id="c1", name="apply_patch")),
        *(chunk(called(0, letter)) for letter in arguments),
        chunk({}, "tool_calls"),
    ]
    item = read_stream("responses", passed(bridge("chat", "responses", CODEX), stream_of("chat", events)))["output"][0]
    assert item.get("input", "") == text


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, "filename": "a"}}


def as_base64(kind: str, data: str) -> dict[str, Any]:
    return {"type": "base64", "media_type": kind, "data": data}


# (what chat sends, the source Anthropic gets, what is lost)
MEDIA: list[tuple[dict[str, Any], Any, list[str]]] = [
    (picture("data:image/jpg;base64,AAAA"), as_base64("image/jpeg", "AAAA"), []),
    (picture("data:image/png;base64,/9j/4AAQ"), as_base64("image/jpeg", "/9j/4AAQ"), []),
    (picture("data:;base64,R0lGODlh"), as_base64("image/gif", "R0lGODlh"), []),
    (picture("data:application/octet-stream;base64,UklGRiQA"), as_base64("image/webp", "UklGRiQA"), []),
    (picture("data:image/svg+xml;base64,AAAA"), None, ["pictures"]),
    (picture("data:application/pdf;base64,JVBE"), as_base64("application/pdf", "JVBE"), []),
    (file("data:application/pdf;base64,JVBE"), as_base64("application/pdf", "JVBE"), []),
    (file("JVBE"), as_base64("application/pdf", "JVBE"), []),
    (file("https://x.example/a.pdf"), {"type": "url", "url": "https://x.example/a.pdf"}, []),
    (file("data:text/markdown;base64,IyBIaQ=="), {"type": "text", "media_type": "text/plain", "data": "# Hi"}, []),
    (file("data:text/plain;base64,/w=="), None, ["documents"]),
    (file("data:application/msword;base64,AAAA"), None, ["documents"]),
]


@pytest.mark.parametrize(("part", "source", "losses"), MEDIA)
def test_pictures_and_files_are_what_anthropic_takes(part: dict[str, Any], source: Any, losses: list[str]) -> None:
    content = [{"type": "text", "text": "See?"}, part]
    body, found = translated("chat", "messages", {"messages": [{"role": "user", "content": content}]})
    sources = [block["source"] for block in body["messages"][0]["content"] if "source" in block]
    assert (sources, lost(found)) == ([source] if source else [], losses)


RESPONSES_TO_CHAT = [
    ({"input": "Hi", "max_output_tokens": 5}, {"messages": HI, "max_tokens": 5}, []),
    ({"previous_response_id": "resp_1"}, {}, [("previous_response_id", "refused")]),
    ({"conversation": "conv_1"}, {}, [("conversation", "refused")]),
    ({"background": True}, {}, [("background", "refused")]),
    ({"background": False, "previous_response_id": None}, {}, []),
    ({"prompt": {"id": "p"}}, {}, [("prompt", "refused")]),
    ({"input": [{"type": "item_reference", "id": "x"}]}, {}, [("item_reference", "refused")]),
    ({"input": [{"id": "x"}]}, {}, [("item_reference", "refused")]),
    ({"input": [{"role": "user", "content": "Hi"}, {"type": "compaction_trigger"}]}, {}, [("compaction", "refused")]),
    ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, {}, [("compaction", "refused")]),
    ({"input": [{"id": "x", "role": "user", "content": "Hi"}]}, {"messages": HI}, []),
    ({"store": True}, {}, [("store", "dropped")]),
    ({"truncation": "auto"}, {}, [("truncation", "dropped")]),
    ({"truncation": "disabled"}, {}, []),
    ({"include": ["file_search_call.results"]}, {}, [("include", "dropped")]),
    ({"max_tool_calls": 3}, {}, [("max_tool_calls", "dropped")]),
    (
        {
            "text": {
                "verbosity": "low",
                "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
            }
        },
        {
            "verbosity": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        },
        [],
    ),
    (
        {"tools": [{"type": "function", "name": "look"}], "tool_choice": {"type": "function", "name": "look"}},
        {"tool_choice": {"type": "function", "function": {"name": "look"}}},
        [],
    ),
    (
        {"tools": [MCP], "tool_choice": {"type": "function", "name": "read"}},
        {"tool_choice": {"type": "function", "function": {"name": "mcp__files__read"}}},
        [],
    ),
    (
        {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
        {"tools": None},
        [("tool_choice", "dropped"), ("tools.web_search", "dropped")],
    ),
    ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, {}, [("input_items", "dropped")]),
    (
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "of another"}]},
        {},
        [("thinking", "dropped")],
    ),
    (
        {"metadata": {"a": "b"}, "user": "u", "service_tier": "flex"},
        {"metadata": {"a": "b"}, "user": "u", "service_tier": "flex"},
        [],
    ),
    (
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                        {"type": "input_file", "file_data": "data:application/pdf;base64,BBBB", "filename": "a.pdf"},
                    ],
                }
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        PNG,
                        {
                            "type": "file",
                            "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "a.pdf"},
                        },
                    ],
                }
            ]
        },
        [],
    ),
]


@pytest.mark.parametrize(("members", "expected", "losses"), RESPONSES_TO_CHAT)
def test_members_of_responses_for_chat(members: dict[str, Any], expected: dict[str, Any], losses: list[Any]) -> None:
    body, found = translated("responses", "chat", members)
    assert {name: body.get(name) for name in expected} == expected
    assert [(loss.field, loss.became) for loss in found] == losses


def test_chat_for_responses() -> None:
    body, losses = translated(
        "chat",
        "responses",
        {
            "messages": [{"role": "system", "content": "S"}, *HI],
            "tools": [FUNCTION, {"type": "custom", "custom": {"name": "free"}}],
            "stop": "x",
            "seed": 1,
            "reasoning_effort": "low",
            "stream": True,
            "max_completion_tokens": 90,
        },
    )
    assert body["instructions"] == "S" and body["store"] is False and body["stream"] is True
    assert body["input"] == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]
    assert [tool["type"] for tool in body["tools"]] == ["function", "custom"]
    assert body["reasoning"] == {"effort": "low", "summary": "auto"} and body["max_output_tokens"] == 90
    assert lost(losses) == ["seed", "stop"]


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("chat", {"messages": "x"}),
        ("chat", {"messages": ["x"]}),
        ("messages", {"messages": [5]}),
        ("responses", {"input": [5]}),
        ("chat", {"tools": 5}),
    ],
)
def test_what_is_no_request_is_refused_by_name(source: Protocol, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        translated(source, "chat" if source != "chat" else "messages", body)


@pytest.mark.parametrize("protocol", LONGEST)
def test_long_names_are_short_stable_and_apart(protocol: Protocol) -> None:
    names = [wire_name("mcp__" + "a" * 70, name, protocol) for name in ("read", "write", "read")]
    assert names[0] == names[2] != names[1]
    assert all(len(name) <= LONGEST[protocol] for name in names)
    assert wire_name("", "look", protocol) == "look"


def test_a_long_name_comes_back_as_it_was() -> None:
    name = "mcp__" + "a" * 70 + "__read"
    tools = [{"name": name, "input_schema": SCHEMA}]
    sent, _ = translated(
        "messages", "chat", {"messages": HI, "tools": tools, "tool_choice": {"type": "tool", "name": name}}
    )
    short = sent["tools"][0]["function"]["name"]
    assert len(short) == 64 and sent["tool_choice"]["function"]["name"] == short
    stream = stream_of("chat", [chunk(called(0, "{}", id="c", name=short)), chunk({}, "tool_calls")])
    back = read_stream("messages", passed(bridge("chat", "messages", {"messages": HI, "tools": tools}), stream))
    assert back["content"][0]["name"] == name


# thoughts: carried by the client where it can, kept where it cannot


def carried_back(source: Protocol, target: Protocol, reply: dict[str, Any]) -> list[Any]:
    """A reply of `source`, read by a client of `target`, sent back and translated again: the assistant's turn."""
    client = json.loads(bridge(source, target).whole(json.dumps(reply).encode()))
    if target == "chat":
        body = {"messages": [client["choices"][0]["message"], *HI]}
    elif target == "messages":
        body = {"messages": [{"role": "assistant", "content": client["content"]}, *HI]}
    else:
        body = {"input": [*client["output"], {"role": "user", "content": "Hi"}]}
    sent, losses = translated(target, source, body)
    assert losses == []
    return sent["input"] if source == "responses" else sent["messages"]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_thoughts_come_back_to_who_thought_them(source: Protocol, target: Protocol) -> None:
    from upstreams import WHOLE

    first = carried_back(source, target, WHOLE[source]())[0]
    if source == "chat":
        assert first["reasoning_content"] == "Let me think."
    elif source == "messages":
        assert first["content"][0] == {"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"}
    else:
        assert (first["type"], first["encrypted_content"], first["id"]) == ("reasoning", "ZW5j", "rs_1")
        assert first["summary"] == [{"type": "summary_text", "text": "Let me think."}]


def test_thoughts_are_kept_for_clients_that_drop_them() -> None:
    kept, thought = KeptThoughts(), Reasoning("hm", "sig", origin="anthropic")
    kept.keep("alice", ["c1", "c2"], [thought], now=0.0)

    def put_back(key: str, now: float, call: str = "c2") -> list[Any]:
        turn = Turn("assistant", [Text("x"), ToolUse(call, "look", "{}")])
        kept.put_back(key, Request(turns=[turn]), now)
        return turn.parts[:-2]

    assert put_back("alice", 1.0) == [thought]
    assert put_back("bob", 1.0) == put_back("alice", 1.0, "c3") == put_back("alice", KEPT_SECONDS + 1) == []


def test_what_is_kept_is_bounded() -> None:
    kept = KeptThoughts(most_bytes=5000)
    for number in range(100):
        kept.keep("alice", [f"c{number}"], [Reasoning("x" * 800)], now=0.0)
    assert 0 < kept.size <= 5000
    kept.keep("alice", ["huge"], [Reasoning("x" * 6000)], now=0.0)
    kept.keep("alice", ["new"], [Reasoning("x")], now=KEPT_SECONDS + 1)
    assert kept.size < 500
    kept.keep_items(
        "alice", [{"id": f"msg_{number}", "text": "x" * 800} for number in range(100)], now=KEPT_SECONDS + 2
    )
    assert 0 < kept.size <= 5000 and kept.item("alice", "msg_0", KEPT_SECONDS + 2) is None


def test_items_are_known_for_an_hour_and_longer_while_they_are_referred_to() -> None:
    kept, item = KeptThoughts(), {"id": "msg_1", "type": "message"}
    kept.keep_items("alice", [item], now=0.0)
    assert kept.item("alice", "msg_1", KEPT_SECONDS - 1) == kept.item("alice", "msg_1", KEPT_SECONDS + 1) == item
    assert kept.item("alice", "msg_1", 3 * KEPT_SECONDS) is kept.item("bob", "msg_1", 1.0) is None


def test_a_client_of_messages_that_did_not_ask_for_thoughts_sees_none() -> None:
    one = bridge("chat", "messages", {"messages": HI})
    stream = stream_of(
        "chat",
        [
            chunk({"reasoning": "hm"}),
            chunk({"content": "Hi"}),
            chunk(called(0, "{}", id="c", name="look")),
            chunk({}, "tool_calls"),
        ],
    )
    assert [b["type"] for b in read_stream("messages", passed(one, stream))["content"]] == ["text", "tool_use"]
    assert [thought.text for thought in one.thoughts] == ["hm"] and one.calls == ["c"]


def test_anthropic_does_not_think_on_about_a_call_whose_thoughts_are_lost() -> None:
    call = {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }
    messages = [*HI, call, {"role": "tool", "tool_call_id": "c", "content": "1"}]
    body, losses = chat_to_messages(messages=messages, reasoning_effort="low")
    assert "thinking" not in body and losses == ["reasoning"]


@pytest.mark.parametrize("target", ["chat", "messages", "responses"])
@pytest.mark.parametrize(
    ("source", "status", "body", "message"),
    [
        (
            "chat",
            429,
            {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}},
            "Slow down.",
        ),
        ("chat", 400, {"error": "no such thing"}, "no such thing"),
        (
            "messages",
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "Overloaded",
        ),
        ("chat", 502, {"detail": "bad"}, "bad"),
        (
            "chat",
            400,
            [{"error": {"code": 400, "message": "Gemini says no.", "status": "INVALID_ARGUMENT"}}],
            "Gemini says no.",
        ),
    ],
)
def test_errors_are_told_in_the_clients_envelope(
    source: Protocol, status: int, body: Any, message: str, target: Protocol
) -> None:
    told = json.loads(Bridge(source, target, Request(), IDENTITY).error(json.dumps(body).encode(), status))
    assert told["error"]["message"] == message
    if target == "messages":
        assert told["type"] == "error" and told["error"]["type"] in (
            "rate_limit_error",
            "invalid_request_error",
            "overloaded_error",
            "api_error",
        )
    else:
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert not str(told["error"]["code"] or "").isdecimal()  # a status is no code, least of all another


@pytest.mark.parametrize("body", [b"", b"<html>", b"null"])
def test_errors_that_cannot_be_read_have_a_sentence(body: bytes) -> None:
    told = json.loads(Bridge("chat", "messages", Request(), IDENTITY).error(body, 503))
    assert told["error"] == {"type": "overloaded_error", "message": "The provider answered with status 503."}


@pytest.mark.parametrize(
    "words",
    [
        "the request exceeds the available context size",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.",
    ],
)
def test_a_conversation_too_long_is_called_what_agents_look_for(words: str) -> None:
    body = json.dumps({"error": {"message": words, "code": 400}}).encode()
    assert json.loads(Bridge("chat", "messages", Request(), IDENTITY).error(body, 400))["error"]["message"].startswith(
        "prompt is too long"
    )
    assert (
        json.loads(Bridge("chat", "responses", Request(), IDENTITY).error(body, 400))["error"]["code"]
        == "context_length_exceeded"
    )


def test_an_estimate_counts_all_there_is() -> None:
    def count(**members: Any) -> int:
        return estimate(read_request("messages", json.dumps({"messages": HI, **members}).encode(), Losses()))

    assert count() > 0
    assert count(system="x" * 4000) - count() in range(1000, 1010)
    assert count(tools=[{"name": "look", "input_schema": SCHEMA}]) > count()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}}
    assert 1000 < count(messages=[{"role": "user", "content": [image]}]) < 3000


@pytest.mark.parametrize(("asked", "sent", "losses"), [(50, 50, []), (500, 100, ["max_tokens"])])
def test_a_limit_above_what_the_model_puts_out_is_that(asked: int, sent: int, losses: list[str]) -> None:
    body, found = translated("messages", "chat", {"messages": HI, "max_tokens": asked}, largest=100)
    assert body["max_tokens"] == sent and lost(found) == losses


def test_members_that_only_one_protocol_knows_do_not_cross() -> None:
    body, losses = translated(
        "responses", "chat", {"input": "Hi", "client_metadata": {"a": "b"}, "new_one": 1, "min_p": 0.1}
    )
    assert body == {"model": "m", "messages": HI, "min_p": 0.1} and lost(losses) == ["metadata", "other"]
