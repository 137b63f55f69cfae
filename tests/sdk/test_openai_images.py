"""Pictures through OpenRouter, asked for with the official SDK, before the strict mock."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import openai
import pytest
from harness.daemon import Daemon
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS

from proxy.policy.images.feed import read_images

KEY, OTHER = "sk-painter", "sk-other"
PNG = b"\x89PNG"
FLUX, SEEDREAM, GPT = "black-forest-labs/flux.2-pro", "bytedance-seed/seedream-4.5", "openai/gpt-image-1"
# drawn in chat only, by models that put out nothing else, and by models that write as well
LISTED = {
    "data": [{"id": "mock/unlisted", "architecture": {"output_modalities": ["image"]}, "endpoints": []}],
    "chat": [
        {"id": "mock/sketch", "architecture": {"output_modalities": ["image"]}},
        {"id": "openai/gpt-5-image", "architecture": {"output_modalities": ["image", "text"]}},
    ],
}


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with Mock() as running:
        yield running


@pytest.fixture(scope="module")
def daemon(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One with the shipped list, whose keys have budgets."""
    config = {
        "providers": {"openrouter": mock.provider()},
        "catalogue": {"refresh": "never"},
        "keys": {
            "painter": {"key": KEY, "budgets": [{"usd": 100, "per": "total"}]},
            "other": {"key": OTHER},
            "poor": {"key": "sk-poor", "budgets": [{"usd": "0.05", "per": "total"}]},
        },
        "models": {"pictures": {"target": "openai/gpt-4o", "fallbacks": [SEEDREAM]}},
        "retries": {"first_wait": 0.01},
    }
    with Daemon(config, tmp_path_factory.mktemp("images"), key=KEY) as running:
        yield running
        assert running.stop() == 0, running.output


@pytest.fixture
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=daemon.url, api_key=KEY, max_retries=0) as made:
        yield made


def drawn(made: openai.types.ImagesResponse) -> list[bytes]:
    return [base64.b64decode(picture.b64_json or "") for picture in made.data or []]


def test_a_picture_of_a_model_of_openrouters(client: openai.OpenAI, daemon: Daemon) -> None:
    raw = client.images.with_raw_response.generate(model=SEEDREAM, prompt="a toll house", n=2, size="1536x1024")
    made = raw.parse()
    assert [picture[:4] for picture in drawn(made)] == [PNG, PNG]
    assert made.usage is not None and made.usage.input_tokens > 0 and made.output_format == "png"
    assert raw.headers["x-tollkeeper-cost-usd"] == "0.080000000000"
    adjusted = "protocol=images/generations>images, aspect_ratio=3:2, resolution=1K"
    assert raw.headers["x-tollkeeper-adjusted"] == adjusted
    line = daemon.wait_for_log(lambda line: line.get("adjusted") == adjusted.split(", "))
    assert (line["endpoint"], line["cost_usd"], line["cost_source"]) == (
        "images/generations",
        "0.080000000000",
        "reported",
    )


def test_pictures_are_edited_and_varied(client: openai.OpenAI) -> None:
    picture = ("house.png", PNG + b"\r\n\x1a\n", "image/png")
    assert drawn(client.images.edit(model=GPT, image=[picture, picture], prompt="at night", quality="low"))
    with pytest.deprecated_call():
        assert len(drawn(client.images.create_variation(model=GPT, image=picture, n=2))) == 2


REFUSED = [
    (GPT, {"size": "1792x1024"}, "invalid_dimensions", "size", "3:2"),
    (FLUX, {"extra_body": {"resolution": "2K"}}, "invalid_dimensions", "resolution", "aspect_ratio"),
    (SEEDREAM, {"extra_body": {"aspect_ratio": "7:1"}}, "invalid_dimensions", "aspect_ratio", "16:9"),
    (FLUX, {"quality": "high"}, "invalid_value", "quality", "does not take"),
    (FLUX, {"n": 2}, "invalid_value", "n", "must be 1"),
    (FLUX, {"output_format": "webp"}, "invalid_value", "output_format", "png or jpeg"),
    (FLUX, {"extra_body": {"seed": "x"}}, "invalid_value", "seed", "whole number"),
    (GPT, {"background": "green"}, "invalid_value", "background", "transparent"),
    (GPT, {"extra_body": {"negative_prompt": "rain"}}, "invalid_value", "negative_prompt", "does not take"),
    (GPT, {"response_format": "png"}, "invalid_value", "response_format", "b64_json"),
    ("openai/gpt-4o", {}, "unsupported_model", "model", "draws no pictures"),
]


