"""The detectors against replies written for them, and what replies of each protocol say."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.quality.detectors import flags_of
from proxy.policy.quality.reading import said_in, wanted_of
from proxy.policy.quality.values import FLAGS, Said, Wanted, Watch
from proxy.wire.call import read_call
from proxy.wire.endpoints import MODEL_ROWS

PAGE = Path(__file__).parents[2] / "docs" / "use-cases.md"
REPLIES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "quality_replies.yaml").read_text())


def found(reply: dict[str, Any]) -> tuple[str, ...]:
    said = Said(
        reply["text"] * reply.get("times", 1),
        reply.get("finish", "stop"),
        arguments=tuple(reply.get("arguments", ())),
        total_seconds=reply.get("seconds"),
    )
    watch = Watch(slow=reply.get("slow"), short=reply.get("short"), language=reply.get("language"))
    return flags_of(said, watch, Wanted(reply.get("json", False), reply.get("schema")))


def rates() -> str:
    """The table of the page: what each detector finds of what is there, and what it takes for it."""
    there, hits, false = Counter[str](), Counter[str](), Counter[str]()
    for reply in REPLIES:
        given_flags = set(found(reply))
        there.update(reply["flags"])
        hits.update(given_flags & set(reply["flags"]))
        false.update(given_flags - set(reply["flags"]))
    lines = ["| flag | replies that have it | found | false alarms among the others |", "|---|---|---|---|"]
    for flag in FLAGS:
        lines.append(f"| `{flag}` | {there[flag]} | {hits[flag]} | {false[flag]} of {len(REPLIES) - there[flag]} |")
    return "\n".join(lines) + "\n"


def test_the_page_has_the_rates_of_the_labelled_set() -> None:
    page = PAGE.read_text()
    start = page.index("| flag | replies that have it |")
    end = page.index("\n\n", start) + 1
    if "WRITE_EXAMPLES" in os.environ:
        PAGE.write_text(page[:start] + rates() + page[end:])
    else:
        assert page[start:end] == rates()


def test_of_what_is_wrong_nearly_all_is_found_and_few_are_accused() -> None:
    wrong = [(flag, reply) for reply in REPLIES for flag in reply["flags"]]
    missed = [reply["text"][:60] for flag, reply in wrong if flag not in found(reply)]
    accused = [(reply["text"][:60], flag) for reply in REPLIES for flag in found(reply) if flag not in reply["flags"]]
    assert len(missed) <= len(wrong) // 12, missed
    assert len(accused) <= len(REPLIES) // 20, accused


@given(st.text(), st.sampled_from(["stop", "length", "tools", "refusal", "unknown"]), st.lists(st.text(), max_size=2))
def test_whatever_a_reply_is_the_detectors_answer(text: str, finish: Any, arguments: list[str]) -> None:
    watch = Watch(slow=1, short=5, language="en")
    said = Said(text, finish, arguments=tuple(arguments), total_seconds=2.0)
    assert "slow" in flags_of(said, watch, Wanted(True, {"type": "object", "$ref": "#/a"}))


def events(*values: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


SPOKEN = [
    ({"choices": [{"message": {"content": "Hi", "tool_calls": [{"function": {"arguments": "{}"}}]}, "finish_reason": "tool_calls"}]}, None, Said("Hi", "tools", arguments=("{}",))),
    ({"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}, None, Said("", "stop", refuses=True)),
    ({"content": [{"type": "text", "text": "Hi"}, {"type": "tool_use", "input": {"a": 1}}], "stop_reason": "max_tokens"}, None, Said("Hi", "length", arguments=('{"a":1}',))),
    ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}, {"type": "refusal"}]}], "status": "completed"}, None, Said("Hi", "stop", refuses=True)),
    ({"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, None, Said("", "length")),
    (None, [{"choices": [{"delta": {"content": "H"}}]}, {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}]},
            {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}, "finish_reason": "tool_calls"}]}],
     Said("H", "tools", arguments=("{}",))),
    (None, [{"type": "content_block_delta", "index": 0, "delta": {"text": "Hi"}}, {"type": "content_block_delta", "index": 1, "delta": {"partial_json": "{}"}},
            {"type": "message_delta", "delta": {"stop_reason": "refusal"}}], Said("Hi", "refusal", arguments=("{}",))),
    (None, [{"type": "response.output_text.delta", "delta": "Hi"}, {"type": "response.refusal.delta", "delta": "N"},
            {"type": "response.function_call_arguments.done", "item_id": "i", "arguments": "{}"},
            {"type": "response.completed", "response": {"status": "completed"}}], Said("Hi", "stop", refuses=True, arguments=("{}",))),
]  # fmt: skip


@pytest.mark.parametrize(("whole", "streamed", "said"), SPOKEN)
def test_what_is_said_is_read_in_every_protocol(whole: Any, streamed: Any, said: Said) -> None:
    if streamed is None:
        assert said_in(json.dumps(whole).encode(), is_events=False) == said
    else:
        assert said_in(events(*streamed) + b"data: [DONE]\n\n", is_events=True) == said


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"choices":[7]}', b'{"content":"x"}', b'{"output":{"a":[]}}'])
def test_what_is_no_reply_says_nothing(body: bytes) -> None:
    assert said_in(body, is_events=False).text == "" and said_in(body + b"\n\n", is_events=True).text == ""


@pytest.mark.parametrize(
    ("path", "members", "wanted"),
    [
        ("/chat/completions", {"response_format": {"type": "json_object"}}, Wanted(True)),
        (
            "/chat/completions",
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
            Wanted(True, {"type": "object"}),
        ),
        (
            "/responses",
            {"text": {"format": {"type": "json_schema", "schema": {"type": "array"}}}},
            Wanted(True, {"type": "array"}),
        ),
        ("/chat/completions", {"response_format": {"type": "text"}}, Wanted()),
        ("/messages", {}, Wanted()),
    ],
)
def test_what_a_request_wants(path: str, members: dict[str, Any], wanted: Wanted) -> None:
    body = json.dumps({"model": "m", **members}).encode()
    assert wanted_of(read_call(MODEL_ROWS[path], "POST", (path, ""), ("application/json", body))) == wanted
