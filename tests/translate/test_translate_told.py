"""What is said of a request or a reply in a place of its own reaches the other protocol, or is told to be lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protocols import bridge, events_of, lost, passed, read_stream, read_whole, stream_of, translated
from upstreams import block, chunk, message

from proxy.translate.values import Protocol

MARK = {"mode": "explicit"}
SHELL = {"type": "shell", "environment": {"type": "container_auto"}}
CONTAINER = {"type": "container_reference", "container_id": "cntr_1"}
PLAIN = {"type": "object", "properties": {}}
DOCUMENT = {"type": "document", "title": "Toll roads", "context": "of 1790"}
EXPLAINED = {"type": "refusal", "category": "cyber", "explanation": "That would break in."}


def said(source: Protocol, body: dict[str, Any]) -> dict[str, Any]:
    """A request with the least that it needs."""
    least: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
    return {**({"input": "Hi"} if source == "responses" else least), **body}


def of_user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize("target", ["chat", "messages"])
@pytest.mark.parametrize("environment", [SHELL["environment"], CONTAINER])
def test_a_shell_in_a_container_of_the_provider_is_no_tool_of_the_client(target: Protocol, environment: Any) -> None:
    body, losses = translated(
        "responses", target, said("responses", {"tools": [{**SHELL, "environment": environment}]})
    )
    assert "tools" not in body and lost(losses) == ["tools.code_execution"]


@pytest.mark.parametrize("target", ["chat", "messages"])
def test_a_local_shell_is_one_and_its_skills_are_told(target: Protocol) -> None:
    skills = [{"name": "pdf", "description": "Reads PDFs.", "path": "/skills/pdf"}]
    tool = {"type": "shell", "environment": {"type": "local", "skills": skills}}
    body, losses = translated("responses", target, said("responses", {"tools": [tool]}))
    assert len(body["tools"]) == 1 and lost(losses) == ["other"]


@pytest.mark.parametrize("target", ["chat", "responses"])
def test_the_title_and_context_of_a_text_are_said_with_it(target: Protocol) -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "Pay here."}
    body, losses = translated("messages", target, said("messages", of_user({**DOCUMENT, "source": text})))
    assert "Toll roads\\n\\nof 1790\\n\\nPay here." in json.dumps(body) and not losses


@pytest.mark.parametrize("target", ["chat", "responses"])
def test_a_document_may_be_words_or_blocks(target: Protocol) -> None:
    words = {"type": "document", "source": {"type": "content", "content": "Pay here."}}
    body, losses = translated("messages", target, said("messages", of_user(words)))
    assert "Pay here." in json.dumps(body) and not losses
    picture = {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}}
    pictured = {
        "type": "document",
        "source": {"type": "content", "content": [picture, {"type": "text", "text": "Pay"}]},
    }
    assert lost(translated("messages", target, said("messages", of_user(pictured)))[1]) == ["pictures"]


HI = [{"role": "user", "content": "Hi"}]


def called_by(caller: str) -> list[dict[str, Any]]:
    """A call of a tool that this one made, and its result."""
    call = {"type": "tool_use", "id": "call_1", "name": "f", "input": {}, "caller": {"type": caller}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "x"}
    return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


def shortened(summary: str, **members: Any) -> dict[str, Any]:
    """A turn with what Anthropic made of the conversation before it."""
    return {"role": "assistant", "content": [{"type": "compaction", "content": summary, **members}]}


LOST: list[tuple[Protocol, Protocol, dict[str, Any], list[str]]] = [
    ("messages", "chat", of_user({**DOCUMENT, "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}), ["other"]),
    ("messages", "chat", {"output_config": {"task_budget": {"type": "tokens", "total": 9000}}}, ["other"]),
    ("messages", "chat", {"tools": [{"name": "f", "input_schema": PLAIN, "input_examples": [{}]}]}, ["other"]),
    ("messages", "responses", {"tools": [{"name": "f", "input_schema": PLAIN, "defer_loading": True}]}, ["other"]),
    ("messages", "chat", {"tools": [{"name": "f", "input_schema": PLAIN, "allowed_callers": ["direct"]}]}, []),
    ("messages", "chat", {"tools": [{"name": "f", "input_schema": PLAIN, "allowed_callers": ["code_execution_20250825"]}]}, ["other"]),
    ("responses", "chat", {"tools": [{"type": "function", "name": "f", "parameters": PLAIN, "output_schema": PLAIN}]}, ["other"]),
    ("messages", "chat", {"tools": [{"name": "f", "input_schema": PLAIN, "eager_input_streaming": True}]}, []),
    ("messages", "chat", {"thinking": {"type": "adaptive", "block_binding": {"mode": "strict"}}}, ["thinking"]),
    ("messages", "chat", {"output_config": {"unheard_of": 1}}, ["other"]),
    ("messages", "responses", {"messages": [{"role": "system", "content": "Be kind.", "clear_at": "turn_end"}, *HI]}, ["other"]),
    ("messages", "responses", {"messages": [*HI, *called_by("direct")]}, []),
    ("messages", "responses", {"messages": [*HI, *called_by("code_execution_20250825")]}, ["other"]),
    ("responses", "messages", {"input": [{"role": "assistant", "content": "A", "phase": "commentary"}, *HI]}, ["other"]),
    ("responses", "messages", {"input": [{"type": "message", "id": "msg_1", "status": "completed", **HI[0]}]}, []),
    ("responses", "chat", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi", "unheard_of": 1}]}]}, ["other"]),
    ("responses", "chat", {"tools": [{"type": "custom", "name": "f", "defer_loading": True}]}, ["other"]),
    ("chat", "messages", {"messages": [*HI, {"role": "assistant", "content": "A", "prefix": True}, *HI]}, ["other"]),
    ("chat", "messages", {"reasoning": {"effort": "low", "unheard_of": 1}}, ["reasoning"]),
    ("chat", "messages", {"tools": [{"type": "function", "function": {"name": "f"}, "defer_loading": True}]}, ["other"]),
    ("messages", "chat", {"metadata": {"user_id": "u", "team": "blue"}}, ["metadata"]),
    ("responses", "messages", {"tools": [{"type": "web_search", "search_context_size": "low"}]}, ["tools.web_search"]),
    ("responses", "messages", {"input": [{"type": "file_search_call", "id": "fs_1", "queries": ["x"], "status": "completed"}, *HI]}, ["input_items"]),
    ("messages", "chat", {"messages": [*HI, {"role": "assistant", "content": [{"type": "mcp_tool_use", "id": "m", "name": "f", "input": {}, "server_name": "s"}]}, *HI]}, ["input_items"]),
    ("messages", "chat", {"messages": [*HI, shortened("So far."), *HI]}, []),
    ("messages", "chat", {"messages": [*HI, shortened("So far.", encrypted_content="gAAA"), *HI]}, ["other"]),
    ("messages", "chat", {"messages": [*HI, shortened("So far.", tool_changes=[{"type": "tool_removal"}]), *HI]}, ["other"]),
    ("responses", "messages", {"reasoning": {"mode": "pro"}}, ["reasoning"]),
    ("responses", "chat", {"reasoning": {"context": "all_turns"}}, ["reasoning"]),
    ("responses", "chat", {"reasoning": {"context": "auto", "mode": "standard"}}, []),
    ("chat", "responses", of_user({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}), ["cache_control"]),
    ("chat", "messages", of_user({"type": "text", "text": "Hi", "prompt_cache_breakpoint": {**MARK, "ttl": "12h"}}), ["cache_control"]),
    ("chat", "messages", {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}]}, ["prefill"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "body", "due"), LOST)
def test_what_has_no_place_is_told(source: Protocol, target: Protocol, body: dict[str, Any], due: list[str]) -> None:
    assert lost(translated(source, target, said(source, body))[1]) == due


def test_an_effort_that_a_model_does_not_take_is_told() -> None:
    for model, due in (("gpt-4o", ["reasoning"]), ("gpt-5-mini", [])):
        asked = said("messages", {"output_config": {"effort": "low"}})
        assert lost(translated("messages", "chat", asked, model=model)[1]) == due


@pytest.mark.parametrize(
    ("thinking", "due"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}),
        ({"type": "disabled"}, {"type": "disabled"}),
        ({"type": "auto"}, None),
        (None, None),
    ],
)
def test_thinking_in_chat_is_asked_for_as_anthropic_has_it(thinking: Any, due: Any) -> None:
    asked = said("chat", {"thinking": thinking, "max_tokens": 9000})
    assert translated("chat", "messages", asked, model="claude-sonnet-4-5")[0].get("thinking") == due


def test_the_end_of_a_prefix_to_keep_is_marked_as_each_has_it() -> None:
    part = {"type": "text", "text": "Hi", "prompt_cache_breakpoint": MARK}
    body, losses = translated("chat", "messages", said("chat", of_user(part)))
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"} and not losses
    body, losses = translated("chat", "responses", said("chat", of_user(part)))
    assert body["input"][0]["content"][0]["prompt_cache_breakpoint"] == MARK and not losses
    asked = {"input": [{"role": "user", "content": [{**part, "type": "input_text"}]}]}
    body, losses = translated("responses", "messages", asked)
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"} and not losses
    assert lost(translated("responses", "chat", asked)[1]) == ["cache_control"]


def test_the_description_of_a_schema_is_said() -> None:
    shape = {**PLAIN, "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "toll", "description": "One toll.", "schema": shape}}
    body, _ = translated("chat", "messages", said("chat", {"response_format": wanted}))
    assert body["output_config"]["format"]["schema"]["description"] == "One toll."


@pytest.mark.parametrize("target", ["chat", "responses"])
def test_why_claude_declined_is_told(target: Protocol) -> None:
    whole = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": "refusal", "stop_sequence": None, "stop_details": EXPLAINED,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }  # fmt: skip
    reply = read_whole(target, bridge("messages", target).whole(json.dumps(whole).encode()))
    events = [*message()[:2], {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": EXPLAINED}}]
    streamed = events_of(passed(bridge("messages", target), stream_of("messages", [*events, {"type": "message_stop"}])))
    if target == "chat":
        assert reply["choices"][0]["message"]["refusal"] == "That would break in."
        assert reply["choices"][0]["finish_reason"] == "content_filter"
        assert (
            "".join(c["delta"].get("refusal") or "" for e in streamed for c in e["choices"]) == "That would break in."
        )
    else:
        part = {"type": "refusal", "refusal": "That would break in."}
        assert reply["output"][0]["content"] == streamed[-1]["response"]["output"][0]["content"] == [part]
        assert reply["incomplete_details"] == {"reason": "content_filter"}


def test_a_refusal_in_words_is_why_a_message_stopped() -> None:
    events = [chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk({}, "stop")]
    assert (
        read_stream("messages", passed(bridge("chat", "messages"), stream_of("chat", events)))["stop_reason"]
        == "refusal"
    )
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "refusal": "No."}, "finish_reason": "stop"}
    reply = read_whole("messages", bridge("chat", "messages").whole(json.dumps({"choices": [choice]}).encode()))
    assert (reply["content"][0]["text"], reply["stop_reason"]) == ("No.", "refusal")


def test_citations_of_files_are_told_to_be_lost_in_streams_as_well() -> None:
    cited = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 3}
    one = bridge("responses", "chat")
    passed(
        one,
        stream_of(
            "responses",
            [
                {"type": "response.created", "response": {}},
                {"type": "response.output_text.annotation.added", "annotation": cited},
            ],
        ),
    )
    assert lost(one.losses) == ["citations"]
    one = bridge("chat", "messages")
    passed(
        one,
        stream_of("chat", [chunk({"content": "a", "annotations": [{"type": "file", "file": {}}]}), chunk({}, "stop")]),
    )
    assert lost(one.losses) == ["citations"]


@pytest.mark.parametrize("target", ["responses", "messages"])
@pytest.mark.parametrize(("tier", "due"), [("flex", "flex"), ("on_demand", None), (7, None)])
def test_a_tier_that_openai_does_not_have_is_not_told(target: Protocol, tier: Any, due: str | None) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "service_tier": tier}).encode()
    events = [chunk({"content": "Hi"}, service_tier=tier), chunk({}, "stop", service_tier=tier)]
    streamed = read_stream(target, passed(bridge("chat", target), stream_of("chat", events)))
    for reply in (read_whole(target, bridge("chat", target).whole(body)), streamed):
        assert reply.get("service_tier") == (due if target == "responses" else None)


def test_citations_lead_to_the_words_that_are_cited() -> None:
    """Anthropic tells them before the words; both others by the place of those."""
    cited = {"type": "web_search_result_location", "url": "https://a.example/", "title": "A", "cited_text": "q"}
    note = {"type": "citations_delta", "citation": {**cited, "encrypted_index": "x"}}
    words = ["It is ", "2°C ", "in Köln."]
    events = [block(at, {"type": "text", "text": ""}, *[note][: at % 2], spoken(text)) for at, text in enumerate(words)]
    content = [{"type": "text", "text": text, "citations": [cited][: at % 2]} for at, text in enumerate(words)]
    whole = {"model": "m", "content": content, "stop_reason": "end_turn", "usage": {"input_tokens": 1}}
    streamed = stream_of("messages", message(*events))
    for reply in (read_stream("chat", passed(bridge("messages", "chat"), streamed)), whole_of("chat", whole)):
        told = reply["choices"][0]["message"]
        place = told["annotations"][0]["url_citation"]
        assert told["content"][place["start_index"] : place["end_index"]] == "2°C "
    for reply in (
        read_stream("responses", passed(bridge("messages", "responses"), streamed)),
        whole_of("responses", whole),
    ):
        parts = [part for part in reply["output"][0]["content"] if part.get("annotations")]
        place = parts[0]["annotations"][0]
        assert parts[0]["text"][place.get("start_index", 0) : place["end_index"]] == "2°C "


def spoken(text: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": text}


def whole_of(target: Protocol, body: dict[str, Any]) -> Any:
    return read_whole(target, bridge("messages", target).whole(json.dumps(body).encode()))


def test_words_of_an_assistant_are_said_to_responses_as_strict_servers_take_them() -> None:
    """Azure wants `annotations` with its parts, vLLM their ids as well; a text alone is taken by all."""
    parts = [{"type": "text", "text": "It is "}, {"type": "text", "text": "2°C."}]
    asked = {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": parts},
            {"role": "user", "content": "?"},
        ]
    }
    body, _ = translated("messages", "responses", asked)
    assert body["input"][1] == {"type": "message", "role": "assistant", "content": "It is 2°C."}
    declined = {"role": "assistant", "content": "Well.", "refusal": "No."}
    body, _ = translated("chat", "responses", {"messages": [{"role": "user", "content": "Hi"}, declined]})
    assert body["input"][1]["content"] == [
        {"type": "output_text", "text": "Well.", "annotations": []},
        {"type": "refusal", "refusal": "No."},
    ]


def test_the_pieces_of_a_cited_sentence_are_one_and_other_words_are_not() -> None:
    pieces = [{"type": "text", "text": "The toll is "}, {"type": "text", "text": "two pence", "citations": []}]
    searched = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    rest = {"type": "text", "text": "Anything else?"}
    asked = {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "text", "text": "Why?"}]}
    answered = {"role": "assistant", "content": [*pieces, searched, rest]}
    body, _ = translated("messages", "chat", {"messages": [asked, answered, *HI]})
    assert [one["content"] for one in body["messages"][:2]] == ["What?\nWhy?", "The toll is two pence\nAnything else?"]


THOUGHTS = {
    "content": ([], [{"type": "reasoning_text", "text": "I think."}]),
    "summary": ([{"type": "summary_text", "text": "I think."}], None),
}


@pytest.mark.parametrize("sealed", [None, "gAAA"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("member", THOUGHTS)
@pytest.mark.parametrize("target", ["chat", "messages"])
def test_thoughts_go_back_in_the_member_that_they_came_in(
    target: Protocol, member: str, streamed: bool, sealed: str | None
) -> None:
    summary, content = THOUGHTS[member]
    item = {"id": "rs_1", "type": "reasoning", "summary": summary, "content": content, "encrypted_content": sealed}
    item = {name: value for name, value in item.items() if value is not None}
    words = {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}
    response = {"id": "resp_1", "model": "gpt-oss", "status": "completed", "output": [item, words]}
    way = bridge("responses", target)
    if streamed:
        kind = "reasoning_text" if member == "content" else "reasoning_summary_text"
        events = [
            {"type": "response.created", "response": {**response, "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "summary": [], "content": []}},
            {"type": f"response.{kind}.delta", "output_index": 0, "item_id": "rs_1", "delta": "I think."},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ]
        told = read_stream(target, way.feed(stream_of("responses", events)) + way.finish())
    else:
        told = read_whole(target, way.whole(json.dumps(response).encode()))
    before = told["choices"][0]["message"] if target == "chat" else {"role": "assistant", "content": told["content"]}
    body, losses = translated(target, "responses", said(target, {"messages": [*HI, before, *HI]}))
    assert body["input"][1] == item and not losses


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_repeats_its_request(streamed: bool) -> None:
    labels = {"instructions": "Be brief.", "metadata": {"ticket": "17"}, "temperature": 0.5, "max_output_tokens": 99}
    asked = {"input": "Hi", **labels, "text": {"verbosity": "low"}, "tools": [SHELL], "user": None}
    way = bridge("chat", "responses", asked)
    if streamed:
        told = [chunk({"content": "Hello"}), chunk({}, "stop")]
        stream = way.feed(stream_of("chat", told)) + way.finish()
        begun = events_of(stream)[0]["response"]
        answer = read_stream("responses", stream)
        assert {name: begun[name] for name in labels} == labels
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        answer = read_whole("responses", way.whole(json.dumps({"model": "m", "choices": [choice]}).encode()))
    assert {name: answer[name] for name in labels} == labels
    assert answer["text"] == {"format": {"type": "text"}, "verbosity": "low"} and "user" not in answer
