"""How providers really spell usage, fees and costs: one row for each, as they were recorded or as their reference has them."""

from __future__ import annotations

import json
from decimal import Decimal as D
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.money.costs import cost_usd
from proxy.policy.money.prices import Price
from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings
from proxy.wire.usage import Pass, Usage

OPUS = "claude-opus-4-7"


def chat(usage: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": usage, **more}


def responses(usage: Any, *output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"object": "response", "status": "completed", "output": list(output), "usage": usage, **more}


def item(kind: str, status: str | None = "completed", action: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{kind}-{action}-{len(more)}",
        "type": kind,
        "status": status,
        "action": action and {"type": action},
        **more,
    }


def iteration(read: int, written: int, kind: str = "message", **more: Any) -> dict[str, Any]:
    none = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    return {"type": kind, "input_tokens": read, "output_tokens": written, **none, **more}


def run(read: int, written: int, model: str | None = None) -> Pass:
    return Pass(model, Usage(read, written))


PLAIN = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
IN_OUT = Usage(100, 10)
NO_TOOLS = {"image_gen": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}, "web_search": {"num_requests": 0}}
DREW = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 20, "text_tokens": 30},
    "output_tokens": 1056,
    "output_tokens_details": {"image_tokens": 1056, "text_tokens": 0},
}
DRAWN = Usage(50, 1056, image_input_tokens=20, image_tokens=1056)

