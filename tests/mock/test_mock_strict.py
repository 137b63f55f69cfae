"""What the strict mock refuses, provider by provider: status, type, code, param, and what the sentence must say."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from anthropic.types.beta.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.beta.message_create_params import MessageCreateParamsBase
from openai.types.audio.speech_create_params import SpeechCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.image_edit_params import ImageEditParamsBase
from openai.types.image_generate_params import ImageGenerateParamsBase
from openai.types.moderation_create_params import ModerationCreateParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.responses.tool_param import ToolParam

from proxy.mock.asked import Profile
from proxy.mock.envelopes import Failure
from proxy.mock.server import MockServer, start_mock
from proxy.mock.state import Rules
from proxy.mock.strict import anthropic, openai, openai_media
from proxy.mock.strict.refusing import Content, Sent, refused
from proxy.mock.strict.shape import Shape

HI = [{"role": "user", "content": "one two"}]
KEY = {"authorization": "Bearer sk-any", "anthropic-version": "2023-06-01"}
CHAT = {"model": "gpt-4o-mini", "messages": HI}
REASONER = {"model": "gpt-5-nano", "messages": HI}
INPUT = {"model": "gpt-4o-mini", "input": "one two"}
CLAUDE = {"model": "claude-haiku-4-5", "messages": HI, "max_tokens": 100}
ROUTED = {"model": "openai/gpt-4o-mini", "messages": HI}
PICTURE = {"model": "gpt-image-1", "prompt": "a sun"}
CLOSED = {"type": "object", "additionalProperties": False}
TOOL = {"name": "look", "input_schema": {"type": "object"}}


def judged(
    profile: Profile, endpoint: str, fields: Mapping[str, Any], headers: Mapping[str, str] = KEY
) -> Failure | None:
    """What a request with a JSON body would be told."""
    return refused(Sent(profile, endpoint, f"/{endpoint}", headers, Content("application/json", dict(fields))))


def functions(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": row} for row in rows]


def shaped(schema: dict[str, Any]) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def said(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def shown(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


SOUND = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
FILE = {"type": "input_file", "filename": "x"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
OPENAI: list[tuple[str, dict[str, Any], str | None, str | None, str]] = [
    ("chat/completions", {**CHAT, "max_completion_tokens": 8333295}, "invalid_value", "max_completion_tokens", "16384"),
    ("chat/completions", {**CHAT, "max_tokens": 16385}, "invalid_value", "max_tokens", "too large: 16385"),
    ("responses", {**INPUT, "max_output_tokens": 16385}, "invalid_value", "max_output_tokens", "at most 16384"),
    ("responses", {**INPUT, "max_output_tokens": 15}, "integer_below_min_value", "max_output_tokens", ">= 16"),
    ("chat/completions", {**CHAT, "max_tokens": 0}, "integer_below_min_value", "max_tokens", ">= 1"),
    ("chat/completions", {**CHAT, "max_tokens": -5}, "integer_below_min_value", "max_tokens", "-5"),
    ("chat/completions", {**CHAT, "max_tokens": "100"}, "invalid_type", "max_tokens", "an integer, got a string"),
    ("chat/completions", {**CHAT, "max_tokens": 100.0}, "invalid_type", "max_tokens", "got a decimal number"),
    ("chat/completions", {**REASONER, "max_tokens": 9}, "unsupported_parameter", "max_tokens", "max_completion_tokens"),
    ("chat/completions", {**REASONER, "temperature": 0.5}, "unsupported_value", "temperature", "(1)"),
    ("responses", {"model": "gpt-5-nano", "input": "x", "temperature": 0.5}, None, "temperature", "parameter"),
    ("chat/completions", {**CHAT, "reasoning_effort": "low"}, "unsupported_parameter", "reasoning_effort", "take"),
    ("responses", {**INPUT, "reasoning": {"effort": "low"}}, "unsupported_parameter", "reasoning.effort", "take"),
    ("responses", {**INPUT, "include": ["reasoning.encrypted_content"]}, None, "include", "encrypted content"),
    ("chat/completions", {**CHAT, "temperature": "0.5"}, "invalid_type", "temperature", "a decimal, got a string"),
    ("chat/completions", {**CHAT, "temperature": 2.5}, "decimal_above_max_value", "temperature", "<= 2"),
    ("chat/completions", {**CHAT, "top_p": -1}, "decimal_below_min_value", "top_p", ">= 0"),
    ("chat/completions", {**CHAT, "n": 129}, "integer_above_max_value", "n", "<= 128"),
    ("chat/completions", {**CHAT, "stop": list("abcde")}, "array_above_max_length", "stop", "at most 4"),
    ("chat/completions", {**CHAT, "top_k": 5}, "unknown_parameter", "top_k", "Unknown parameter: 'top_k'"),
    ("chat/completions", {**CHAT, "reasoning": {}}, "unknown_parameter", "reasoning", "'reasoning'"),
    ("responses", {**INPUT, "messages": HI}, "unknown_parameter", "messages", "'messages'"),
    ("chat/completions", {"model": "gpt-4o-mini"}, "missing_required_parameter", "messages", "'messages'"),
    ("chat/completions", {**CHAT, "messages": []}, "empty_array", "messages", "empty array"),
    ("chat/completions", {**CHAT, "messages": "hi"}, "invalid_type", "messages", "an array, got a string"),
    ("chat/completions", {**CHAT, "messages": ["hi"]}, "invalid_type", "messages[0]", "an object"),
    ("chat/completions", {**CHAT, "messages": [{"role": "bot"}]}, "invalid_value", "messages[0].role", "'assistant'"),
    ("responses", {**INPUT, "model": "gpt-nowhere"}, "model_not_found", "model", "gpt-nowhere"),
    (
        "chat/completions",
        {**CHAT, "messages": said({"role": "system", "content": "x"})},
        "missing_required_parameter",
        "messages[0].content[0].type",
        "must be sent",
    ),
    (
        "chat/completions",
        {**CHAT, "messages": said({"type": "video"})},
        "invalid_value",
        "messages[0].content[0].type",
        "'file'",
    ),
    (
        "chat/completions",
        {**CHAT, "messages": said({"type": "image_url", "image_url": "x"})},
        "invalid_type",
        "messages[0].content[0].image_url",
        "an object, got a string",
    ),
    (
        "chat/completions",
        {**REASONER, "messages": [*HI, *said(SOUND)]},
        "invalid_value",
        "messages[1]",
        "text or image_url",
    ),
    (
        "chat/completions",
        {**CHAT, "messages": said(shown("data:image/png;base64,SGVsbG8="))},
        "invalid_image_format",
        None,
        "'webp'",
    ),
    (
        "chat/completions",
        {**CHAT, "messages": said(shown("data:image/png;base64,SGV"))},
        "invalid_image_format",
        None,
        "'webp'",
    ),
    ("chat/completions", {**CHAT, "web_search_options": {}}, None, "web_search_options", "web search"),
    ("completions", {"model": "gpt-3.5-turbo-instruct", "prompt": [5, 100_258]}, None, None, "100258"),
    ("completions", {"model": "gpt-3.5-turbo-instruct", "prompt": [[5], [-1]]}, None, None, "-1"),
    (
        "responses",
        {**INPUT, "input": [{"role": "user", "content": [FILE | {"file_data": "data:audio/mpeg;base64,AA=="}]}]},
        "invalid_value",
        "input[0].content[0].file_data",
        "'audio/mpeg'",
    ),
    (
        "responses",
        {
            **INPUT,
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [FILE | {"file_data": "data:video/mp4;base64,AA=="}],
                }
            ],
        },
        "invalid_value",
        "input[0].output[0].file_data",
        "'video/mp4'",
    ),
    ("responses", {**INPUT, "input": [THOUGHT]}, None, "input", "'rs_1'"),
    ("responses", {**INPUT, "input": [THOUGHT, {"role": "assistant", "content": "42"}]}, None, "input", "'rs_1'"),
    (
        "responses",
        {**INPUT, "input": [THOUGHT, {"type": "function_call_output", "call_id": "c", "output": ""}]},
        None,
        "input",
        "'rs_1'",
    ),
    (
        "chat/completions",
        {**CHAT, "messages": [{"role": "user"}]},
        "missing_required_parameter",
        "messages[0].content",
        "must be sent",
    ),
    (
        "chat/completions",
        {**CHAT, "tools": functions({"description": "x"})},
        "missing_required_parameter",
        "tools[0].function.name",
        "name",
    ),
    ("chat/completions", {**CHAT, "tools": [{"type": "web_search"}]}, "invalid_value", "tools[0].type", "'custom'"),
    ("chat/completions", {**CHAT, "tools": [{}]}, "missing_required_parameter", "tools[0].type", "tools[0].type"),
    ("chat/completions", {**CHAT, "stream_options": {"include_usage": True}}, None, "stream_options", "stream"),
    ("responses", {**INPUT, "tools": [{"type": "teleport"}]}, "invalid_value", "tools[0].type", "'namespace'"),
    ("responses", {**INPUT, "tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].name", "name"),
    ("responses", {"model": "gpt-4o-mini"}, "missing_required_parameter", "input", "'input'"),
    ("responses", {"model": "gpt-4o-mini", "input": ""}, "missing_required_parameter", "input", "'input'"),
    ("responses", {**INPUT, "input": "word " * 200_000}, "context_length_exceeded", "input", "context window"),
    (
        "chat/completions",
        {**CHAT, "messages": [{"role": "user", "content": "word " * 200_000}]},
        "context_length_exceeded",
        "messages",
        "maximum context length is 128000",
    ),
    ("embeddings", {"model": "text-embedding-3-small", "input": []}, "empty_array", "input", "empty array"),
    ("embeddings", {"model": "text-embedding-3-small"}, "missing_required_parameter", "input", "'input'"),
    ("moderations", {"model": "omni-moderation-latest"}, "missing_required_parameter", "input", "'input'"),
    ("images", {**PICTURE, "size": "100x100"}, "invalid_value", "size", "'1024x1536'"),
    ("images", {**PICTURE, "n": 11}, "integer_above_max_value", "n", "<= 10"),
    ("images", {**PICTURE, "response_format": "url"}, "unknown_parameter", "response_format", "response_format"),
    ("images", {"model": "gpt-image-1"}, "missing_required_parameter", "prompt", "'prompt'"),
    ("audio/speech", {"model": "tts-1", "input": "hi"}, "missing_required_parameter", "voice", "'voice'"),
]


@pytest.mark.parametrize(("endpoint", "fields", "code", "param", "says"), OPENAI)
def test_openai_refuses(endpoint: str, fields: dict[str, Any], code: str | None, param: str | None, says: str) -> None:
    failure = judged("openai", endpoint, fields)
    assert failure is not None
    assert (failure.status, failure.code, failure.param) == (400, code, param)
    assert says in failure.text


ANTHROPIC: list[tuple[dict[str, Any], str]] = [
    ({**CLAUDE, "max_tokens": 64_001}, "max_tokens: 64001 > 64000"),
    ({**CLAUDE, "max_tokens": -1}, "max_tokens: Input should be at least 0"),
    ({**CLAUDE, "max_tokens": "100"}, "max_tokens: Input should be a valid integer"),
    ({**CLAUDE, "max_tokens": None}, "max_tokens: Field required"),
    ({**CLAUDE, "messages": None}, "messages: Field required"),
    ({**CLAUDE, "messages": []}, "messages: at least one"),
    ({**CLAUDE, "messages": [{"role": "user", "content": ""}]}, "messages.0"),
    ({**CLAUDE, "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "text content blocks"),
    ({**CLAUDE, "messages": [{"role": "bot", "content": "x"}]}, "messages.0.role: Input should be one of 'user'"),
    ({**CLAUDE, "messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0.type: Field required"),
    ({**CLAUDE, **shaped({"type": "object"})}, "output_config.format.schema: 'additionalProperties'"),
    ({**CLAUDE, **shaped({**CLOSED, "properties": {"a": {"type": "object"}}})}, "'additionalProperties' of every"),
    ({**CLAUDE, **shaped({"type": "array", "items": {"anyOf": [{"type": "object"}]}})}, "has to be false"),
    ({**CLAUDE, "n": 2}, "n: Extra inputs are not permitted"),
    ({**CLAUDE, "max_completion_tokens": 2}, "max_completion_tokens: Extra inputs"),
    ({**CLAUDE, "temperature": 1.5}, "temperature: Input should be at most 1"),
    ({**CLAUDE, "temperature": "0"}, "temperature: Input should be a valid number"),
    ({**CLAUDE, "tools": [{"name": "look"}]}, "tools.0.custom.input_schema: Field required"),
    ({**CLAUDE, "tools": [{**TOOL, "parameters": {}}]}, "tools.0.custom.parameters: Extra inputs"),
    ({**CLAUDE, "tools": [{"type": "function", "function": TOOL}]}, "tools.0: Input tag 'function'"),
    ({**CLAUDE, "tools": [{"type": "web_search_20250305"}]}, "tools.0.web_search_20250305.name: Field required"),
    ({**CLAUDE, "tools": {"name": "look"}}, "tools: Input should be a valid list"),
    ({**CLAUDE, "thinking": {"type": "enabled", "budget_tokens": 2000}}, "`max_tokens` must be above"),
    (
        {**CLAUDE, "model": "claude-opus-4-6", "output_config": {"effort": "xhigh"}},
        "'xhigh'. Supported levels: high, low, max",
    ),
    (
        {**CLAUDE, "model": "claude-opus-4-5", "output_config": {"effort": "max"}},
        "'max'. Supported levels: high, low, medium",
    ),
    ({**CLAUDE, "output_config": {"effort": "low"}}, "no effort at all"),
    ({**CLAUDE, "model": "claude-sonnet-5", "messages": [*HI, {"role": "assistant", "content": "{"}]}, "no prefill"),
    (
        {
            **CLAUDE,
            "model": "claude-opus-4-6",
            "messages": [*HI, {"role": "assistant", "content": [{"type": "text", "text": "{"}]}],
        },
        "no prefill",
    ),
    (
        {**CLAUDE, "messages": [{"role": "user", "content": "word " * 200_000}]},
        "prompt is too long: 250000 tokens > 200000",
    ),
]


@pytest.mark.parametrize(("fields", "says"), ANTHROPIC)
def test_anthropic_refuses(fields: dict[str, Any], says: str) -> None:
    failure = judged("anthropic", "messages", fields)
    assert failure is not None
    assert (failure.status, failure.code) == (400, None)
    assert says in failure.text


OPENROUTER: list[tuple[str, dict[str, Any], str]] = [
    ("chat/completions", {"model": "openai/gpt-4o-mini"}, "'prompt' or 'messages'"),
    ("chat/completions", {**ROUTED, "messages": "hi"}, "'messages': expected array, received string"),
    ("chat/completions", {**ROUTED, "temperature": "1"}, "'temperature': expected number, received string"),
    ("chat/completions", {**ROUTED, "temperature": 3}, "<= 2"),
    ("chat/completions", {**ROUTED, "max_tokens": 0}, ">= 1"),
    ("chat/completions", {**ROUTED, "max_tokens": "100"}, "received string"),
    ("chat/completions", {**ROUTED, "max_tokens": 8333295}, "maximum context length is 128000"),
    ("chat/completions", {**ROUTED, "tools": functions({})}, "tools.0.function.name"),
    ("chat/completions", {**ROUTED, "messages": [{"role": "bot"}]}, "messages.0.role"),
    ("responses", {"model": "openai/gpt-4o-mini"}, "'input': expected string"),
    ("embeddings", {"model": "openai/text-embedding-3-small", "input": []}, "at least one"),
    ("rerank", {"model": "voyageai/rerank-2.5-lite", "documents": ["a"]}, "'query'"),
    ("chat/completions", {**ROUTED, "model": "openai/gpt-nowhere"}, "openai/gpt-nowhere is no valid model ID"),
]


@pytest.mark.parametrize(("endpoint", "fields", "says"), OPENROUTER)
def test_openrouter_refuses(endpoint: str, fields: dict[str, Any], says: str) -> None:
    failure = judged("openrouter", endpoint, fields)
    assert failure is not None
    assert (failure.status, says in failure.text) == (400, True), failure.text


PIXEL = "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ=="
TAKEN: list[tuple[Profile, str, dict[str, Any]]] = [
    ("openai", "chat/completions", {**CHAT, "messages": said(shown(PIXEL), shown("https://example.org/a.tiff"))}),
    ("openai", "chat/completions", {**CHAT, "model": "gpt-audio", "messages": said(SOUND)}),
    ("openai", "chat/completions", {**CHAT, "model": "gpt-5-search-api", "web_search_options": {}}),
    ("openai", "responses", {**INPUT, "store": False, "input": [THOUGHT, {"role": "assistant", "content": "42"}]}),
    (
        "openai",
        "responses",
        {**INPUT, "input": [THOUGHT, {"type": "message", "id": "msg_1", "role": "assistant", "content": "42"}]},
    ),
    (
        "openai",
        "responses",
        {**INPUT, "input": [THOUGHT, {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]},
    ),
    ("openai", "completions", {"model": "gpt-3.5-turbo-instruct", "prompt": [[5, 100_257]]}),
    ("openai", "embeddings", {"model": "text-embedding-ada-002", "input": ""}),
    ("anthropic", "messages", {**CLAUDE, "messages": [*HI, {"role": "assistant", "content": "{"}]}),
    ("anthropic", "messages", {**CLAUDE, "model": "claude-opus-4-7", "output_config": {"effort": "xhigh"}}),
    ("anthropic", "messages", {**CLAUDE, "model": "claude-sonnet-4-6", "output_config": {"effort": "max"}}),
    ("openrouter", "chat/completions", {**ROUTED, "model": "anthropic/claude-sonnet-4-5"}),
    ("openai", "chat/completions", {**CHAT, "max_tokens": 16_384, "temperature": None, "stop": None}),
    ("openai", "chat/completions", {**REASONER, "max_completion_tokens": 9, "temperature": 1}),
    ("openai", "chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}),
    (
        "openai",
        "chat/completions",
        {**CHAT, "messages": [*HI, {"role": "assistant", "content": None, "tool_calls": []}]},
    ),
    ("openai", "chat/completions", {**CHAT, "model": "gpt-4o-mini-2024-07-18"}),
    ("openai", "chat/completions", {**CHAT, "model": "ft:gpt-4o-mini-2024-07-18:acme::abc"}),
    ("openai", "responses", {"model": "gpt-4o-mini", "prompt": {"id": "pmpt_1"}}),
    ("openai", "responses", {**INPUT, "tools": [{"type": "namespace", "name": "multi_agent_v1", "tools": []}]}),
    ("openai", "images", {**PICTURE, "model": "gpt-image-2", "size": "1920x1088"}),
    ("openai", "responses", {**INPUT, "model": "gpt-5-nano", "include": ["reasoning.encrypted_content"]}),
    (
        "anthropic",
        "messages",
        {**CLAUDE, **shaped({**CLOSED, "properties": {"object": {"enum": [{"type": "object"}]}}})},
    ),
    ("anthropic", "messages", {**CLAUDE, "max_tokens": 64_000, "tools": [TOOL, {**TOOL, "type": "custom"}]}),
    (
        "anthropic",
        "messages",
        {**CLAUDE, "context_management": {}, "messages": [*HI, {"role": "assistant", "content": ""}]},
    ),
    ("anthropic", "chat/completions", {**CHAT, "model": "claude-haiku-4-5", "seed": 5, "logit_bias": {}}),
    ("openrouter", "chat/completions", {**ROUTED, "max_tokens": 100.0, "anything": {"goes": 1}}),
    ("openrouter", "chat/completions", {**ROUTED, "model": "openai/gpt-4o-mini:nitro"}),
    ("openrouter", "messages", {"model": "anthropic/claude-haiku-4.5", "messages": HI}),
    ("anthropic", "messages", {**CLAUDE, "max_tokens": 0}),
    ("anthropic", "messages", {**CLAUDE, "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {}}]}),
]


@pytest.mark.parametrize(("profile", "endpoint", "fields"), TAKEN)
def test_what_the_provider_takes_is_taken(profile: Profile, endpoint: str, fields: dict[str, Any]) -> None:
    assert judged(profile, endpoint, fields) is None


def test_a_model_in_no_list_is_refused_as_each_provider_does() -> None:
    for profile, endpoint, status, code in (
        ("openai", "chat/completions", 404, "model_not_found"),
        ("openai", "responses", 400, "model_not_found"),
        ("anthropic", "messages", 404, None),
        ("openrouter", "chat/completions", 400, None),
    ):
        failure = judged(profile, endpoint, {**CLAUDE, "model": "nobody/has-this"})
        assert failure is not None
        assert (failure.status, failure.code) == (status, code)
    failure = judged("anthropic", "messages", {**CLAUDE, "model": "claude-4-5-haiku"})
    assert failure is not None and failure.status == 404


def test_a_real_model_wants_a_key_a_version_and_json() -> None:
    for profile, endpoint, fields in (
        ("openai", "chat/completions", CHAT),
        ("anthropic", "messages", CLAUDE),
        ("openrouter", "chat/completions", ROUTED),
    ):
        failure = judged(profile, endpoint, fields, {})
        assert failure is not None
        assert failure.status == 401
    failure = judged("anthropic", "messages", CLAUDE, {"x-api-key": "sk-any"})
    assert failure is not None
    assert "anthropic-version" in failure.text
    failure = refused(Sent("openai", "chat/completions", "/", KEY, Content("text/plain", dict(CHAT))))
    assert failure is not None
    assert failure.code == "unsupported_content_type"


def test_names_of_the_mock_have_no_limits_but_must_have_a_shape() -> None:
    long = [{"role": "user", "content": "word " * 200_000}]
    for name in ("mock/echo", "echo", "mock/slow?ttft=0"):
        free = {"model": name, "messages": long, "max_completion_tokens": 10**9}
        assert judged("openai", "chat/completions", free, {}) is None
        assert judged("openai", "chat/completions", {**free, "temperature": "1"}, {}) is not None


@pytest.mark.parametrize("name", ["gpt-4o-mini?strict=0", "mock/echo?tokens=2&strict=0", "nobody-has-this?strict=0"])
async def test_strictness_is_switched_off_by_the_name(server: MockServer, name: str) -> None:
    fields = {"model": name, "messages": HI, "max_tokens": 10**9, "whatever": 1}
    async with (
        aiohttp.ClientSession(server.root) as client,
        client.post("/openai/v1/chat/completions", json=fields) as reply,
    ):
        assert reply.status == 200


@pytest.mark.process
async def test_a_lenient_mock_takes_everything() -> None:
    server = await start_mock(rules=Rules(strict=False))
    try:
        fields = {"model": "gpt-4o-mini", "max_completion_tokens": 8333295, "whatever": 1}
        async with (
            aiohttp.ClientSession(server.root) as client,
            client.post("/openai/v1/chat/completions", json=fields) as reply,
        ):
            assert reply.status == 200
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("path", "fields", "error"),
    [
        (
            "/openai/v1/chat/completions",
            {**CHAT, "max_completion_tokens": 8333295},
            {"type": "invalid_request_error", "param": "max_completion_tokens", "code": "invalid_value"},
        ),
        ("/anthropic/v1/messages", {**CLAUDE, "n": 1}, {"type": "invalid_request_error"}),
        ("/api/v1/chat/completions", {**ROUTED, "top_p": "1"}, {"code": 400}),
    ],
)
async def test_a_refusal_comes_in_the_providers_envelope_and_costs_nothing(
    server: MockServer, path: str, fields: dict[str, Any], error: dict[str, Any]
) -> None:
    async with aiohttp.ClientSession(server.root, headers=KEY) as client, client.post(path, json=fields) as reply:
        body = await reply.json()
    assert reply.status == 400
    assert error.items() <= body["error"].items()
    assert server.bill.rows == []


SDKS: list[tuple[Shape, Any, set[str]]] = [
    (openai.CHAT, ChatParams, set()),
    (openai.COMPLETIONS, CompletionCreateParamsBase, set()),
    (openai.RESPONSES, ResponseCreateParamsBase, set()),
    (openai_media.EMBEDDINGS, EmbeddingCreateParams, set()),
    (openai_media.MODERATIONS, ModerationCreateParams, set()),
    (openai_media.SPEECH, SpeechCreateParams, set()),
    (openai_media.FREE_IMAGES, ImageGenerateParamsBase, {"response_format", "style"}),  # DALL·E's, which is gone
    (openai_media.EDITS, ImageEditParamsBase, {"response_format"}),
    (anthropic.MESSAGES, MessageCreateParamsBase, {"betas"}),  # a header
    (anthropic.COUNT_TOKENS, MessageCountTokensParams, {"betas"}),
]


@pytest.mark.parametrize(("shape", "params", "gone"), SDKS)
def test_every_parameter_of_the_official_sdks_is_known(shape: Shape, params: Any, gone: set[str]) -> None:
    assert set(params.__annotations__) - gone <= shape.members.keys()


def test_every_tool_of_the_official_sdk_is_known() -> None:
    for row in typing.get_args(ToolParam):
        for kind in typing.get_args(typing.get_type_hints(row)["type"]):
            failure = judged("openai", "responses", {**INPUT, "tools": [{"type": kind, "name": "x"}]})
            assert failure is None, kind
