"""Usage in its three spellings, and the lies a provider may tell in them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.endpoints import Shape
from proxy.wire.findings import Findings
from proxy.wire.usage import Usage, read_usage

COUNTS = (
    "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "image_tokens", "audio_input_tokens",
)  # fmt: skip


def usage_of(text: str) -> Usage:
    """Read a usage object as it comes off the wire."""
    findings = Findings("other")
    findings.see(b'{"usage":' + text.encode() + b"}")
    assert findings.usage is not None
    return findings.usage


SPELLINGS = [
    ("OpenRouter", """{"prompt_tokens":17,"completion_tokens":12,"total_tokens":29,"cost":2.825e-05,"is_byok":false,
      "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3,"audio_tokens":2},
      "cost_details":{"upstream_inference_cost":9},"completion_tokens_details":{"reasoning_tokens":5,"image_tokens":6}}""",
     Usage(input_tokens=17, output_tokens=12, cached_tokens=4, cache_write_tokens=3, audio_input_tokens=2,
           reasoning_tokens=5, image_tokens=6, cost_usd=Decimal("0.00002825"))),
    ("its own key", """{"prompt_tokens":1,"cost":0.95,"is_byok":true,"cost_details":{"upstream_inference_cost":19}}""",
     Usage(input_tokens=1, cost_usd=Decimal("0.95"), byok_usd=Decimal(19))),
    ("its own key, no details", """{"cost":0.95,"is_byok":true,"cost_details":null}""", Usage(cost_usd=Decimal("0.95"))),
    ("Responses", """{"input_tokens":20,"output_tokens":30,"input_tokens_details":{"cached_tokens":8},
      "output_tokens_details":{"reasoning_tokens":9},"cost":1}""",
     Usage(input_tokens=20, output_tokens=30, cached_tokens=8, reasoning_tokens=9, cost_usd=Decimal(1))),
    ("Anthropic", """{"input_tokens":12,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,
      "output_tokens":7,"cache_creation":{"ephemeral_1h_input_tokens":40},
      "output_tokens_details":{"thinking_tokens":3}}""",
     Usage(input_tokens=1112, output_tokens=7, cached_tokens=1000, cache_write_tokens=100, cache_write_1h_tokens=40,
           reasoning_tokens=3)),
    ("Anthropic, written only", """{"input_tokens":12,"cache_creation_input_tokens":5,"output_tokens":7,"cost":2,
      "is_byok":true,"cost_details":{"upstream_inference_cost":0.5},"cache_creation":{"ephemeral_1h_input_tokens":9}}""",
     Usage(input_tokens=17, output_tokens=7, cache_write_tokens=5, cache_write_1h_tokens=5, cost_usd=Decimal(2),
           byok_usd=Decimal("0.5"))),
    ("Anthropic without a cache", '{"input_tokens":12,"output_tokens":7}', Usage(input_tokens=12, output_tokens=7)),
    ("totals beside Anthropic's names", '{"prompt_tokens":100,"completion_tokens":5,"cache_read_input_tokens":50}',
     Usage(input_tokens=100, output_tokens=5)),
    ("embeddings", '{"prompt_tokens":8,"total_tokens":8}', Usage(input_tokens=8)),
    ("Ollama", '{"prompt_tokens":8,"completion_tokens":9,"total_tokens":17}', Usage(input_tokens=8, output_tokens=9)),
    ("seconds of audio", '{"type":"duration","seconds":7}', Usage(audio_seconds=7)),
    ("a cached reply", '{"prompt_tokens":0,"completion_tokens":0,"cost":0}', Usage(cost_usd=Decimal(0))),
    ("no cost", '{"prompt_tokens":1,"cost":null}', Usage(input_tokens=1)),
    ("details of another shape", '{"prompt_tokens":1,"prompt_tokens_details":[1],"completion_tokens_details":"x"}',
     Usage(input_tokens=1)),
    ("more reasoning than output", '{"completion_tokens":10,"prompt_tokens":1,"completion_tokens_details":{"reasoning_tokens":11}}',
     Usage(input_tokens=1, output_tokens=10, reasoning_tokens=11)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in SPELLINGS], ids=[row[0] for row in SPELLINGS])
def test_every_spelling_is_read(text: str, expected: Usage) -> None:
    assert usage_of(text) == expected


BOTH = [
    ('{"prompt_tokens":1,"completion_tokens":2}', False),
    ('{"prompt_tokens":0,"completion_tokens":0}', False),
    ('{"input_tokens":1,"output_tokens":2}', False),
    ('{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3}', False),
    ('{"prompt_tokens":1}', True),
    ('{"prompt_tokens":1,"completion_tokens":null}', True),
    ('{"completion_tokens":1,"total_tokens":1}', True),
    ('{"completion_tokens":1,"total_tokens":4}', False),
    ('{"total_tokens":0}', True),
    ('{"total_tokens":30}', True),
    ('{"cost":1}', True),
    ('{"output_tokens":2,"cache_read_input_tokens":3}', True),
]


@pytest.mark.parametrize(("text", "uncounted"), BOTH)
@pytest.mark.parametrize("shape", ["chat", "completions", "responses", "messages"])
def test_a_reply_that_does_not_tell_both_counts_is_uncounted(text: str, uncounted: bool, shape: Shape) -> None:
    findings = Findings(shape)
    findings.see(b'{"usage":' + text.encode() + b"}")
    assert findings.usage is not None
    assert findings.usage.uncounted is uncounted
    assert not usage_of(text).uncounted


COUNT_LIES = [
    ("null", 0, None),
    ("0", 0, None),
    ("7", 7, None),
    ("7.0", 7, None),
    ("7e2", 700, None),
    ("1000000000000", 10**12, None),
    ("1000000000001", 0, "absurd"),
    ("1e308", 0, "absurd"),
    ("1e400", 0, "absurd"),
    ("-1", 0, "negative"),
    ("-0.5", 0, "negative"),
    ("true", 0, "not_a_number"),
    ("false", 0, "not_a_number"),
    ('"7"', 0, "not_a_number"),
    ("[]", 0, "not_a_number"),
    ("{}", 0, "not_a_number"),
    ("NaN", 0, "not_a_number"),
    ("-Infinity", 0, "not_a_number"),
    ("1e99999999999999999999", 0, "not_a_number"),
]


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize(("text", "count", "doubt"), COUNT_LIES)
def test_a_count_is_never_negative_and_never_guessed(name: str, text: str, count: int, doubt: str | None) -> None:
    usage = usage_of(f'{{"{name}":{text},"queue_time":1}}')
    assert usage.input_tokens + usage.output_tokens == count
    assert usage.doubts == ((doubt,) if doubt else ())


COST_LIES = [
    ("null", None, None),
    ("0", "0", None),
    ("0.0", "0.0", None),
    ("4.25e-06", "0.00000425", None),
    ("6e-7", "0.0000006", None),
    ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827", None),
    ("12", "12", None),
    ("1000000", "1000000", None),
    ("1000000.01", None, "absurd"),
    ("1e308", None, "absurd"),
    ("1e99999999999999999999", None, "absurd"),
    ("-0.01", None, "negative"),
    ("-1e99", None, "negative"),
    ('"0.5"', None, "not_a_number"),
    ("true", None, "not_a_number"),
    ("[1]", None, "not_a_number"),
    ("NaN", None, "not_a_number"),
    ("Infinity", None, "not_a_number"),
]


@pytest.mark.parametrize(("text", "cost", "doubt"), COST_LIES)
@pytest.mark.parametrize("spelling", ['"prompt_tokens":3', '"input_tokens":3,"cache_read_input_tokens":0'])
def test_a_cost_is_exact_or_not_believed(text: str, cost: str | None, doubt: str | None, spelling: str) -> None:
    usage = usage_of(f'{{{spelling},"cost":{text},"queue_time":1}}')
    assert usage.input_tokens == 3
    assert usage.cost_usd == (None if cost is None else Decimal(cost))
    assert usage.doubts == ((doubt,) if doubt else ())


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
def test_an_amount_that_is_not_finite_is_not_believed(amount: Decimal) -> None:
    usage = read_usage({"prompt_tokens": amount, "cost": amount})
    assert (usage.input_tokens, usage.cost_usd) == (0, None)
    assert len(usage.doubts) == 2


@pytest.mark.parametrize("flag", ["false", "null", "1", '"true"', "[]"])
def test_only_json_true_says_that_the_account_brings_its_own_key(flag: str) -> None:
    text = '{"is_byok":' + flag + ',"cost":1,"cost_details":{"upstream_inference_cost":19}}'
    assert usage_of(text).byok_usd is None


numbers = st.decimals(allow_nan=False) | st.just(Decimal("NaN"))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["cached_tokens", "upstream_inference_cost", "reasoning_tokens"]), inner)
    ),
    max_leaves=4,
)
members = st.sampled_from(
    ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cost", "is_byok", "cost_details",
     "prompt_tokens_details", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"]
)  # fmt: skip


@given(st.dictionaries(members, anything))
def test_whatever_is_sent_no_count_is_negative(usage: dict[str, Any]) -> None:
    read = msgspec.structs.asdict(read_usage(usage))
    assert all(isinstance(read[name], int) and read[name] >= 0 for name in COUNTS)
    for name in ("cost_usd", "byok_usd"):
        assert read[name] is None or (read[name].is_finite() and read[name] >= 0)