@pytest.mark.parametrize(("model", "asked", "code", "param", "word"), REFUSED)
def test_what_a_model_does_not_draw_is_refused_before_anything_is_sent(
    client: openai.OpenAI, mock: Mock, model: str, asked: dict[str, object], code: str, param: str, word: str
) -> None:
    before = len(mock.bill())
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model=model, prompt="a cat", **asked)  # type: ignore[call-overload]
    assert (refused.value.code, refused.value.param) == (code, param)
    assert word in refused.value.message
    assert len(mock.bill()) == before


def test_a_model_that_draws_nothing_has_a_fallback_that_does(client: openai.OpenAI) -> None:
    assert drawn(client.images.generate(model="pictures", prompt="a cat"))


def test_fewer_pictures_than_asked_cost_what_came(client: openai.OpenAI) -> None:
    raw = client.images.with_raw_response.generate(model=SEEDREAM, prompt="mock: fewer", n=3)
    assert len(drawn(raw.parse())) == 2
    assert raw.headers["x-tollkeeper-cost-usd"] == "0.080000000000"


def test_what_the_provider_will_not_draw_is_an_invalid_prompt(client: openai.OpenAI, mock: Mock) -> None:
    before = len(mock.bill())
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model=FLUX, prompt="mock: refuse")
    assert (refused.value.code, refused.value.param) == ("invalid_prompt", "content_policy_violation")
    assert len(mock.bill()) == before + 1


def test_models_that_draw_in_chat_are_asked_there(client: openai.OpenAI, daemon: Daemon) -> None:
    client = client.with_options(api_key=OTHER)  # no list says what its pictures cost
    made = client.images.generate(model="openai/gpt-5-image", prompt="a cat", size="1024x1024")
    assert drawn(made)[0].startswith(PNG)
    line = daemon.wait_for_log(lambda line: "protocol=images/generations>chat" in line.get("adjusted", ()))
    assert line["cost_source"] == "reported"
    with pytest.raises(openai.APIStatusError) as failed:
        client.images.generate(model="openai/gpt-5-image", prompt="mock: words")
    assert (failed.value.status_code, failed.value.code) == (502, "upstream_bad_response")
    assert "in words" in failed.value.message


def test_a_budget_holds_the_most_it_may_cost(daemon: Daemon) -> None:
    with openai.OpenAI(base_url=daemon.url, api_key="sk-poor", max_retries=0) as poor:
        with pytest.raises(openai.APIStatusError) as refused:
            poor.images.generate(model=SEEDREAM, prompt="a cat", n=2)
        assert (refused.value.status_code, refused.value.code) == (402, "budget_exceeded")
        assert drawn(poor.images.generate(model=SEEDREAM, prompt="a cat"))


