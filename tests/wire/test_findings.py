"""What a reply says of itself, on every endpoint and however it is spelled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings
from proxy.wire.usage import Usage


def seen(*events: bytes, shape: Shape = "chat") -> Findings:
    findings = Findings(shape)
    for event in events:
        findings.see(event)
    return findings


USAGE = b'"usage":{"prompt_tokens":17,"completion_tokens":12,"cost":4.25e-06}'
COUNTED = Usage(input_tokens=17, output_tokens=12, cost_usd=Decimal("0.00000425"))
FIRST = (
    b'{"id":"gen-1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
)
HI = b'{"id":"gen-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}'
STOP = b'{"id":"gen-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
DONE = b"[DONE]"

USAGE_SHAPES = [
    ("no choices", b'{"choices":[],' + USAGE + b"}", True),
    ("choices absent", b"{" + USAGE + b"}", True),
    ("choices null", b'{"choices":null,' + USAGE + b"}", True),
    ("a dummy delta", b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],' + USAGE + b"}", False),
    ("the finish reason again", b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"service_tier":"x",' + USAGE + b"}", False),
]  # fmt: skip


@pytest.mark.parametrize(("event", "alone"), [row[1:] for row in USAGE_SHAPES], ids=[row[0] for row in USAGE_SHAPES])
def test_usage_is_found_in_every_shape_of_its_chunk(event: bytes, alone: bool) -> None:
    findings = seen(FIRST, HI, STOP, event)
    assert findings.usage == COUNTED
    assert findings.usage_only is alone
    assert findings.complete
    findings.see(DONE)
    assert findings.usage == COUNTED
    assert not findings.usage_only
    assert findings.events == 5


NOT_THE_USAGE_EVENT = [
    b'{"choices":[],"usage":null,"prompt_filter_results":[]}',
    b'{"choices":[],"usage":7}',
    b'{"choices":[],"usage":[1]}',
    b'{"choices":[]}',
    b'{"choices":[],"error":{"code":502},"usage":{"prompt_tokens":1}}',
    b'{"error":"text","usage":null}',
    DONE,
    b"not json",
]


@pytest.mark.parametrize("event", NOT_THE_USAGE_EVENT)
def test_nothing_else_is_taken_for_the_usage_event(event: bytes) -> None:
    assert not seen(event).usage_only


MERGED = [
    ("null erases nothing", [b'{"usage":{"prompt_tokens":5}}', b'{"usage":null}'], (5, 0)),
    ("a null member erases nothing", [b'{"usage":{"prompt_tokens":5}}', b'{"usage":{"prompt_tokens":null}}'], (5, 0)),
    ("zeros first", [b'{"usage":{"prompt_tokens":0,"completion_tokens":0}}'] * 3 + [b"{" + USAGE + b"}"], (17, 12)),
    ("cumulative", [b'{"usage":{"prompt_tokens":9,"completion_tokens":%d}}' % n for n in (1, 2, 3)], (9, 3)),
    ("no numbers at all", [b'{"usage":5}', b'{"usage":{"prompt_tokens":5}}', b'{"usage":[]}'], (5, 0)),
]


@pytest.mark.parametrize(("events", "counts"), [row[1:] for row in MERGED], ids=[row[0] for row in MERGED])
def test_the_last_usage_wins_and_nothing_is_summed(events: list[bytes], counts: tuple[int, int]) -> None:
    usage = seen(*events).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == counts


@pytest.mark.parametrize("event", [HI, b'{"usage":{}}', b'{"usage":"x"}', b"{}", DONE])
def test_where_there_is_no_usage_there_is_none(event: bytes) -> None:
    assert seen(event).usage is None


START = b"""{"type":"message_start","message":{"id":"msg_1","model":"claude","content":[],"usage":
  {"input_tokens":12,"cache_creation_input_tokens":3,"cache_read_input_tokens":5,"output_tokens":2}}}"""
DELTA = b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":6}}'
FULL_DELTA = b"""{"type":"message_delta","usage":
  {"input_tokens":13,"cache_creation_input_tokens":4,"cache_read_input_tokens":6,"output_tokens":7}}"""


def test_the_usage_of_messages_is_merged_not_added() -> None:
    findings = seen(START, DELTA, b'{"type":"message_stop"}', shape="messages")
    assert findings.usage == Usage(input_tokens=20, output_tokens=6, cached_tokens=5, cache_write_tokens=3)
    assert (findings.generation_id, findings.served_model) == ("msg_1", "claude")
    findings = seen(START, FULL_DELTA, shape="messages")
    assert findings.usage == Usage(input_tokens=23, output_tokens=7, cached_tokens=6, cache_write_tokens=4)


@pytest.mark.parametrize(
    ("events", "uncounted"),
    [
        ([START], True),
        ([START, DELTA], False),
        ([START, b'{"type":"message_delta","usage":{"output_tokens":null}}'], True),
    ],
)
def test_what_a_message_counts_at_its_start_is_not_the_whole(events: list[bytes], uncounted: bool) -> None:
    usage = seen(*events, shape="messages").usage
    assert usage is not None
    assert usage.uncounted is uncounted


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_the_usage_of_responses_stands_in_the_last_event(kind: str) -> None:
    event = (
        '{"type":"response.%s","response":{"id":"resp_1","model":"gpt","usage":{"input_tokens":3,"output_tokens":4}}}'
    )
    findings = seen(
        b'{"type":"response.created","response":{"id":"resp_1","usage":null}}',
        b'{"type":"response.output_text.delta","delta":"text"}',
        shape="responses",
    )
    assert not findings.complete
    findings.see((event % kind).encode())
    assert findings.complete
    assert findings.usage == Usage(input_tokens=3, output_tokens=4)
    assert (findings.generation_id, findings.served_model) == ("resp_1", "gpt")


COMPLETE = [
    ("chat", [], False),
    ("chat", [FIRST, HI], False),
    ("chat", [FIRST, HI, STOP], True),
    ("chat", [HI, DONE], True),
    ("chat", [DONE, b"garbage after the end"], True),
    ("chat", [b'[DONE] '], True),
    ("chat", [STOP, HI], True),
    ("chat", [b'{"error":{"message":"x"}}'], True),
    ("chat", [b'{"choices":[{"index":0,"finish_reason":""}]}'], False),
    ("chat", [b'{"choices":[{"index":0},{"index":1}]}', b'{"choices":[{"index":1,"finish_reason":"stop"}]}'], False),
    ("chat", [b'{"choices":[{"index":0},{"index":1}]}', b'{"choices":[{"index":1,"finish_reason":"stop"}]}', STOP], True),
    ("chat", [b'{"choices":[{"delta":{}}]}', b'{"choices":[{"finish_reason":"length"}]}'], True),
    ("chat", [b'{"choices":[{"index":null}]}', b'{"choices":[{"index":"x","finish_reason":"length"}]}'], True),
    ("completions", [b'{"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}'], True),
    ("completions", [b'{"choices":[{"index":0,"text":"a","finish_reason":null}]}'], False),
    ("messages", [START, DELTA], False),
    ("messages", [START, DELTA, b'{"type":"message_stop"}'], True),
    ("messages", [b'{"type":"error","error":{"type":"overloaded_error"}}'], True),
    ("messages", [STOP], False),
    ("responses", [STOP], False),
    ("responses", [b'{"type":"response.completed"}'], True),
    ("responses", [b'{"type":["response.completed"]}'], False),
    ("other", [], True),
    ("other", [HI], True),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "events", "complete"), COMPLETE)
def test_whether_a_stream_that_ends_here_has_said_all(shape: Shape, events: list[bytes], complete: bool) -> None:
    assert seen(*events, shape=shape).complete is complete


@pytest.mark.parametrize(
    ("events", "identity"),
    [
        ([FIRST, b'{"id":"gen-2","model":"n","provider":"Groq"}'], ("gen-1", "n", "Groq")),
        ([b'{"id":null,"model":null,"provider":null}'], (None, None, None)),
        ([b'{"id":7,"model":[],"provider":{}}'], (None, None, None)),
        ([b'{"response":{"id":"resp_1","model":"m"}}'], ("resp_1", "m", None)),
        ([b'{"message":"text","response":5}'], (None, None, None)),
        ([b'{"message":{"id":5,"usage":"x"}}'], (None, None, None)),
    ],
)
def test_who_served_is_remembered(events: list[bytes], identity: tuple[Any, ...]) -> None:
    findings = seen(*events)
    assert (findings.generation_id, findings.served_model, findings.served_by) == identity


CUT_EMOJI = [
    b'{"id":"gen \\ud83d","choices":[{"finish_reason":"stop"}],' + USAGE + b"}",
    b'{"model":"\\ud83d","choices":[{"finish_reason":"stop"}],' + USAGE + b"}",
    b'{"model":"\\ud83d","provider":"\\\\ud and \\ud83d\\ude00","choices":[{"finish_reason":"stop"}],' + USAGE + b"}",
    b'{"provider":"\\ud83d","choices":[{"index":"\\ud83d","finish_reason":"\\ud83d"}],' + USAGE + b"}",
    b'{"choices":[{"delta":{"content":"\\ud83d"},"finish_reason":"stop"}],' + USAGE + b"}",
    b'{"\\ud83d":"\\ud83d","choices":[{"finish_reason":"stop"}],' + USAGE + b"}",
]


@pytest.mark.parametrize("event", CUT_EMOJI)
def test_half_an_emoji_costs_neither_usage_nor_the_end(event: bytes) -> None:
    findings = seen(event)
    assert findings.usage == COUNTED
    assert findings.complete


def test_half_an_emoji_in_usage_or_error_is_read_all_the_same() -> None:
    findings = seen(
        b'{"error":{"code":429,"message":"\\ud83d"},"usage":{"note":"\\ud83d","prompt_tokens":1,"cost":0.1}}'
    )
    assert findings.error_status == 429
    assert findings.usage == Usage(input_tokens=1, cost_usd=Decimal("0.1"), uncounted=True)


UNREADABLE = [
    b"",
    b"not json",
    b"[]",
    b'"id"',
    b"5",
    b"null",
    b"{",
    b"\xff",
    b'{"id":"\xff"}',
    b'{"choices":[null]}',
    b'{"choices":[[]]}',
    b'{"type":{}}',
    b'{"usage":' + b"[" * 100_000,
    b'{"usage":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"usage":{"prompt_tokens":' + b"9" * 5000 + b"}}",
    b'{"error":' + b"9" * 5000 + b"}",
    b'{"id":"\\ud83d","seed":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("event", UNREADABLE)
def test_what_cannot_be_read_is_passed_over(event: bytes) -> None:
    findings = seen(event)
    assert findings.events == 1
    assert findings.usage is None
    assert not findings.failed
    assert not findings.complete


@pytest.mark.parametrize("choices", [b"null", b"[]", b'{"a":1}', b'"x"', b"7"])
def test_choices_of_another_shape_hide_nothing_else(choices: bytes) -> None:
    findings = seen(b'{"choices":' + choices + b"," + USAGE + b"}")
    assert findings.usage == COUNTED
    assert not findings.has_output


fragments = st.sampled_from(
    [b'{"type":', b'{"id":', b'{"choices":[', b'{"error":', b'{"usage":{"cost":', b'"\\ud83d"', b"1e99999999999999999999",
     b"NaN", b"-1", b'"x"', b"{}", b"[]", b"null", b"}", b"]", b",", b'"message":', b'"response":', b"\xff"]
)  # fmt: skip


@given(st.binary(max_size=40) | st.lists(fragments, max_size=6).map(b"".join), st.sampled_from(["chat", "messages"]))
def test_no_bytes_of_a_provider_raise(data: bytes, shape: Shape) -> None:
    findings = seen(data, data, shape=shape)
    assert findings.events == 2
    assert 400 <= findings.error_status <= 599
    assert findings.usage is None or findings.usage.input_tokens >= 0
    assert findings.failed in (True, False)


TERMS: list[tuple[str, Shape, list[bytes], dict[str, str]]] = [
    ("chat", "chat", [b'{"choices":[],"service_tier":"priority"}'], {"service_tier": "priority"}),
    ("the last one counts", "chat", [b'{"service_tier":"auto"}', b'{"service_tier":"flex"}'], {"service_tier": "flex"}),
    ("null erases nothing", "chat", [b'{"service_tier":"flex"}', b'{"service_tier":null}'], {"service_tier": "flex"}),
    ("no text", "chat", [b'{"service_tier":7}'], {}),
    ("none", "chat", [HI], {}),
    ("a whole response", "responses", [b'{"object":"response","service_tier":"flex"}'], {"service_tier": "flex"}),
    ("a streamed response", "responses", [b'{"type":"response.created","response":{"service_tier":"auto"}}',
                                          b'{"type":"response.completed","response":{"service_tier":"priority"}}'], {"service_tier": "priority"}),
    ("a whole message", "messages", [b'{"type":"message","usage":{"service_tier":"standard","speed":"fast"}}'], {"service_tier": "standard", "speed": "fast"}),
    ("a streamed message", "messages", [b'{"type":"message_start","message":{"usage":{"speed":"fast"}}}', DELTA], {"speed": "fast"}),
    ("no text in usage", "messages", [b'{"usage":{"service_tier":["x"],"speed":1}}'], {}),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "events", "terms"), [row[1:] for row in TERMS], ids=[row[0] for row in TERMS])
def test_a_reply_says_at_which_tier_it_was_served(shape: Shape, events: list[bytes], terms: dict[str, str]) -> None:
    assert dict(seen(*events, shape=shape).terms) == terms


def test_choices_beyond_any_number_a_provider_takes_are_counted_as_one() -> None:
    """A set that grows with every index would be copied with every choice."""
    findings = Findings("chat")
    choices = b",".join(b'{"index":%d,"delta":{"content":"x"}}' % index for index in range(-5, 5_000))
    findings.see(b'{"choices":[' + choices + b"]}")
    assert len(findings._open) <= 128
    assert not findings.complete
