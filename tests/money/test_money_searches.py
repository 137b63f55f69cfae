"""Searches that providers charge for: told apart by the tool that made them, counted wherever a reply tells of them, held before."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import chat_chunk, chat_reply, event, usage_chunk
from harness.setting import CLIENT_KEY, config_for
from harness.steps import Script, chunk, json_reply, reset, say_apart, sse, stream_head, then
from harness.upstream import Upstream
from money_calls import Calls, usd

D = Decimal
USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
CHAT_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
# USD of 1,000 tokens read and 100 written
TOKENS = {"openai/gpt-4.1-mini": D("0.00056"), "openai/gpt-4o": D("0.0035"), "openai/gpt-5-mini": D("0.00045")}
KIMI, GROQ = "moonshot/kimi-k2.6", "groq/openai/gpt-oss-120b"
CHATS = {KIMI: D("0.00135"), GROQ: D("0.00021")}
PREVIEW, USUAL = "web_search_preview_2025_03_11", "web_search"


@pytest.fixture(scope="module")
def toll(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with vendors under their own names, whose shipped lists then speak of them."""
    own = {
        name: {"kind": "openai", "base_url": f"{upstream_server.url}/{name}/v1", "api_key": "sk-x"} for name in VENDORS
    }
    keys = {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 9000, "per": "total"}]}}
    routes = [{"match": f"{name}/*", "provider": name} for name in VENDORS]
    config = config_for(upstream_server, keys=keys, routes=routes, models={}, retries={"attempts": 1})
    config["providers"] = {"anthropic": config["providers"]["anthropic"], **own}
    with Daemon(config, tmp_path_factory.mktemp("toll"), key=CLIENT_KEY) as running:
        yield running


VENDORS = ("openai", "moonshot", "groq", "cohere", "perplexity")


@pytest.fixture
def calls(toll: Daemon, upstream: Upstream) -> Calls:
    return Calls(toll, upstream)


def searched(times: int, kind: str, **more: Any) -> dict[str, Any]:
    """A response whose tool has searched."""
    call = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    output = [*({"id": f"ws_{n}", **call} for n in range(times)), said]
    tools = [{"type": "function", "name": "f"}, {"type": kind, "search_context_size": "medium"}]
    about = {"id": "resp_1", "object": "response", "status": "completed", "output": output, "tools": tools}
    return {**about, "usage": USAGE, **more}


FEES = [
    ("openai/gpt-4.1-mini", PREVIEW, "0.025"),
    ("openai/gpt-4.1-mini", USUAL, "0.01"),
    ("openai/gpt-4o", PREVIEW, "0.025"),
    ("openai/gpt-4o", USUAL, "0.01"),
    ("openai/gpt-5-mini", PREVIEW, "0.01"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("model", "kind", "fee"), FEES)
def test_a_search_costs_what_its_tool_does_with_that_model(
    calls: Calls, model: str, kind: str, fee: str, stream: bool
) -> None:
    reply = searched(2, kind)
    body = {"model": model, "input": "hi", "stream": stream, "tools": [{"type": kind}]}
    row = calls.row(calls.post(streamed(reply) if stream else json_reply(reply), "responses", body))
    assert (row.source, usd(row)) == ("computed", TOKENS[model] + 2 * D(fee))
    assert row.cost_pusd <= row.hold_pusd


def begun(reply: dict[str, Any]) -> list[bytes]:
    """The events of a stream up to its last, a chunk each."""
    first = {**reply, "status": "in_progress", "output": [], "usage": None}
    created = event({"type": "response.created", "response": first}, "response.created")
    done = [event({"type": "response.output_item.done", "item": item}) for item in reply["output"]]
    return [stream_head(), *map(chunk, [created, *done])]


def streamed(reply: dict[str, Any]) -> Script:
    last = event({"type": "response.completed", "response": reply}, "response.completed")
    return say_apart([*begun(reply), chunk(last), b"0\r\n\r\n"])


@pytest.mark.parametrize(("kind", "fee"), [(PREVIEW, "0.05"), (USUAL, "0.02")])
def test_a_cut_stream_costs_the_searches_that_were_made(calls: Calls, kind: str, fee: str) -> None:
    body = {"model": "openai/gpt-4.1-mini", "input": "hi", "stream": True, "tools": [{"type": kind}]}
    row = calls.row(calls.post(then(say_apart(begun(searched(2, kind))), reset), "responses", body))
    assert row.source == "counted"
    assert D(fee) < usd(row) < D(fee) + D("0.001")


def test_a_cut_message_costs_the_searches_that_were_made(calls: Calls) -> None:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    start = {"type": "message_start", "message": {**message, "usage": {"input_tokens": 10, "output_tokens": 1}}}
    block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    said = event(start, "message_start") + event({"type": "content_block_start", "index": 0, "content_block": block})
    body = {"model": "anthropic/claude-sonnet-4-5", "messages": [], "max_tokens": 99, "stream": True}
    body["tools"] = [{"type": "web_search_20250305", "name": "web_search"}]
    row = calls.row(calls.post(then(say_apart([stream_head(), chunk(said)]), reset), "messages", body))
    assert row.source == "counted"
    assert D("0.01") < usd(row) < D("0.0101")


KIMI_TOOL = {"type": "builtin_function", "function": {"name": "$web_search"}}
KIMI_CALL = {"id": "call_1", "type": "builtin_function", "function": {"name": "$web_search", "arguments": '{"q": 1}'}}
OTHER_CALL = {"id": "call_2", "type": "function", "function": {"name": "web_search", "arguments": "{}"}}
GROQ_RAN = [
    {"index": 0, "type": "browser_search", "arguments": '{"query": "a"}', "search_results": {"results": []}},
    {"index": 1, "type": "browser_search", "arguments": '{"query": "b"}'},
    {"index": 2, "type": "python", "arguments": "{}"},
]
SAID: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (KIMI, KIMI_TOOL, {"tool_calls": [KIMI_CALL, OTHER_CALL]}, "0.005"),
    (KIMI, KIMI_TOOL, {"tool_calls": [OTHER_CALL]}, "0"),
    (GROQ, {"type": "browser_search"}, {"executed_tools": GROQ_RAN}, "0.01"),
    (GROQ, {"type": "browser_search"}, {"content": 'no "executed_tools"'}, "0"),
]