def test_pictures_in_the_making_are_streamed(client: openai.OpenAI) -> None:
    events = list(client.images.generate(model=GPT, prompt="a cat", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
    done = events[-1]
    assert done.type == "image_generation.completed" and done.usage.output_tokens > 0
    assert base64.b64decode(done.b64_json).startswith(PNG)
    only = list(client.images.generate(model=GPT, prompt="a cat", stream=True))
    assert [event.type for event in only] == ["image_generation.completed"]
    # of a model that shows none, the picture alone
    played = list(client.images.generate(model=SEEDREAM, prompt="a cat", stream=True, partial_images=1))
    assert [event.type for event in played] == ["image_generation.completed"]


def test_a_large_picture_passes_and_costs_what_it_does(client: openai.OpenAI, daemon: Daemon) -> None:
    made = drawn(client.images.generate(model=SEEDREAM, prompt="mock: bytes 5000000 large"))
    assert len(made[0]) == 5_000_008
    streamed = list(client.images.generate(model=GPT, prompt="mock: bytes 5000000 streamed", stream=True))
    assert len(streamed[-1].b64_json) > 6_000_000
    lines = daemon.wait_for_lines(lambda line: line["endpoint"] == "images/generations" and line["output_tokens"], 2)
    assert all(line["cost_source"] == "reported" for line in lines)


def test_a_picture_by_its_address_is_there_for_its_own_key(client: openai.OpenAI, daemon: Daemon) -> None:
    made = client.images.generate(model=SEEDREAM, prompt="mock: bytes 300000", n=2, response_format="url")
    assert [picture.b64_json for picture in made.data or []] == [None, None]
    addresses = [picture.url or "" for picture in made.data or []]
    root = daemon.url.removesuffix("/v1")
    assert all(address.startswith(f"{root}/tollkeeper/results/req_") for address in addresses)
    path = addresses[1].removeprefix(root)
    found = daemon.ask("GET", path, [("Authorization", f"Bearer {KEY}")])
    assert (found.status, found.header("content-type"), len(found.body)) == (200, "image/png", 300_008)
    stranger = daemon.ask("GET", path, [("Authorization", f"Bearer {OTHER}")])
    assert (stranger.status, json.loads(stranger.body)["error"]["code"]) == (404, "not_found")
    nowhere = daemon.ask("GET", "/tollkeeper/nothing", [("Authorization", f"Bearer {KEY}")])
    assert (nowhere.status, json.loads(nowhere.body)["error"]["code"]) == (404, "unknown_endpoint")


def estimated(daemon: Daemon, **asked: object) -> dict[str, object]:
    reply = daemon.post("/tollkeeper/images/estimate", asked, [("Authorization", f"Bearer {KEY}")])
    return {"status": reply.status, **json.loads(reply.body)}


def test_what_forty_would_cost(daemon: Daemon) -> None:
    found = estimated(daemon, models=[SEEDREAM, GPT, FLUX, "openai/gpt-4o"], n=40, size="1024x1024", quality="high")
    rows = {row["model"]: row for row in found["rows"]}  # type: ignore[attr-defined]
    assert rows[SEEDREAM]["low_usd"] is None and "'quality'" in rows[SEEDREAM]["problem"]
    assert rows[GPT]["per_image_usd"] == "0.166400000000" and rows[GPT]["expected_usd"] == "6.656000000000"
    assert Decimal(rows[GPT]["high_usd"]) > 6
    (budget,) = rows[GPT]["budgets"]
    before, after = (Decimal(budget[name]) for name in ("left_usd", "left_after_usd"))
    assert before - after == Decimal(rows[GPT]["high_usd"])
    assert "draws no pictures" in rows["openai/gpt-4o"]["problem"]
    single = estimated(daemon, model=SEEDREAM, n=40)
    assert single["rows"][0]["high_usd"] == "1.600000000000"  # type: ignore[index]
    refused = estimated(daemon, model=FLUX, size="1000x300")
    assert (refused["status"], refused["error"]["code"]) == (400, "invalid_dimensions")  # type: ignore[index]


def test_the_list_of_models_that_draw_is_fetched(mock: Mock, tmp_path: Path) -> None:
    """With the records of every host, and kept for the next start."""
    with Daemon({"providers": {"openrouter": mock.provider()}}, tmp_path) as daemon:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (kept := list(tmp_path.rglob("images.json"))) and time.monotonic() < deadline:
            daemon.ask("GET", "/healthz")
        models = read_images(kept[0].read_bytes())
        assert models.read == "" and len(models.models) > 10
        assert models.get(FLUX).endpoints[0].lines[0].unit == "megapixel"  # type: ignore[union-attr]
