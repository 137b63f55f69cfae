"""What models that draw take, what a picture of theirs costs, and amounts in a unit of one's own."""

from __future__ import annotations

import json
from decimal import Decimal as D
from typing import Any

import pytest

from proxy.data import images_bytes
from proxy.policy.images.catalogue import Endpoint, ImageModel, Parameter
from proxy.policy.images.feed import accept_images, read_images
from proxy.policy.images.fitting import Fitted, Problem, fit
from proxy.policy.images.pricing import price_of
from proxy.policy.money.credits import Credits, with_credits
from proxy.policy.money.pictures import Picture, by_picture, picture_of, spread_of
from proxy.policy.money.prices import PictureLine, Price
from proxy.policy.money.settlement import Ending, Prices, settle
from proxy.translate.images.image_request import ImageRequest

SHIPPED = read_images(images_bytes())
GEMINI, GPT, SEEDREAM = "google/gemini-3.1-flash-image", "openai/gpt-image-1", "bytedance-seed/seedream-4.5"
PIXELS = ImageModel("m", "m", endpoints=(Endpoint("h", {"size": Parameter("enum", ("1024x1024", "1344x768"))}),))


def fitted(name: str, *, n: int = 1, references: int = 0, **members: Any) -> Fitted | Problem:
    model = SHIPPED.get(name) or PIXELS
    return fit(ImageRequest("generations", name, "x", n, members, ("",) * references), model)


TAKEN = [
    (GEMINI, {"size": "1536x1024"}, {"aspect_ratio": "3:2", "resolution": "1K"}),
    (GEMINI, {"size": "3840x2160"}, {"aspect_ratio": "16:9", "resolution": "4K"}),
    (GEMINI, {"size": "1344x768"}, {"aspect_ratio": "16:9", "resolution": "1K"}),
    (GEMINI, {"size": "2k", "aspect_ratio": "21:9"}, {"aspect_ratio": "21:9", "resolution": "2K"}),
    (GPT, {"size": "1024x1024", "user": "u"}, {"aspect_ratio": "1:1", "user": "u"}),
    (GPT, {"moderation": "low"}, {"provider": {"options": {"openai": {"moderation": "low"}}}}),
    (SEEDREAM, {"seed": 0}, {"seed": 0}),
    ("pixels", {"aspect_ratio": "16:9"}, {"size": "1344x768"}),
    ("pixels", {"size": "1024x1024"}, {"size": "1024x1024"}),
]


@pytest.mark.parametrize(("name", "members", "due"), TAKEN)
def test_what_is_taken_is_said_as_the_model_takes_it(name: str, members: dict[str, Any], due: dict[str, Any]) -> None:
    found = fitted(name, **members)
    assert isinstance(found, Fitted) and found.members == due


REFUSED = [
    (GPT, {"size": "1792x1024"}, "size", "shape"),
    (GPT, {"size": "4096x4096"}, "size", "shape"),
    (GPT, {"size": "2K"}, "size", "shape"),
    (GPT, {"size": "big"}, "size", "shape"),
    (GPT, {"size": 1024}, "size", "shape"),
    (GPT, {"resolution": "2K"}, "resolution", "shape"),
    (SEEDREAM, {"aspect_ratio": "7:1"}, "aspect_ratio", "shape"),
    (SEEDREAM, {"size": "1024x1024", "aspect_ratio": "16:9"}, "size", "shape"),
    (SEEDREAM, {"quality": "high"}, "quality", "value"),
    (SEEDREAM, {"seed": "x"}, "seed", "value"),
    (SEEDREAM, {"n": 11}, "n", "value"),
    (SEEDREAM, {"references": 15}, "input_references", "value"),
    ("pixels", {"size": "512x512"}, "size", "shape"),
    ("pixels", {"aspect_ratio": "21:9"}, "aspect_ratio", "shape"),
]


@pytest.mark.parametrize(("name", "members", "param", "of"), REFUSED)
def test_what_is_not_taken_is_named(name: str, members: dict[str, Any], param: str, of: str) -> None:
    found = fitted(name, **members)
    assert isinstance(found, Problem) and (found.param, found.of) == (param, of)


def test_any_host_that_takes_it_will_do() -> None:
    hosts = tuple(
        Endpoint(slug, {"resolution": Parameter("enum", (tier,))}) for slug, tier in (("a", "1K"), ("b", "4K"))
    )
    model = ImageModel("m", "m", endpoints=hosts)
    asked = ImageRequest("generations", "m", "x", members={"resolution": "4K"})
    assert isinstance(fit(asked, model), Fitted)
    assert isinstance(
        fit(ImageRequest("generations", "m", "x", members=asked.members, provider={"only": ["a"]}), model), Problem
    )


