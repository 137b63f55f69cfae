"""Models that draw, as OpenRouter has them: the lists of /images/models, what it refuses of a request, and what pictures cost.

What is drawn is scripted in the prompt: `mock: fewer` makes one picture less than was asked for, `mock: refuse` breaks the
content policy, `mock: words` answers in words, `mock: bytes 8000000` makes pictures of that size.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from proxy.data import images_bytes
from proxy.mock.envelopes import Failure
from proxy.policy.images.catalogue import ImageModel, Parameter
from proxy.policy.images.feed import read_images
from proxy.policy.images.pricing import price_of
from proxy.policy.money.pictures import picture_of, picture_tokens, spread_of

_DATA = json.loads(images_bytes())
# What the images API takes of every model beside what its list says of each.
_ALWAYS = frozenset({"model", "prompt", "provider", "stream", "size", "user"})
_BYTES = re.compile(r"mock: bytes (\d{1,9})")
_LARGEST = 64 * 2**20
_NONE = Parameter("range", least=0, most=0)
_ONE = Parameter("range", least=1, most=1)


@cache
def _models() -> dict[str, ImageModel]:
    return {model.id: model for model in read_images(images_bytes()).models}


def image_models() -> dict[str, Any]:
    """The reply of `GET /images/models`."""
    return {"data": [_entry(row) for row in _DATA["data"]]}


def image_endpoints(name: str) -> dict[str, Any]:
    """The reply of `GET /images/models/{author}/{slug}/endpoints`; of a model nobody lists, none."""
    found = next((row for row in _DATA["data"] if row["id"] == name), None)
    return {"id": name, "endpoints": [] if found is None else found["endpoints"]}


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    parameters = {name: value for one in row["endpoints"] for name, value in one["supported_parameters"].items()}
    return {
        "id": row["id"],
        "name": row["name"],
        "architecture": row["architecture"],
        "supported_parameters": parameters,
        "supports_streaming": any(one["supports_streaming"] for one in row["endpoints"]),
        "endpoints": f"/api/v1/images/models/{row['id']}/endpoints",
    }


# recorded drawing by this API, and in no list that is shipped
_RECORDED = frozenset({"google/gemini-3.1-flash-lite-image"})


def streams_pictures(name: str) -> bool:
    """Whether it shows pictures in the making; the others ignore that they are to, and reply whole."""
    model = _models().get(name)
    return model is None or model.streams


def refused_pictures(path: str, fields: Mapping[str, Any]) -> Failure | None:
    """What OpenRouter says to a request for pictures that it does not take: paths of OpenAI's, models that draw nothing by this
    API, parameters a model has not."""
    if not path.endswith("/images"):
        return Failure(404, "Not Found")
    name = str(fields.get("model"))
    model = _models().get(name)
    if model is None or model.in_chat:
        return None if "mock/" in name or name in _RECORDED else Failure(404, f"No endpoints found for {name[:100]}.")
    parameters = model.endpoints[0].parameters
    for key, value in fields.items():
        known = parameters.get(key, _ONE if key == "n" else _NONE if key == "input_references" else None)
        if key in _ALWAYS or value is None:
            continue
        if known is None:
            return Failure(400, f"Parameter '{key}' is not supported by {name}")
        given = len(value) if key == "input_references" and isinstance(value, list) else value
        if not known.allows(given):
            return Failure(400, f"Invalid value for '{key}': expected {known.allowed()}")
    return None


def refused_modalities(fields: Mapping[str, Any]) -> Failure | None:
    """Models that put out pictures alone are not to be asked for text."""
    model, asked = _models().get(str(fields.get("model"))), fields.get("modalities")
    outputs = model.outputs if model is not None else ("image",) if "mock/sketch" in str(fields.get("model")) else None
    if outputs is None or not isinstance(asked, list) or set(asked) <= set(outputs):
        return None
    wanted = ", ".join(map(str, asked))
    return Failure(404, f"No endpoints found that support the requested output modalities: {wanted}")


def refused_prompt(prompt: str) -> Failure | None:
    """Content nobody draws."""
    if "mock: refuse" not in prompt:
        return None
    return Failure(400, "The prompt was blocked by our content policy.", "content_policy_violation")


def drawn(asked: int, prompt: str) -> int:
    """How many pictures come of those that were asked for."""
    return max(0, asked - 1) if "mock: fewer" in prompt else asked


def picture(prompt: str, pixel: str) -> str:
    """The picture, in base64: a pixel, or as many bytes as the prompt wants."""
    found = _BYTES.search(prompt)
    if found is None:
        return pixel
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(min(int(found[1]), _LARGEST))).decode()


def picture_usd(fields: Mapping[str, Any]) -> Decimal | None:
    """What one picture of a real model costs; None of any other."""
    name = str(fields.get("model"))
    model = _models().get(name)
    price = None if model is None else price_of(model, None)
    spread = None if price is None else spread_of(price, picture_of(fields), name, picture_tokens(fields))
    return None if spread is None else spread.expected
