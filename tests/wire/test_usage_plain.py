"""The short way to read a usage says the same as the careful one, or nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from bench.payloads import small_reply
from proxy.wire.events import read_value
from proxy.wire.findings import Findings
from proxy.wire.usage import read_usage
from proxy.wire.usage_plain import read_plain, read_plain_reply

COUNTS = st.one_of(st.integers(0, 100), st.none(), st.integers(-2, 10**13), st.booleans(), st.just(Decimal("1.5")))
DETAILS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(
            ["cached_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens", "image_tokens", "text_tokens"]
            + ["cached_tokens_details", "odd"]
        ),
        COUNTS,
        max_size=3,
    ),
)
USAGES = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 20), "completion_tokens": st.integers(0, 20)},
    optional={
        "total_tokens": st.integers(0, 40),
        "cost": st.one_of(st.decimals(allow_nan=True), st.integers(-1, 2), st.none(), st.text(max_size=1)),
        "is_byok": st.booleans(),
        "prompt_tokens_details": DETAILS,
        "completion_tokens_details": DETAILS,
        "cost_details": st.just({"upstream_inference_cost": Decimal("0.1")}),
        "server_tool_use": st.just({"web_search_requests": 2}),
    },
)


def json_of(usage: dict[str, Any]) -> bytes:
    """Numbers as they were spelled; what JSON cannot say as text."""

    def number(value: Decimal) -> Any:
        return Raw(str(value).encode()) if value.is_finite() else str(value)

    return msgspec.json.encode(
        {
            name: number(value)
            if isinstance(value, Decimal)
            else {n: number(v) if isinstance(v, Decimal) else v for n, v in value.items()}
            if isinstance(value, dict)
            else value
            for name, value in usage.items()
        }
    )


@given(USAGES, st.booleans())
def test_both_ways_say_the_same(usage: dict[str, Any], adds_up: bool) -> None:
    if adds_up:
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    text = json_of(usage)
    plain, told = read_plain(text), read_value(Raw(text))
    assert plain is None or plain == read_usage({n: v for n, v in told.items() if v is not None}, counts_both=True)


@pytest.mark.parametrize(
    ("change", "is_plain"),
    [
        ({}, True),
        ({"cost": Decimal("0.0021"), "is_byok": False, "cost_details": {}}, True),
        ({"prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0}}, True),
        ({"completion_tokens_details": {"reasoning_tokens": 3}}, True),
        ({"is_byok": True}, False),
        ({"cost": "0"}, False),
        ({"total_tokens": 16}, False),
        ({"prompt_tokens": 0, "total_tokens": 5}, False),
        ({"cost": Decimal("-0.1")}, False),
        ({"cost": {"total_cost": 1}}, False),
        ({"iterations": []}, False),
    ],
)
def test_what_is_plain(change: dict[str, Any], is_plain: bool) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **change}
    assert (read_plain(json_of(usage)) is not None) is is_plain


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2),
        "finish_reason": st.sampled_from(["stop", None, 7]),
        "message": st.sampled_from([{"role": "assistant", "content": "hi"}, None]),
        "text": st.just("hi"),
        "delta": st.sampled_from([{"content": "hi"}, {}, None]),
        "logprobs": st.none(),
        "error": st.just({"code": 502}),
    },
)
REPLIES = st.fixed_dictionaries(
    {"object": st.just("chat.completion")},
    optional={
        "id": st.sampled_from(["gen-1", None, 7]),
        "model": st.sampled_from(["m", "m-search-preview", None, 7]),
        "provider": st.sampled_from(["OpenAI", None, 7]),
        "choices": st.one_of(st.none(), st.lists(CHOICES, max_size=2)),
        "service_tier": st.sampled_from(["flex", None, 7]),
        "error": st.sampled_from([{"code": 502, "message": "no"}, None]),
        "x_groq": st.just({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        "citations": st.just([]),
        "status": st.just("completed"),
    },
)


@given(REPLIES, st.one_of(st.none(), USAGES))
def test_a_whole_reply_says_the_same_read_either_way(reply: dict[str, Any], usage: dict[str, Any] | None) -> None:
    said = msgspec.json.encode(reply | ({} if usage is None else {"usage": Raw(json_of(usage))}))
    quick, careful = Findings("chat"), Findings("chat")
    quick.see_whole(said)
    careful.see(said)
    for name in (
        "usage", "terms", "generation_id", "served_model", "served_by", "has_output", "events", "error", "failed", "broke",
        "terminal", "complete", "countable", "counted_output", "usage_only", "said_nothing", "called",
    ):  # fmt: skip
        assert getattr(quick, name) == getattr(careful, name), name


def test_what_openrouter_sends_is_read_the_short_way() -> None:
    assert read_plain_reply(small_reply()) is not None