LINES = (PictureLine("image", D("0.045")), PictureLine("image", D("0.09"), "high_resolution"))
TIERS = tuple(PictureLine("image", D(usd), tier) for usd, tier in (("0.05", "1k"), ("0.07", "2k"), ("0.1", "hd_2k")))
BY_PICTURE = [
    (LINES, {}, ("0.045", "0.045", "0.09")),
    (LINES, {"size": "2K"}, ("0.09", "0.09", "0.09")),
    (LINES, {"resolution": "1K"}, ("0.045", "0.045", "0.045")),
    (TIERS, {}, ("0.05", "0.05", "0.1")),
    (TIERS, {"size": "2048x2048", "quality": "hd"}, ("0.07", "0.07", "0.1")),
    ((PictureLine("megapixel", D("0.03")),), {"size": "1000x1000"}, ("0.03", "0.03", "0.06")),
    ((PictureLine("megapixel", D("0.03")),), {}, ("0.03145728", "0.03145728", "0.15")),
]


@pytest.mark.parametrize(("lines", "members", "due"), BY_PICTURE)
def test_a_picture_by_its_price(lines: tuple[PictureLine, ...], members: dict[str, str], due: tuple[str, ...]) -> None:
    found = by_picture(Price(D(0), D(0), picture_lines=lines), picture_of(members))
    assert found is not None and (found.low, found.expected, found.high) == tuple(map(D, due))


@pytest.mark.parametrize(
    ("model", "picture", "tokens"),
    [
        (GPT, Picture("high", "1K"), 4_160),
        (GPT, Picture("medium", "1K", pixels=1024 * 1536), 1_584),
        ("google/gemini-3-pro-image", Picture("", "4K"), 2_000),
        ("who/knows", Picture(), 1_300),
    ],
)
def test_a_picture_by_its_tokens(model: str, picture: Picture, tokens: int) -> None:
    found = spread_of(Price(D(0), D(0), image_output_usd=D("0.00001")), picture, model, 9_000)
    assert found is not None and (found.expected, found.high) == (tokens * D("0.00001"), D("0.09"))


def test_a_model_costs_the_dearest_of_its_hosts() -> None:
    price = price_of(SHIPPED.get("qwen/qwen-image-3"), None)  # type: ignore[arg-type]
    assert price is not None and price.makes_images and price.image_usd == D("0.003")
    assert {line.usd for line in price.picture_lines} == {D("0.03")}
    assert price_of(ImageModel("m", "m"), None) is None


@pytest.mark.parametrize(("came", "cost"), [(3, 90), (2, 60), (0, 90), (4, 90)])
def test_what_came_is_charged_where_nothing_is_told(came: int, cost: int) -> None:
    price = Price(D(0), D(0), picture_lines=LINES)
    ending = Ending(status=200, makes_images=True, pictures=came, copies=3)
    assert settle(ending, Prices(price), 90).cost_pusd == cost


def test_the_shipped_list_is_one() -> None:
    data = json.loads(images_bytes())
    assert data["source"]["read"] == SHIPPED.read and data["source"]["pages"]
    assert len(SHIPPED.models) == len(data["data"]) + len(data["chat"])
    assert all(price_of(model, None) for model in SHIPPED.models if not model.in_chat)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": []}', b'{"data": [{"id": 1}]}', b'{"data": 3}', b"\xff"]
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="list of models that draw"):
        read_images(body)


def test_odd_members_of_a_list_are_left_out() -> None:
    odd = {"pricing": [{"billable": "x"}, {"billable": "output_image", "unit": "image", "cost_usd": -1}, 7]}
    parameters = {"supported_parameters": {"a": 1, "b": {"type": "new"}, "c": {"type": "range", "min": "x"}}}
    found = read_images(json.dumps({"data": [{"id": "m", "endpoints": [{**odd, **parameters}, 3]}]}).encode())
    (endpoint,) = found.models[0].endpoints
    assert endpoint.lines == () and {name: known.type for name, known in endpoint.parameters.items()} == {
        "b": "boolean",
        "c": "boolean",
    }
    assert accept_images(found, found) is None
    assert accept_images(read_images(json.dumps({"data": [{"id": f"m{n}"} for n in range(9)]}).encode()), found)


def test_credits_stand_beside_dollars() -> None:
    told = {"cost_usd": "0.012", "rows": [{"usd": "1", "left_usd": None, "calls": 3}], "name": "usd"}
    assert with_credits(told, None) is told
    assert with_credits(told, Credits(D("0.0004"))) == {
        "cost_usd": "0.012",
        "cost_credits": "30.000000",
        "rows": [{"usd": "1", "credits": "2500.000000", "left_usd": None, "left_credits": None, "calls": 3}],
        "name": "usd",
    }
    assert with_credits({"at_end_usd": {"p10": "1", "p90": None}}, Credits(D(2))) == {
        "at_end_usd": {"p10": "1", "p90": None},
        "at_end_credits": {"p10": "0.500000", "p90": None},
    }
    named = {"cost_usd": "1", "cost_source": "reported"}
    assert with_credits(named, Credits(D(2), "source")) == named, "a unit takes no other member's place"
