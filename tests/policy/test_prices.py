"""Prices as lists spell them, and the eight worked examples of what a call comes to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data import prices_bytes, snapshot_bytes
from proxy.policy.money.costs import Cost, Extra, cost_usd, of_images
from proxy.policy.money.pricelist import completed, read_pricing
from proxy.policy.money.prices import FREE_OF_CHARGE, Override, Price, either
from proxy.policy.names.catalogue import Model
from proxy.policy.names.feed import read_feed
from proxy.wire.usage import Usage, read_usage

D = Decimal


def model(pricing: dict[str, Any], name: str = "a/b") -> Model:
    return Model(name, name, name, pricing=pricing)


def price(pricing: dict[str, Any], name: str = "a/b") -> Price:
    read = read_pricing(model({"prompt": "0.000001", "completion": "0.000002", **pricing}, name))
    assert read is not None
    return read


def usd(usage: Usage, at: Price, hhmm: int = 1200, extra: Extra | None = None) -> Decimal:
    cost = cost_usd(usage, at, hhmm, extra or Extra())
    assert cost is not None
    return cost.usd


SONNET = price(
    {
        "prompt": "0.000003",
        "completion": "0.000015",
        "input_cache_read": "0.0000003",
        "input_cache_write": "0.00000375",
        "input_cache_write_1h": "0.000006",
    },
    "anthropic/claude-sonnet-4.5",
)
GEMINI_PRO = price(
    {
        "prompt": "0.00000125",
        "completion": "0.00001",
        "input_cache_read": "0.000000125",
        "overrides": [
            {
                "min_prompt_tokens": 200_000,
                "prompt": "0.0000025",
                "completion": "0.000015",
                "input_cache_read": "0.00000025",
            }
        ],
    }
)


def test_example_1_a_cached_prompt() -> None:
    grok = price({"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.00000075"})
    usage = read_usage(
        {"prompt_tokens": 687, "completion_tokens": 254, "prompt_tokens_details": {"cached_tokens": 686}}
    )
    assert cost_usd(usage, grok, 0) == Cost(D("0.0043275"), True)


def test_example_2_a_web_search() -> None:
    mini = price({"prompt": "0.0000004", "completion": "0.0000016", "web_search": "0.01"})
    usage = read_usage({"prompt_tokens": 8174, "completion_tokens": 30, "server_tool_use": {"web_search_requests": 1}})
    assert cost_usd(usage, mini, 0) == Cost(D("0.0133176"), True)


def test_example_3_image_output() -> None:
    flash = price({"prompt": "0.0000003", "completion": "0.0000025", "image_output": "0.00003"}, "google/g-flash-image")
    usage = read_usage(
        {"prompt_tokens": 2, "completion_tokens": 1295, "completion_tokens_details": {"image_tokens": 1290}}
    )
    assert cost_usd(usage, flash, 0) == Cost(D("0.0387131"), True)


def test_example_3_without_an_image_price_is_an_estimate() -> None:
    flash = price({"prompt": "0.0000003", "completion": "0.0000025"})
    usage = Usage(input_tokens=2, output_tokens=1295, image_tokens=1290)
    assert cost_usd(usage, flash, 0) == Cost(D("0.0032381"), False)


def test_example_4_anthropic_adds_cache_traffic_to_its_input() -> None:
    usage = read_usage(
        {
            "input_tokens": 1200,
            "cache_creation_input_tokens": 6000,
            "cache_creation": {"ephemeral_5m_input_tokens": 4000, "ephemeral_1h_input_tokens": 2000},
            "cache_read_input_tokens": 50_000,
            "output_tokens": 900,
        }
    )
    assert usage.input_tokens == 57_200
    assert cost_usd(usage, SONNET, 0) == Cost(D("0.0591"), True)


@pytest.mark.parametrize(("prompt", "due"), [(250_000, "0.445"), (200_000, "0.1675"), (200_001, "0.32000250")])
def test_example_5_a_long_prompt_pays_its_tier_for_all_tokens(prompt: int, due: str) -> None:
    assert usd(Usage(prompt, 3000, cached_tokens=100_000), GEMINI_PRO) == D(due)


def test_example_6_a_picture() -> None:
    picture = price({"prompt": "0.000005", "completion": "0.00004", "image_token": "0.00001"}, "gpt-image-1")
    usage = of_images(Usage(input_tokens=50, output_tokens=1056))
    assert cost_usd(usage, picture, 0) == Cost(D("0.04249"), True)


def test_example_7_own_keys_pay_both_bills() -> None:
    usage = read_usage({"cost": D("0.95"), "is_byok": True, "cost_details": {"upstream_inference_cost": 19}})
    assert usage.cost_usd is not None and usage.byok_usd is not None
    assert usage.cost_usd + usage.byok_usd == D("19.95")


@pytest.mark.parametrize(
    ("prompt_usd", "completion_usd", "tokens", "due"),
    [("0.00000025", "0.000002", (17, 1763), "0.00353025"), ("0.000003", "0.000015", (254, 5), "0.000837")],
)
def test_example_8_small_calls(prompt_usd: str, completion_usd: str, tokens: tuple[int, int], due: str) -> None:
    assert usd(Usage(*tokens), price({"prompt": prompt_usd, "completion": completion_usd})) == D(due)


@pytest.mark.parametrize(
    "pricing",
    [
        {},
        {"prompt": "0.000001"},
        {"completion": "0.000001"},
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "-1", "completion": "0.1"},
        {"prompt": "-0.5", "completion": "0"},
        {"prompt": "cheap", "completion": "0"},
        {"prompt": "NaN", "completion": "0"},
        {"prompt": "Infinity", "completion": "0"},
        {"prompt": "1e9", "completion": "0"},
        {"prompt": "0." + "0" * 99 + "1", "completion": "0"},
        {"prompt": True, "completion": "0"},
        {"prompt": ["0"], "completion": "0"},
        {"prompt": "0", "completion": "0", "input_cache_read": "-1"},
        {"prompt": "0", "completion": "0", "request": "free"},
        {"prompt": "0", "completion": "0", "overrides": ["x"]},
        {"prompt": "0", "completion": "0", "overrides": [{"min_prompt_tokens": "many", "prompt": "1"}]},
        {"prompt": "0", "completion": "0", "overrides": [{"utc_start": True, "prompt": "1"}]},
        {"prompt": "0", "completion": "0", "overrides": [{"prompt": "-2"}]},
        {"prompt": "0", "completion": "0", "variants": ["x"]},
        {"prompt": "0", "completion": "0", "variants": [{"when": {}}]},
    ],
)
def test_a_price_that_cannot_be_believed_is_unknown(pricing: dict[str, Any]) -> None:
    assert read_pricing(model(pricing)) is None


def test_long_prices_are_exact() -> None:
    odd = price({"prompt": "0.00000008333333333333334", "completion": D("1E-7"), "discount": 0.9})
    assert odd.input_usd == D("0.00000008333333333333334")
    assert usd(Usage(10**12, 10**12), odd) == D("183333.33333333334")


def test_zero_is_a_price() -> None:
    assert usd(Usage(5, 5), FREE_OF_CHARGE) == 0
    assert read_pricing(model({"prompt": 0, "completion": "0"})) == Price(D(0), D(0))


@pytest.mark.parametrize(
    ("pricing", "per_image", "per_token"),
    [
        ({"image": "0.0000003"}, None, D("0.0000003")),
        ({"image": "0.003613"}, D("0.003613"), None),
        ({"image": "0.0000003", "image_token": "0.0000004"}, None, D("0.0000004")),
        ({"prompt": "0", "image": "0.001"}, D("0.001"), None),
    ],
)
def test_an_image_price_of_the_size_of_a_tokens_is_per_token(
    pricing: dict[str, Any], per_image: Decimal | None, per_token: Decimal | None
) -> None:
    read = price(pricing)
    assert (read.image_usd, read.image_input_usd) == (per_image, per_token)


@pytest.mark.parametrize(
    ("usage", "extra", "due"),
    [
        (Usage(100, 0, cached_tokens=40), Extra(), "100e-6"),
        (Usage(100, 0, cache_write_tokens=40), Extra(), "100e-6"),
        (Usage(100, 0, cache_write_tokens=40, cache_write_1h_tokens=60), Extra(), "100e-6"),
        (Usage(100, 0, audio_input_tokens=40), Extra(), "100e-6"),
        (Usage(100, 0, image_input_tokens=40), Extra(), "100e-6"),
        (Usage(100, 0, image_input_tokens=400), Extra(), "100e-6"),
        (Usage(10, 0, cached_tokens=40), Extra(), "40e-6"),
        (Usage(0, 10, reasoning_tokens=11), Extra(), "20e-6"),
        (Usage(0, 10, reasoning_tokens=4), Extra(), "20e-6"),
        (Usage(0, 10, audio_output_tokens=4), Extra(), "20e-6"),
        (Usage(0, 10, image_tokens=400, web_searches=3, file_searches=3), Extra(input_images=3), "20e-6"),
    ],
)
def test_absent_prices_fall_back_and_parts_are_cut_to_the_whole(usage: Usage, extra: Extra, due: str) -> None:
    assert usd(usage, price({}), extra=extra) == D(due)


@pytest.mark.parametrize(
    ("usage", "extra", "due"),
    [
        (Usage(100, 0, audio_input_tokens=40), Extra(), "100e-6"),
        (Usage(0, 10, reasoning_tokens=4), Extra(), "52e-6"),
        (Usage(0, 10, reasoning_tokens=11), Extra(), "100e-6"),
        (Usage(0, 10, audio_output_tokens=4), Extra(), "32e-6"),
        (Usage(), Extra(input_images=2), "2.0"),
        (Usage(file_searches=2), Extra(), "0.006"),
        (Usage(), Extra(characters=7), "0.0007"),
    ],
)
def test_every_unit_has_its_price(usage: Usage, extra: Extra, due: str) -> None:
    units = {"internal_reasoning": "0.00001", "audio_output": "0.000005", "image": "1", "file_search": "0.003"}
    own = price({**units, **({"character": "0.0001"} if extra.characters else {})})
    assert usd(usage, own, extra=extra) == D(due)


def test_thoughts_at_the_price_of_output_are_not_taken_off_it_twice() -> None:
    assert usd(Usage(0, 10, reasoning_tokens=8, image_tokens=8), price({"image_output": "0.00001"})) == D("84e-6")


def test_a_request_may_cost_by_itself() -> None:
    assert usd(Usage(), price({"request": "0.005"})) == D("0.005")


@pytest.mark.parametrize(
    ("name", "pricing", "due"),
    [
        ("anthropic/claude-x", {}, "2e-6"),
        ("claude-x", {"input_cache_write": "0.00000125"}, "2e-6"),
        ("anthropic/claude-x", {"input_cache_write_1h": "0.000003"}, "3e-6"),
        ("openai/gpt-x", {"input_cache_write": "0.00000125"}, "2.5e-6"),
        ("a/b", {}, "1e-6"),
    ],
)
def test_an_hour_in_the_cache(name: str, pricing: dict[str, Any], due: str) -> None:
    assert usd(Usage(1, 0, cache_write_tokens=1, cache_write_1h_tokens=1), price(pricing, name)) == D(due)


@pytest.mark.parametrize(
    ("start", "end", "hhmm", "applies"),
    [
        (1630, 30, 1629, False),
        (1630, 30, 1630, True),
        (1630, 30, 2359, True),
        (1630, 30, 0, True),
        (1630, 30, 30, False),
        (100, 200, 100, True),
        (100, 200, 200, False),
        (100, None, 2359, True),
        (None, 200, 0, True),
        (None, 200, 300, False),
    ],
)
def test_a_price_may_hold_for_hours_of_the_day(start: int | None, end: int | None, hhmm: int, applies: bool) -> None:
    night = price({"overrides": [{"utc_start": start, "utc_end": end, "prompt": "0.0000001"}]})
    assert usd(Usage(10, 0), night, hhmm) == (D("0.000001") if applies else D("0.00001"))


def test_later_overrides_win_and_all_conditions_must_hold() -> None:
    tiers = price(
        {
            "overrides": [
                {"min_prompt_tokens": 10, "prompt": "2", "completion": "7"},
                {"min_prompt_tokens": 20, "prompt": "3"},
                {"min_prompt_tokens": 20, "utc_start": 0, "utc_end": 100, "prompt": "4"},
            ]
        }
    )
    assert [tiers.at(*case).input_usd for case in ((10, 0), (11, 0), (21, 500), (21, 99))] == [D("0.000001"), 2, 3, 4]
    assert tiers.at(21, 99).output_usd == 7


def test_an_override_nobody_understands_is_never_applied_and_makes_the_cost_an_estimate() -> None:
    odd = price({"overrides": [{"moon": "full", "prompt": "9"}]})
    assert odd.overrides == (Override((("input_usd", D(9)),), understood=False),)
    assert cost_usd(Usage(1, 0), odd, 0) == Cost(D("0.000001"), False)


def test_other_tiers_of_service_have_their_price() -> None:
    tiered = price(
        {
            "input_cache_read": "0.0000001",
            "variants": [
                {"when": {"service_tier": "default"}},
                {
                    "when": {"service_tier": "priority"},
                    "prompt": "5",
                    "overrides": [{"min_prompt_tokens": 9, "prompt": "6"}],
                },
            ],
        },
        "claude-x",
    )
    priority = tiered.under("service_tier", "priority")
    assert (priority.input_usd, priority.at(10, 0).input_usd) == (D(5), D(6))
    assert (priority.output_usd, priority.cached_input_usd) == (D("0.000002"), D("0.0000001"))
    assert priority.write_1h_usd() == 10
    assert tiered.under("service_tier", "default").input_usd == tiered.input_usd
    assert tiered.under("speed", "fast") is tiered


LONG = {"min_prompt_tokens": 100, "prompt": "4", "completion": "6"}


@pytest.mark.parametrize(
    ("variant", "tokens", "due"),
    [
        ({"when": {"service_tier": "x"}}, 100, ("0.000001", "0.000002")),
        ({"when": {"service_tier": "x"}}, 101, (4, 6)),
        ({"when": {"service_tier": "x"}, "prompt": "5"}, 101, (5, 6)),
        ({"when": {"service_tier": "x"}, "prompt": "0.5"}, 101, (4, 6)),
        ({"when": {"service_tier": "x"}, "overrides": [{"min_prompt_tokens": 100, "prompt": "2"}]}, 101, (2, 6)),
        ({"when": {"service_tier": "x"}, "overrides": [{"min_prompt_tokens": 50, "prompt": "2"}]}, 101, (4, 6)),
        ({"when": {"service_tier": "x"}, "overrides": [{"min_prompt_tokens": 50, "prompt": "2"}]}, 51, (2, "0.000002")),
    ],
)
def test_a_variant_loses_nothing_of_what_the_base_says(
    variant: dict[str, Any], tokens: int, due: tuple[object, object]
) -> None:
    found = price({"overrides": [LONG], "variants": [variant]}).under("service_tier", "x").at(tokens, 0)
    assert (found.input_usd, found.output_usd) == tuple(D(usd) for usd in due)  # type: ignore[arg-type]


def test_a_factor_moves_prices_of_tokens_in_every_tier_and_no_fees() -> None:
    found = price(
        {
            "prompt": "1",
            "completion": "3",
            "web_search": "7",
            "overrides": [{"min_prompt_tokens": 5, "prompt": "2", "web_search": "8"}],
            "variants": [{"when": {"speed": "fast"}, "prompt": "10"}],
            "factors": [{"when": {"inference_geo": "us"}, "times": "1.1"}],
            "hold": {"prompt": "4"},
        }
    )
    here = found.under("inference_geo", "us")
    assert (here.input_usd, here.output_usd, here.web_search_usd) == (D("1.1"), D("3.3"), 7)
    assert (here.at(6, 0).input_usd, here.at(6, 0).web_search_usd) == (D("2.2"), 8)
    assert here.under("speed", "fast") == found.under("speed", "fast").under("inference_geo", "us")
    assert here.under("speed", "fast").input_usd == 11
    assert here.for_holds().input_usd == D("4.4")
    assert found.under("inference_geo", "eu") is found


def test_holds_are_taken_at_the_dearer_price_and_costs_at_the_plain_one() -> None:
    found = price({"overrides": [LONG], "hold": {"prompt": "3", "overrides": [{**LONG, "prompt": "5"}]}})
    assert (found.input_usd, found.at(101, 0).input_usd) == (D("0.000001"), 4)
    dearer = found.for_holds()
    assert (dearer.input_usd, dearer.output_usd) == (3, D("0.000002"))
    assert (dearer.at(101, 0).input_usd, dearer.at(101, 0).output_usd) == (5, 6)
    assert price({}).for_holds() == price({})


@pytest.mark.parametrize(
    ("context", "due"), [("low", "0.1"), ("medium", "0.2"), ("high", "0.3"), ("unheard of", "0.2")]
)
def test_a_search_costs_by_its_context(context: str, due: str) -> None:
    listed = price({"web_search_low": "0.1", "web_search": "0.2", "web_search_high": "0.3"})
    assert listed.search_usd(context) == D(due)
    assert price({"web_search": "0.2"}).search_usd(context) == D("0.2")
    assert price({}).search_usd(context) is None


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        (("high", "1x1"), "0.4"),
        (("low", "1x1"), "0.1"),
        (("high", ""), "0.9"),
        (("auto", "auto"), "0.9"),
        (("", "1x1"), "0.4"),
        (("high", "7x7"), None),
    ],
)
def test_a_picture_costs_by_quality_and_size(asked: tuple[str, str], due: str | None) -> None:
    listed = price({"pictures": {"low/1x1": "0.1", "high/1x1": "0.4", "high/2x2": "0.9"}})
    assert listed.picture_usd(*asked) == (None if due is None else D(due))
    assert price({"pictures": {"": "0.5"}}).picture_usd(*asked) == D("0.5")


@pytest.mark.parametrize(
    ("extra", "pricing"),
    [(Extra(), {"character": "0.000015"}), (Extra(), {"audio_second": "0.0001"})],
)
def test_what_is_charged_by_units_nobody_told_has_no_cost(extra: Extra, pricing: dict[str, Any]) -> None:
    by_unit = read_pricing(model({"prompt": "-1", "completion": "-1", **pricing}, "tts-1"))
    assert by_unit is not None
    assert cost_usd(Usage(5, 5), by_unit, 0, extra) is None


def test_seconds_of_sound_have_a_price() -> None:
    whisper = read_pricing(model({"prompt": "-1", "completion": "-1", "audio_second": "0.0001"}, "whisper-1"))
    assert whisper is not None
    assert cost_usd(Usage(audio_seconds=30), whisper, 0) == Cost(D("0.003"), True)


@pytest.mark.parametrize(
    ("usage", "is_exact"),
    [
        (Usage(1, 1), True),
        (Usage(1, 1, web_searches=1), False),
        (Usage(1, 1, file_searches=1), False),
        (Usage(1, 1, code_sessions=1), False),
        (Usage(1, 1, audio_output_tokens=1), False),
    ],
)
def test_a_missing_price_makes_an_estimate(usage: Usage, is_exact: bool) -> None:
    cost = cost_usd(usage, price({}), 0)
    assert cost is not None and cost.exact is is_exact


def test_output_of_a_model_that_draws_is_an_estimate_where_images_have_no_price() -> None:
    painter = price({}, "google/gemini-flash-image")
    for usage, is_exact in ((Usage(1, 1), False), (Usage(1, 0), True)):
        cost = cost_usd(usage, painter, 0)
        assert cost is not None and cost.exact is is_exact


@pytest.mark.parametrize(
    ("usage", "own", "due"),
    [
        (Usage(0, 3, audio_seconds=30), price({}), None),  # what was heard is told in a unit that has no price
        (Usage(7, 3, audio_seconds=30), price({}), "13e-6"),
        (Usage(0, 10), Price(D(0), D("2e-6"), character_usd=D(1)), "20e-6"),
        (Usage(10, 0), Price(D("1e-6"), D(0), character_usd=D(1)), "10e-6"),
        (Usage(0, 10), Price(D(0), D(0), character_usd=D(1)), None),
    ],
)
def test_a_unit_nobody_told_matters_where_nothing_else_is_charged(usage: Usage, own: Price, due: str | None) -> None:
    assert cost_usd(usage, own, 0) == (None if due is None else Cost(D(due), True))


def test_either_takes_the_price_where_there_is_one() -> None:
    assert either(D(0), D(1)) == 0
    assert either(None, D(1)) == 1


@pytest.mark.parametrize("data", [snapshot_bytes(), prices_bytes("openai"), prices_bytes("anthropic")])
def test_every_shipped_price_is_read_or_known_to_be_unknown(data: bytes) -> None:
    unread = [m for m in read_feed(data).models if read_pricing(m) is None and m.pricing.get("prompt") != "-1"]
    assert unread == []


counts = st.integers(0, 10**9)


@given(counts, counts, counts, counts, counts, counts)
def test_a_cost_is_never_negative_and_never_raises(a: int, b: int, c: int, d: int, e: int, f: int) -> None:
    usage = Usage(a, b, cached_tokens=c, cache_write_tokens=d, reasoning_tokens=e, image_tokens=f)
    assert usd(usage, SONNET) >= 0


TOKENS = {"prompt": "1", "completion": "2"}
UNKNOWN = {"prompt": "-1", "completion": "-1"}


@pytest.mark.parametrize(
    ("own", "other", "due"),
    [
        (
            TOKENS,
            {**TOKENS, "input_cache_read": "0.1", "web_search": "5"},
            {"input_cache_read": "0.1", "web_search": "5"},
        ),
        (TOKENS, {"prompt": "3", "completion": "2", "input_cache_read": "0.1", "web_search": "5"}, {"web_search": "5"}),
        ({**TOKENS, "web_search": "4"}, {**TOKENS, "web_search": "5"}, {"web_search": "4"}),
        (TOKENS, UNKNOWN, {}),
        (TOKENS, {}, {}),
        (UNKNOWN, TOKENS, TOKENS),
        ({}, TOKENS, TOKENS),
        ({"prompt": "cheap", "completion": "1"}, TOKENS, TOKENS),
        ({**UNKNOWN, "audio_second": "0.1"}, {"prompt": "0", "completion": "0"}, {**UNKNOWN, "audio_second": "0.1"}),
        ({**UNKNOWN, "pictures": {"/": "0.1"}}, {**UNKNOWN, "page": "1"}, {"pictures": {"/": "0.1"}, "page": "1"}),
        (
            {**TOKENS, "input_cache_read": "1"},
            {**TOKENS, "hold": {"input_cache_read": "3", "audio": "4"}},
            {"hold": {"audio": "4"}},
        ),
        (TOKENS, {"prompt": "2", "completion": "2", "hold": {"audio": "4"}}, {}),
    ],
)
def test_one_list_is_completed_from_another(own: dict[str, Any], other: dict[str, Any], due: dict[str, Any]) -> None:
    assert completed(own, other) == {**own, **due}


def test_tokens_that_were_read_from_the_cache_and_written_there_are_charged_as_both() -> None:
    """Gemini's at OpenRouter, as its recorded bill has it ($0.000247013333 for the prompt); seven tokens are neither."""
    pricing = {"prompt": "0.0000003", "input_cache_read": "0.00000003", "input_cache_write": "0.0000000833333333333"}
    due = 7 * D("0.3e-6") + 2161 * (D("0.03e-6") + D("0.0833333333333e-6"))
    assert usd(Usage(2168, 0, cached_tokens=2161, cache_write_tokens=2161), price(pricing)) == due