@pytest.mark.parametrize(("model", "tool", "said", "fee"), SAID)
def test_a_chat_costs_the_searches_it_tells_of(
    calls: Calls, model: str, tool: dict[str, Any], said: dict[str, Any], fee: str
) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "", **said}}
    answer = {**chat_reply(usage=CHAT_USAGE), "model": model.partition("/")[2], "choices": [choice]}
    body = {"model": model, "messages": [], "max_tokens": 100, "tools": [tool]}
    row = calls.row(calls.post(json_reply(answer), "chat/completions", body))
    assert (row.source, usd(row)) == ("computed", CHATS[model] + D(fee))
    assert row.cost_pusd <= row.hold_pusd


@pytest.mark.parametrize(("model", "tool", "said", "fee"), SAID)
def test_a_streamed_chat_does_as_well(
    calls: Calls, model: str, tool: dict[str, Any], said: dict[str, Any], fee: str
) -> None:
    piece = event({"id": "c", "choices": [{"index": 0, "delta": said, "finish_reason": None}]})
    again = piece if "executed_tools" in said else b""  # Groq tells of each twice, the second time with what it found
    stream = (
        chat_chunk("Hi") + piece + again + chat_chunk(finish="stop") + usage_chunk(CHAT_USAGE) + b"data: [DONE]\n\n"
    )
    stream = stream.replace(b"openai/gpt-4o", model.partition("/")[2].encode())
    body = {"model": model, "messages": [], "max_tokens": 100, "tools": [tool], "stream": True}
    row = calls.row(calls.post(sse(stream), "chat/completions", body))
    assert (row.source, usd(row)) == ("computed", CHATS[model] + D(fee))


@pytest.mark.parametrize(("units", "due"), [(1, "0.002"), (3, "0.006")])
def test_a_rerank_that_is_charged_by_the_search_alone_goes_under_a_budget(calls: Calls, units: int, due: str) -> None:
    answer = {"results": [], "meta": {"billed_units": {"search_units": units}}}
    body = {"model": "cohere/rerank-v3.5", "query": "q", "documents": ["d"] * 201}
    row = calls.row(calls.post(json_reply(answer), "rerank", body))
    assert (row.source, usd(row), row.hold_pusd) == ("computed", D(due), 6_000_000_000)


def test_research_that_no_maximum_ends_is_held_for_in_full_and_given_none(calls: Calls) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 7000, "citation_tokens": 20_000, "num_search_queries": 30}
    usage |= {"reasoning_tokens": 95_000, "cost": {"total_cost": 0.53, "currency": "USD"}}
    answer = {**chat_reply(usage=usage), "model": "sonar-deep-research"}
    for members in ({"max_tokens": 100}, {}):
        body = {"model": "perplexity/sonar-deep-research", "messages": [], **members}
        calls.upstream.reset()
        reply = calls.post(json_reply(answer), "chat/completions", body)
        row = calls.row(reply)
        assert (row.source, usd(row), reply.header("x-tollkeeper-adjusted")) == ("reported", D("0.53"), None)
        assert D("1.3") * 10**12 < row.hold_pusd < D("1.4") * 10**12


CODE = {"type": "code_interpreter_call", "status": "completed", "code": "1"}
SHELL = {"type": "shell_call", "status": "completed", "action": {"commands": ["ls"]}}
PLACED = {"environment": {"type": "container_reference", "container_id": "cntr_2"}}
CODED: list[tuple[dict[str, Any], list[dict[str, Any]], str]] = [
    ({"container": {"type": "auto"}}, [{**CODE, "id": "a", "container_id": "cntr_1"}], "0.03"),
    (
        {"container": {"type": "auto", "memory_limit": "4g"}},
        [{**CODE, "id": "a", "container_id": "cntr_1"}] * 2,
        "0.12",
    ),
    ({"container": {"type": "auto", "memory_limit": "64g"}}, [{**CODE, "id": "a", "container_id": "cntr_1"}], "1.92"),
    ({"container": {"type": "auto", "memory_limit": "64g"}}, [], "0"),
    ({"container": "cntr_1"}, [{**CODE, "id": "a", "container_id": "cntr_1"}], "0.03"),
    (
        {"type": "shell", "environment": {"type": "container_auto", "memory_limit": "16g"}},
        [{**SHELL, **PLACED}],
        "0.48",
    ),
    ({"type": "shell", "environment": {"type": "local"}}, [{**SHELL, "environment": {"type": "local"}}], "0"),
    ({"type": "shell"}, [SHELL], "0"),
]


@pytest.mark.parametrize(("tool", "output", "fee"), CODED)
def test_a_container_costs_by_its_memory(
    calls: Calls, tool: dict[str, Any], output: list[dict[str, Any]], fee: str
) -> None:
    tool = {"type": "code_interpreter", **tool}
    reply = searched(0, USUAL, output=output, tools=[tool])
    body = {"model": "openai/gpt-5-mini", "input": "hi", "tools": [tool]}
    row = calls.row(calls.post(json_reply(reply), "responses", body))
    assert (row.source, usd(row)) == ("computed", TOKENS["openai/gpt-5-mini"] + D(fee))
    assert row.cost_pusd <= row.hold_pusd