# (source, shape, what came, what was used)
ROWS: list[tuple[str, Shape, list[dict[str, Any]], Usage]] = [
    ("openai: chat, recorded", "chat", [chat({"prompt_tokens": 13, "completion_tokens": 197, "total_tokens": 210, "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 0}})], Usage(13, 197, cached_tokens=5, reasoning_tokens=7)),
    ("openai: a model that always searches, recorded", "chat", [chat({"prompt_tokens": 13, "completion_tokens": 197}, model="gpt-4o-mini-search-preview-2025-03-11")], Usage(13, 197, web_searches=1)),
    ("openai: its name later", "chat", [chat({"prompt_tokens": 13, "completion_tokens": 197}, model="gpt-5-search-api")], Usage(13, 197, web_searches=1)),
    ("openai: audio in and out, reference", "chat", [chat({"prompt_tokens": 90, "completion_tokens": 200, "prompt_tokens_details": {"text_tokens": 30, "audio_tokens": 60, "cached_tokens": 40, "cached_tokens_details": {"text_tokens": 10, "audio_tokens": 30}}, "completion_tokens_details": {"text_tokens": 50, "audio_tokens": 150}})], Usage(90, 200, cached_tokens=40, cached_audio_tokens=30, audio_input_tokens=60, audio_output_tokens=150, text_output_tokens=50)),
    ("openai: older completions leave out 0, reference", "completions", [{"choices": [{"text": "", "finish_reason": "stop"}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}], Usage(5, 0)),
    ("openai: older completions with the total only", "completions", [{"choices": [{"text": "a b", "finish_reason": "stop"}], "usage": {"prompt_tokens": 5, "total_tokens": 9}}], Usage(5, 4)),
    ("openai: older completions that say nothing of what they wrote", "completions", [{"choices": [{"text": "a b", "finish_reason": "stop"}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}], Usage(5, 0, uncounted=True)),
    ("openai: responses, recorded", "responses", [responses({"input_tokens": 87, "input_tokens_details": {"cache_write_tokens": 2, "cached_tokens": 3}, "output_tokens": 339, "output_tokens_details": {"reasoning_tokens": 256}, "total_tokens": 426}, tool_usage=NO_TOOLS)], Usage(87, 339, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=256)),
    ("openai: written to the cache for twelve hours, reference", "responses", [responses({"input_tokens": 87, "input_tokens_details": {"cache_write_tokens": 60, "cached_tokens": 3, "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 40}}, "output_tokens": 9, "total_tokens": 96})], Usage(87, 9, cached_tokens=3, cache_write_tokens=60, cache_write_1h_tokens=40)),
    ("openai: one search told twice, recorded", "responses", [responses(PLAIN, item("web_search_call", action="search"), tool_usage={**NO_TOOLS, "web_search": {"num_requests": 1}})], Usage(100, 10, web_searches=1)),
    ("openai: pages opened and searched in are no searches, recorded", "responses", [responses(PLAIN, item("web_search_call", action="search"), item("web_search_call", action="open_page"), item("web_search_call", action="find_in_page"))], Usage(100, 10, web_searches=1)),
    ("azure: an item left at searching, recorded", "responses", [responses(PLAIN, item("web_search_call", "searching", "search"))], Usage(100, 10, web_searches=1)),
    ("openai: a search that failed", "responses", [responses(PLAIN, item("web_search_call", "failed", "search"))], IN_OUT),
    ("openai: files searched, recorded", "responses", [responses(PLAIN, item("file_search_call"), item("message"))], Usage(100, 10, file_searches=1)),
    ("openai: three runs in one container, recorded", "responses", [responses(PLAIN, *(item("code_interpreter_call", container_id="cntr_1") for _ in range(3)))], Usage(100, 10, code_sessions=1)),
    ("openai: two containers", "responses", [responses(PLAIN, *(item("code_interpreter_call", container_id=f"cntr_{n}") for n in range(2)))], Usage(100, 10, code_sessions=2)),
    ("openai: tools of the client's, recorded", "responses", [responses(PLAIN, *(item(kind) for kind in ("function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_call", "tool_search_call")))], IN_OUT),
    ("openai: a picture drawn, by a model that was named", "responses", [responses(PLAIN, item("image_generation_call"), tool_usage={"image_gen": DREW}, tools=[{"type": "function"}, {"type": "image_generation", "model": "gpt-image-1-mini"}])], Usage(150, 1066, passes=(Pass(None, IN_OUT), Pass("gpt-image-1-mini", DRAWN)))),
    ("openai: a picture drawn, by the usual model", "responses", [responses(PLAIN, tool_usage={"image_gen": DREW})], Usage(150, 1066, passes=(Pass(None, IN_OUT), Pass("gpt-image-1", DRAWN)))),
    ("openai: a stream of responses, recorded", "responses", [{"type": "response.created", "response": {"output": [], "usage": None}}, {"type": "response.output_item.done", "item": item("web_search_call", action="search")}, {"type": "response.completed", "response": responses(PLAIN, item("web_search_call", action="search"))}], Usage(100, 10, web_searches=1)),
    ("openai: a stream of responses whose end has no items", "responses", [{"type": "response.output_item.done", "item": item("web_search_call", action="search")}, {"type": "response.completed", "response": {"usage": PLAIN}}], Usage(100, 10, web_searches=1)),
    ("openai: embeddings, recorded", "other", [{"data": [], "usage": {"prompt_tokens": 2, "total_tokens": 2}}], Usage(2)),
    ("openai: audio transcribed by tokens, reference", "other", [{"text": "hi", "usage": {"type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 10, "audio_tokens": 4}, "output_tokens": 101, "total_tokens": 115}}], Usage(14, 101, audio_input_tokens=4)),
    ("openai: whisper, by the second, reference", "other", [{"text": "hi", "usage": {"type": "duration", "seconds": 7}}], Usage(audio_seconds=7)),
    ("openai: a second begun is whole", "other", [{"usage": {"type": "duration", "seconds": 6.2}}], Usage(audio_seconds=7)),
    ("openai: transcribed as a stream, reference", "other", [{"type": "transcript.text.delta", "delta": "hi"}, {"type": "transcript.text.done", "text": "hi", "usage": {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 14}, "output_tokens": 3}}], Usage(14, 3, audio_input_tokens=14)),
    ("openai: pictures, reference", "other", [{"data": [], "usage": {"input_tokens": 50, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}, "output_tokens": 4160, "output_tokens_details": {"image_tokens": 4000, "text_tokens": 160}, "total_tokens": 4210}}], Usage(50, 4160, image_input_tokens=40, image_tokens=4000, text_output_tokens=160)),
    ("openai: a picture as a stream, reference", "other", [{"type": "image_generation.partial_image"}, {"type": "image_generation.completed", "usage": {"input_tokens": 50, "output_tokens": 1056, "total_tokens": 1106}}], Usage(50, 1056)),
    ("anthropic: a message, recorded", "messages", [{"content": [{"type": "text"}], "usage": {"input_tokens": 6, "cache_creation_input_tokens": 3337, "cache_read_input_tokens": 6289, "cache_creation": {"ephemeral_5m_input_tokens": 3000, "ephemeral_1h_input_tokens": 337}, "output_tokens": 198, "output_tokens_details": {"thinking_tokens": 12}, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}}], Usage(9632, 198, cached_tokens=6289, cache_write_tokens=3337, cache_write_1h_tokens=337, reasoning_tokens=12, web_searches=2)),
    ("anthropic: what was written to the cache, told in parts only", "messages", [{"usage": {"input_tokens": 6, "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 7}, "output_tokens": 1}}], Usage(43, 1, cache_write_tokens=37, cache_write_1h_tokens=7)),
    ("anthropic: a stream, recorded", "messages", [{"type": "message_start", "message": {"usage": {"input_tokens": 672, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}}}, {"type": "message_delta", "usage": {"input_tokens": 9447, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 114, "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}}], Usage(9447, 114, web_searches=1)),
    ("anthropic: later zeros", "messages", [{"type": "message_start", "message": {"usage": {"input_tokens": 672, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}}}, {"type": "message_delta", "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 114}}, {"type": "message_delta", "usage": {"output_tokens": 0}}], Usage(684, 114, cached_tokens=7, cache_write_tokens=5)),
    ("anthropic: nothing written after all", "messages", [{"type": "message_start", "message": {"usage": {"input_tokens": 672, "output_tokens": 3}}}, {"type": "message_delta", "usage": {"output_tokens": 0}}], Usage(672, 0)),
    ("perplexity: thoughts beside their details", "chat", [chat({"prompt_tokens": 9, "completion_tokens": 70, "total_tokens": 79, "reasoning_tokens": 41})], Usage(9, 70, reasoning_tokens=41)),
    ("anthropic: compaction, recorded", "messages", [{"model": "claude-opus-4-6", "usage": {"input_tokens": 682, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 1320, "iterations": [iteration(60385, 592, "compaction"), iteration(682, 1320)]}}], Usage(61067, 1912, passes=(run(60385, 592), run(682, 1320)))),
    ("anthropic: an advisor of another model, recorded", "messages", [{"usage": {"input_tokens": 2414, "cache_read_input_tokens": 0, "output_tokens": 3200, "iterations": [iteration(1051, 35), iteration(2728, 874, "advisor_message", model=OPUS), iteration(1363, 3165)]}}], Usage(5142, 4074, passes=(run(1051, 35), run(2728, 874, OPUS), run(1363, 3165)))),
    ("anthropic: thoughts, which only the total tells", "messages", [{"usage": {"input_tokens": 20, "cache_read_input_tokens": 0, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 31}, "iterations": [iteration(20, 90), iteration(70, 8, "advisor_message", model=OPUS)]}}], Usage(90, 98, reasoning_tokens=31, passes=(run(20, 90), run(70, 8, OPUS)))),
    ("anthropic: a fallback, recorded", "messages", [{"usage": {"input_tokens": 412, "cache_read_input_tokens": 0, "output_tokens": 264, "iterations": [iteration(408, 0, model="claude-fable-5"), iteration(412, 264, "fallback_message", model="claude-opus-4-8")]}}], Usage(820, 264, passes=(run(408, 0, "claude-fable-5"), run(412, 264, "claude-opus-4-8")))),
    ("anthropic: runs that say less than the total", "messages", [{"usage": {"input_tokens": 412, "cache_read_input_tokens": 0, "output_tokens": 264, "iterations": [iteration(1, 1)]}}], Usage(412, 264)),
    ("anthropic: runs that are none", "messages", [{"usage": {"input_tokens": 412, "cache_read_input_tokens": 0, "output_tokens": 264, "iterations": [7, None]}}], Usage(412, 264)),
    ("anthropic: a run nobody can believe", "messages", [{"usage": {"input_tokens": 1, "cache_read_input_tokens": 0, "output_tokens": 2, "iterations": [iteration(-1, 1), iteration(1, 2)]}}], Usage(1, 3, doubts=("negative",), miscounted=True, passes=(Pass(None, Usage(0, 1, doubts=("negative",), miscounted=True)), run(1, 2)))),
    ("xai: thoughts on top, and its ticks, recorded", "chat", [chat({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 303, "prompt_tokens_details": {"text_tokens": 12, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 11}, "completion_tokens_details": {"reasoning_tokens": 290, "audio_tokens": 0}, "num_sources_used": 0, "cost_in_usd_ticks": 1466250})], Usage(12, 291, cached_tokens=11, reasoning_tokens=290, cost_usd=D("0.000146625"))),
    ("xai: two searches and the bill, recorded", "responses", [responses({"input_tokens": 5689, "input_tokens_details": {"cached_tokens": 2048}, "output_tokens": 444, "output_tokens_details": {"reasoning_tokens": 245}, "total_tokens": 6133, "num_server_side_tools_used": 2, "cost_in_usd_ticks": 160708500, "server_side_tool_usage_details": {"web_search_calls": 2, "file_search_calls": 0}})], Usage(5689, 444, cached_tokens=2048, reasoning_tokens=245, web_searches=2, cost_usd=D("0.01607085"))),
    ("xai: pictures, recorded", "other", [{"data": [], "usage": {"cost_in_usd_ticks": 200000000}}], Usage(cost_usd=D("0.02"))),
    ("xai: a search on X, recorded", "responses", [responses(PLAIN, item("x_search_call"))], Usage(100, 10, web_searches=1)),
    ("azure: grok, whose bill is not xAI's, recorded", "chat", [chat({"prompt_tokens": 205, "completion_tokens": 18, "total_tokens": 223, "cost_in_usd_ticks": 0})], Usage(205, 18)),
    ("azure: a count beside the others, recorded", "chat", [chat({"prompt_tokens": 19, "total_tokens": 1739, "completion_tokens": 1720, "prompt_tokens_details": None, "reasoning_tokens": 0})], Usage(19, 1720)),
    ("gemini: thoughts in the total only", "chat", [chat({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 130})], Usage(10, 120)),
    ("a total with the cached ones on top", "chat", [chat({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 130, "prompt_tokens_details": {"cached_tokens": 100}})], Usage(110, 20, cached_tokens=100)),
    ("groq: usage in its own place, recorded", "chat", [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "req_1", "usage": {"queue_time": 0.04, "prompt_tokens": 45, "completion_tokens": 662, "total_tokens": 707}}}], Usage(45, 662)),
    ("deepseek: hits and misses, recorded", "chat", [chat({"prompt_tokens": 495, "completion_tokens": 144, "total_tokens": 639, "prompt_cache_hit_tokens": 320, "prompt_cache_miss_tokens": 175})], Usage(495, 144, cached_tokens=320)),
    ("moonshot: cached tokens beside the counts, recorded", "chat", [chat({"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50, "cached_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 22}})], Usage(20, 30, cached_tokens=10, reasoning_tokens=22)),
    ("moonshot: in the choice, where nobody asked for it, reference", "chat", [{"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]}, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32}}]}], Usage(19, 13)),
    ("moonshot: in the choice and behind it", "chat", [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 19, "completion_tokens": 13}}]}, {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 14, "total_tokens": 34}}], Usage(20, 14)),
    ("alibaba: written to its cache, reference", "chat", [chat({"prompt_tokens": 1635, "completion_tokens": 9, "total_tokens": 1644, "prompt_tokens_details": {"cached_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 1605}, "cache_creation_input_tokens": 1605, "cache_type": "ephemeral"}})], Usage(1635, 9, cache_write_tokens=1605)),
    ("litellm: written to the cache at two rates, reference", "chat", [chat({"prompt_tokens": 1112, "completion_tokens": 7, "total_tokens": 1119, "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 100, "cache_creation_tokens": 100, "cache_creation_token_details": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}}, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000})], Usage(1112, 7, cached_tokens=1000, cache_write_tokens=100, cache_write_1h_tokens=40)),
    ("mistral: embeddings, recorded", "other", [{"usage": {"prompt_audio_seconds": None, "prompt_tokens": 11, "total_tokens": 11, "completion_tokens": 0, "prompt_tokens_details": None, "prompt_token_details": None}}], Usage(11)),
    ("mistral: sound that was listened to", "chat", [chat({"prompt_audio_seconds": 203, "prompt_tokens": 4, "completion_tokens": 635})], Usage(4, 635, audio_seconds=203)),
    ("mistral: pages", "other", [{"pages": [{}], "usage_info": {"pages_processed": 3, "doc_size_bytes": 9000}}], Usage(pages=3)),
    ("perplexity: a cost with its parts, recorded", "chat", [chat({"prompt_tokens": 11, "completion_tokens": 62, "total_tokens": 73, "search_context_size": "low", "cost": {"input_tokens_cost": 1e-05, "output_tokens_cost": 6e-05, "request_cost": 0.005, "total_cost": 0.00507}})], Usage(11, 62, cost_usd=D("0.00507"))),
    ("perplexity: in another currency", "chat", [chat({"prompt_tokens": 11, "completion_tokens": 62, "cost": {"currency": "EUR", "total_cost": 1}})], Usage(11, 62)),
    ("perplexity: counting on in every chunk, recorded", "chat", [{"choices": [{"index": 0, "delta": {"content": "1"}, "finish_reason": None}], "usage": {"prompt_tokens": 8, "completion_tokens": n, "cost": {"total_cost": 0}}} for n in (1, 2)] + [{"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 8, "completion_tokens": 5, "cost": {"total_cost": 0.005013}}}], Usage(8, 5, cost_usd=D("0.005013"))),
    ("cohere: a chat, recorded", "other", [{"usage": {"billed_units": {"input_tokens": 67, "output_tokens": 66}, "tokens": {"input_tokens": 510, "output_tokens": 99}}}], Usage(67, 66)),
    ("cohere: the end of a stream, recorded", "other", [{"type": "message-end", "delta": {"usage": {"billed_units": {"input_tokens": 65, "output_tokens": 63}}}}], Usage(65, 63)),
    ("cohere: a rerank, recorded", "other", [{"results": [], "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}], Usage(search_units=1)),
    ("openrouter: a rerank tells its total, recorded", "other", [{"results": [], "usage": {"total_tokens": 17, "cost": 3.4e-07}}], Usage(17, cost_usd=D("3.4E-7"))),
    ("openrouter: three searches in the bill, recorded", "chat", [chat({"prompt_tokens": 16924, "completion_tokens": 485, "cost": 0.066407, "is_byok": False, "server_tool_use_details": {"web_search_requests": 3}})], Usage(16924, 485, web_searches=3, cost_usd=D("0.066407"))),
    ("ollama: zeros in every chunk, the truth last", "completions", [{"choices": [{"index": 0, "text": "He", "finish_reason": None}], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}, {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}}], Usage(11, 4)),
    ("zeros behind the truth", "chat", [{"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15, "cost": 0.5}}, {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0}}], Usage(11, 4, cost_usd=D("0.5"))),
    ("vllm: counting on in every chunk", "chat", [{"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 2, 3)], Usage(9, 3)),
    ("llama.cpp: timings and no usage", "chat", [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "timings": {"cache_n": 236, "prompt_n": 1, "predicted_n": 35, "prompt_ms": 30.9}}], Usage(237, 35, cached_tokens=236)),
    ("llama.cpp: timings beside usage", "chat", [chat({"prompt_tokens": 237, "completion_tokens": 35}, timings={"prompt_n": 1, "predicted_n": 99})], Usage(237, 35)),
]  # fmt: skip


def read(shape: Shape, events: list[dict[str, Any]]) -> Findings:
    findings = Findings(shape)
    for event in events:
        findings.see(json.dumps(event).encode())
    return findings


@pytest.mark.parametrize(("shape", "events", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_world_is_read_as_it_spells(shape: Shape, events: list[dict[str, Any]], expected: Usage) -> None:
    assert read(shape, events).usage == expected


@pytest.mark.parametrize("usage", [None, "12", [1, 2], 7, True, {}])
def test_what_is_no_usage_is_none(usage: Any) -> None:
    assert read("chat", [chat(usage)]).usage is None


def test_a_cost_in_the_middle_is_not_the_whole_cost() -> None:
    middle = {"choices": [{"index": 0, "delta": {"content": "1"}}], "usage": {"prompt_tokens": 8, "completion_tokens": 1, "cost": 0}}  # fmt: skip
    usage = read("chat", [middle]).usage
    assert usage is not None and usage.cost_usd is None


TERMS = [
    ({"usage": {"service_tier": "standard", "inference_geo": "us", "output_tokens": 1}}, {("service_tier", "standard"), ("inference_geo", "us")}),
    ({"usage": {"speed": "fast", "output_tokens": 1}, "service_tier": "priority"}, {("service_tier", "priority"), ("speed", "fast")}),
    ({"type": "response.completed", "response": {"service_tier": "flex"}}, {("service_tier", "flex")}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "terms"), TERMS)
def test_what_it_was_served_at_is_told(event: dict[str, Any], terms: set[tuple[str, str]]) -> None:
    assert set(read("messages", [event]).terms) == terms


ONE = Price(D(1), D(10))
COSTS = [
    ("each run at its own model's price", Usage(3, 3, passes=(run(1, 1), run(2, 2, OPUS))), D(1 + 10) + D(2 * 100 + 2 * 1000)),
    ("a model nobody knows at the call's", Usage(3, 3, passes=(run(1, 1), run(2, 2, "x"))), D(3 + 30)),
    ("searches, files and code", Usage(web_searches=2, file_searches=3, code_sessions=1), D(2 * 7 + 3 * 5 + 11)),
    ("cached sound is charged once", Usage(10, 0, cached_tokens=6, cached_audio_tokens=4, audio_input_tokens=5), D(3 + 2 * 2 + 4 * 3 + 1 * 20)),
    ("pictures that are shown", Usage(10, 0, image_input_tokens=4), D(6 + 4 * 30)),
    ("pictures that are kept", Usage(10, 0, cached_tokens=4, cached_image_tokens=4, image_input_tokens=4), D(6 + 4 * 6)),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "due"), [row[1:] for row in COSTS], ids=[row[0] for row in COSTS])
def test_each_thing_used_has_its_price(usage: Usage, due: D) -> None:
    price = msgspec.structs.replace(
        ONE,
        cached_input_usd=D(2),
        cached_audio_usd=D(3),
        cached_image_usd=D(6),
        audio_input_usd=D(20),
        image_input_usd=D(30),
        web_search_usd=D(7),
        file_search_usd=D(5),
        code_session_usd=D(11),
    )
    cost = cost_usd(usage, price, 0, price_of={OPUS: Price(D(100), D(1000))}.get)
    assert cost is not None and cost.usd == due


def test_seconds_at_a_price_of_tokens_are_not_nothing() -> None:
    assert cost_usd(Usage(audio_seconds=7), ONE, 0) is None


counts = st.integers(0, 10**6)


@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"prompt_tokens": counts, "completion_tokens": counts}),
        min_size=1,
        max_size=6,
    ),
    st.randoms(),
)
def test_zeros_and_nulls_between_change_nothing(usages: list[dict[str, int]], random: Any) -> None:
    told = [{"usage": usage} for usage in usages]
    noisy = list(told)
    for _ in range(4):  # behind the first figure, an empty one may stand anywhere
        noise = random.choice(
            [
                {"usage": None},
                {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
                {"usage": {"prompt_tokens": None}},
            ]
        )
        noisy.insert(random.randint(1, len(noisy)), noise)
    before, after = read("other", told).usage, read("other", noisy).usage
    assert (before or Usage()) == (after or Usage())
