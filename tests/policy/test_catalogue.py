"""The shipped data, finding models in it, and feeds of every bad kind."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from proxy.data import prices_bytes, snapshot_bytes
from proxy.policy.names.catalogue import Catalogue, Model, closest, split_variant
from proxy.policy.names.feed import accept, read_feed

SNAPSHOT = read_feed(snapshot_bytes())


def prices_in(pricing: Any) -> list[str]:
    if isinstance(pricing, dict):
        return [
            price
            for key, value in pricing.items()
            if key not in ("when", "times", "min_prompt_tokens", "utc_start", "utc_end")
            for price in prices_in(value)
        ]
    if isinstance(pricing, list):
        return [price for part in pricing for price in prices_in(part)]
    return [pricing]


@pytest.mark.parametrize(
    ("data", "fewest"),
    [(snapshot_bytes(), 300), (prices_bytes("openai"), 100), (prices_bytes("anthropic"), 20)],
)
def test_shipped_data_is_complete_and_every_price_in_it_is_a_decimal(data: bytes, fewest: int) -> None:
    entries = json.loads(data)["data"]
    assert len(entries) > fewest
    for item in entries:
        prices = prices_in(item["pricing"])
        assert {"prompt", "completion"} <= item["pricing"].keys()
        assert all(isinstance(price, str) for price in prices)
        assert all(Decimal(price) >= 0 or price == "-1" for price in prices)
        assert all(Decimal(price) < 1 for price in prices)


def test_the_snapshot_is_read_whole_and_known_for_what_it_is() -> None:
    assert len(SNAPSHOT.models) == len(json.loads(snapshot_bytes())["data"])
    assert SNAPSHOT.is_snapshot
    assert {"openai", "anthropic", "google"} <= SNAPSHOT.authors


def test_vendors_prices_are_read_by_the_same_parser() -> None:
    openai = read_feed(prices_bytes("openai"))
    anthropic = read_feed(prices_bytes("anthropic"))
    assert openai.get("gpt-4o").pricing["prompt"] == "0.0000025"
    assert openai.get("whisper-1").pricing["prompt"] == "-1"
    assert openai.get("omni-moderation-latest").pricing["prompt"] == "0"
    assert anthropic.find("claude-sonnet-4-5-20250929").pricing["input_cache_write_1h"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("anthropic/claude-4.6-sonnet-20260217", "anthropic/claude-sonnet-4.6"),
        ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("openai/gpt-5-mini:nitro", "openai/gpt-5-mini"),
        ("openai/gpt-5-mini-2025-08-07:floor", "openai/gpt-5-mini"),
        ("openai/gpt-4o@preset/x", "openai/gpt-4o"),
        ("openai/gpt-4o:nitro@preset/x", "openai/gpt-4o"),
        ("~anthropic/claude-haiku-latest", "~anthropic/claude-haiku-latest"),
        ("openai/gpt-5.1-2099-01-01", "openai/gpt-5.1"),
        ("openai/gpt-5.1-20990101:nitro", "openai/gpt-5.1"),
        ("gpt-4o", "openai/gpt-4o"),
        ("gpt-4o:nitro", "openai/gpt-4o"),
        ("claude-4.5-sonnet-20250929", "anthropic/claude-sonnet-4.5"),
        ("openai/gpt-oss-20b:free", "openai/gpt-oss-20b:free"),
        ("openai/gpt-4o:3b", None),
        ("llama3.2:3b", None),
        ("@preset/x", None),
        ("openai/no-such", None),
        ("", None),
    ],
)
def test_a_model_is_found_by_each_of_its_names(name: str, found: str | None) -> None:
    model = SNAPSHOT.find(name)
    assert (model and model.id) == found


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("openai/gpt-4o:nitro", ("openai/gpt-4o", ":nitro")),
        ("llama3.2:3b", ("llama3.2:3b", "")),
        (":free", (":free", "")),
        ("a:3b:free", ("a:3b", ":free")),
        ("a", ("a", "")),
    ],
)
def test_only_openrouters_variants_are_split_off(name: str, parts: tuple[str, str]) -> None:
    assert split_variant(name) == parts


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("gpt-4o-mni", "openai/gpt-4o-mini"),
        ("openai/gpt4o", "openai/gpt-4o"),
        ("antropic/claude-sonet-4.5", "anthropic/claude-sonnet-4.5"),
        ("GEMINI-2.5-FLASH", "google/gemini-2.5-flash"),
    ],
)
def test_the_nearest_name_to_a_misspelled_one_comes_first(wrong: str, right: str) -> None:
    assert SNAPSHOT.near(wrong)[0] == right
    assert len(SNAPSHOT.near(wrong)) <= 3


@pytest.mark.parametrize("name", ["", "zzz", "/", "\ud800"])
def test_a_name_like_no_other_has_no_neighbours(name: str) -> None:
    assert SNAPSHOT.near(name) == []


def test_closest_names_come_once_and_the_shorter_first_among_equals() -> None:
    assert closest("abc", ["x/abc", "abc", "x/abc"]) == ["abc", "x/abc"]


def item(name: str, **more: object) -> dict[str, object]:
    return {"id": name, "pricing": {"prompt": "0.000001", "completion": "0.000002"}, **more}


def feed(items: list[object]) -> Catalogue:
    return read_feed(json.dumps({"data": items, "total_count": len(items), "links": {"next": None}}).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{{",
        b"null",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":{}}',
        b'{"data":[]}',
        b'{"data":[1,null,"x",[],{}]}',
        b'{"data":[{"id":1},{"id":""},{"id":"a b"},{"id":"a\\n"},{"id":null}]}',
        b'{"error":{"message":"rate limited"}}',
        b"<html>busy</html>",
        b'{"data":[{"id":"a/\xff"}]}',
        b'{"data":' + b"[" * 100_000,
        snapshot_bytes()[:-100],
    ],
)
def test_a_feed_without_models_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match="the model list"):
        read_feed(data)


def test_an_odd_entry_does_not_spoil_the_rest() -> None:
    data = b"""{"data":[
      {"id":"a/b","canonical_slug":7,"name":null,"created":"x","context_length":null,"top_provider":[],"pricing":3},
      {"id":"bad/price","pricing":{"prompt":1e99999999999999999999}},
      {"no":"id"},
      {"id":"~c/d-latest","canonical_slug":"c/d-1","name":"D","created":5,"context_length":8,"new":{"deep":[1]},
       "top_provider":{"max_completion_tokens":4},"pricing":{"prompt":0.1,"request":2,"discount":0.25,
       "completion":"0.00000008333333333333334","overrides":[{"min_prompt_tokens":200000,"prompt":"0.2"}]}},
      {"id":"e/f","context_length":true,"top_provider":{"max_completion_tokens":-1}}
    ]}"""
    catalogue = read_feed(data)
    plain, latest, limits = (catalogue.get(name) for name in ("a/b", "~c/d-latest", "e/f"))
    assert [model.id for model in catalogue.models] == ["a/b", "~c/d-latest", "e/f"]
    assert (plain.canonical_slug, plain.name, plain.created, plain.context_length) == ("a/b", "a/b", 0, None)
    assert (plain.max_output, dict(plain.pricing)) == (None, {})
    assert (latest.name, latest.created, latest.context_length, latest.max_output) == ("D", 5, 8, 4)
    assert latest.pricing["prompt"] == Decimal("0.1")
    assert latest.pricing["overrides"] == [{"min_prompt_tokens": 200000, "prompt": "0.2"}]
    assert (limits.context_length, limits.max_output) == (None, None)
    assert catalogue.get("c/d-1") is latest
    assert not catalogue.is_snapshot


def test_an_id_beats_a_permanent_slug_and_the_first_the_rest() -> None:
    catalogue = feed([item("a/x", canonical_slug="a/y"), item("a/y"), item("a/x", created=7)])
    assert catalogue.get("a/y").id == "a/y"
    assert catalogue.get("a/x").created == 0


@hypothesis_settings(max_examples=300)
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="the model list"):
        read_feed(data)


@hypothesis_settings(max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
    st.sampled_from(["canonical_slug", "name", "created", "context_length", "top_provider", "pricing"]),
)
def test_any_value_in_any_place_leaves_the_model_readable(value: object, place: str) -> None:
    catalogue = read_feed(
        json.dumps({"data": [{"id": "a/b", place: value}]}).replace("NaN", "1").replace("Infinity", "1").encode()
    )
    assert [model.id for model in catalogue.models] == ["a/b"]
    assert catalogue.near("a/b") == ["a/b"]
    assert accept(catalogue, catalogue)


def many(count: int, prompt: object = "0.000001", completion: object = "0.000002") -> list[object]:
    return [item(f"a/m{n}", pricing={"prompt": prompt, "completion": completion}) for n in range(count)]


OLD = feed(many(100))


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (many(49), "lists 49 models, fewer than 50"),
        (many(94), "lists 94 models where the last one listed 100"),
        (many(100, "0.001"), "100 of 100 prices"),
        (many(100, "0.000000001"), "100 of 100 prices"),
        (many(100, "0", "0"), "no price above zero"),
        (many(100, "-1", "-1"), "no price above zero"),
        (many(100, -5, -5), "no price above zero"),
        (many(100, "free", "NaN"), "no price above zero"),
        (many(100, "Infinity", "1e400"), "100 of 100 prices"),
        (many(100, None, True), "no price above zero"),
        (many(100, completion="0"), "100 of 100 prices"),
        (many(100, completion=None), "100 of 100 prices"),
        ([*many(4, "0.001"), *many(100)[4:]], "4 of 100 prices"),
    ],
)
def test_a_bad_feed_keeps_the_old_catalogue(new: list[object], reason: str) -> None:
    assert reason in (accept(OLD, feed(new)) or "")


@pytest.mark.parametrize(
    "new",
    [
        many(100),
        many(95),
        many(300),
        many(100, 0.00001, 0.0000002),
        many(100, 0.0000001, "0.00002"),
        [*many(3, "0", "0"), *many(100)[3:]],
        [item(f"b/m{n}") for n in range(100)],
    ],
)
def test_a_feed_that_changed_as_feeds_do_replaces_the_old_one(new: list[object]) -> None:
    assert accept(OLD, feed(new)) is None


def test_the_snapshots_length_is_no_measure_for_a_feed() -> None:
    entries = json.loads(snapshot_bytes())["data"]
    assert accept(SNAPSHOT, feed(entries[:300])) is None
    assert accept(SNAPSHOT, feed(entries[:30])) is not None
    for entry in entries:
        entry["pricing"] = {"prompt": "3", "completion": "15"}
    assert "prices vanished or moved" in (accept(SNAPSHOT, feed(entries)) or "")


def test_free_and_unpriced_models_of_before_may_get_any_price() -> None:
    free = feed([*many(30, "0", "0"), *many(100)[30:]])
    assert accept(free, OLD) is None


@pytest.mark.parametrize(
    ("members", "takes", "modes"),
    [
        ({}, (), ()),
        ({"supported_parameters": ["tools", "seed", 7]}, ("tools",), ()),
        ({"supported_parameters": ["structured_outputs", "include_reasoning"]}, ("json_schema", "reasoning"), ()),
        ({"supported_parameters": "tools"}, (), ()),
        ({"architecture": {"input_modalities": ["text", "image", "file", "smell"]}}, ("pictures", "files"), ()),
        ({"architecture": {"output_modalities": ["image", "text"]}}, (), ("chat", "image")),
        ({"architecture": ["image"]}, (), ()),
        ({"pricing": {"input_cache_read": "0.1"}}, ("prompt_caching",), ()),
    ],
)
def test_a_live_feed_says_what_a_model_takes_and_does(
    members: dict[str, Any], takes: tuple[str, ...], modes: tuple[str, ...]
) -> None:
    (model,) = read_feed(json.dumps({"data": [{"id": "a/b", **members}]}).encode()).models
    assert (model.takes, model.modes) == (takes, modes)


@pytest.mark.parametrize("entry", [{"page": 9}, {"modes": 3}, {"sources": {"p": 3}}])
def test_a_feed_that_says_it_was_shipped_is_not_believed_blindly(entry: dict[str, Any]) -> None:
    source = {"made": "2026-01-01", "packages": [{"package": "p", "version": "1"}], "pages": []}
    rows = [{"id": "a/b"}, {"id": "a/c", **entry}]
    assert [m.id for m in read_feed(json.dumps({"data": rows, "source": source}).encode()).models] == ["a/b"]


@pytest.mark.parametrize(
    ("name", "due"),
    [
        ("m", "m-2025-02-03"),
        ("m-latest", "m-2025-02-03"),
        ("m-20990101", "m-2025-02-03"),
        ("n-latest", "n"),
        ("n-0709", "n"),
        ("n-06-2025", "n"),
        ("o", "o-latest"),
        ("o-latest", "o-latest"),
        ("q-x", "q"),
        ("ft:n:org::id", "ft:n"),
        ("ft:n-2024-08-06:org::id", "ft:n"),
        ("r", None),
        ("", None),
    ],
)
def test_dates_aliases_and_latest_lead_to_the_plain_name_and_back(name: str, due: str | None) -> None:
    names = ("m-2024-01-02", "m-2025-02-03", "n", "o-latest", "ft:n")
    listed = Catalogue([*(Model(name, name, name) for name in names), Model("q", "q", "q", aliases=("q-x",))])
    found = listed.find(name)
    assert (found and found.id) == due
