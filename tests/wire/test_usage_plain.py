"""The short way to read a usage says the same as the careful one, or nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.wire.events import read_value
from proxy.wire.usage import read_usage
from proxy.wire.usage_plain import read_plain

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
