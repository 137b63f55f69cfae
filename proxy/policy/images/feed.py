"""Reading OpenRouter's /images/models with the records of every endpoint, the copy on disk and the shipped list alike."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

import msgspec

from proxy.policy.images.catalogue import Billable, Endpoint, ImageCatalogue, ImageModel, Line, Parameter, Unit
from proxy.policy.names.catalogue import is_name

# a list that has lost more than half of its models is none
SMALLEST_SHARE = 0.5

_FEED = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def read_images(data: bytes) -> ImageCatalogue:
    """Read a list: `data` as /images/models has it, each with its `endpoints` as a list; `chat` the models that draw only
    in chat. A ValueError says that it is none."""
    try:
        feed = _FEED.decode(data)
        rows, source = feed["data"], feed.get("source") or {}
        models = [model for row in rows if (model := _model(row, in_chat=False)) is not None]
        models += [model for row in feed.get("chat") or () if (model := _model(row, in_chat=True)) is not None]
        read = source.get("read") or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError(
            f"the list of models that draw is not what OpenRouter's /images/models answers: {problem}"
        ) from None
    if not models:
        raise ValueError("the list of models that draw names none")
    return ImageCatalogue(models, str(read))


def read_rows(body: bytes) -> list[dict[str, Any]]:
    """The entries of /images/models, as they came. A ValueError says that it is none."""
    try:
        rows = msgspec.json.decode(body)["data"]
        return [row for row in rows if isinstance(row.get("id"), str) and is_name(row["id"])]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        raise ValueError("its list of models that draw cannot be read") from None


def accept_images(old: ImageCatalogue, new: ImageCatalogue) -> str | None:
    """Why the old list is to be kept; None where the new one may take its place."""
    count, before = len(new.models), len(old.models)
    if not old.read and count < before * SMALLEST_SHARE:
        return f"it lists {count} models that draw where the last one listed {before}"
    return None


def _model(row: Any, *, in_chat: bool) -> ImageModel | None:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not is_name(row["id"]):
        return None
    told = row.get("architecture")
    built: dict[str, Any] = told if isinstance(told, dict) else {}
    endpoints = row.get("endpoints")
    return ImageModel(
        id=row["id"],
        name=row["name"] if isinstance(row.get("name"), str) else row["id"],
        inputs=tuple(_texts(built.get("input_modalities"))),
        outputs=tuple(_texts(built.get("output_modalities"))) or ("image",),
        endpoints=tuple(_endpoint(one) for one in endpoints if isinstance(one, dict))
        if isinstance(endpoints, list)
        else (),
        in_chat=in_chat,
    )


def _endpoint(row: dict[str, Any]) -> Endpoint:
    parameters = row.get("supported_parameters")
    pairs = parameters.items() if isinstance(parameters, dict) else ()
    pricing = row.get("pricing")
    slug = row.get("provider_slug")
    return Endpoint(
        slug=slug if isinstance(slug, str) else "",
        parameters={name: known for name, value in pairs if (known := _parameter(value)) is not None},
        lines=tuple(line for one in pricing if (line := _line(one)) is not None) if isinstance(pricing, list) else (),
        passthrough=frozenset(_texts(row.get("allowed_passthrough_parameters"))),
        streams=row.get("supports_streaming") is True,
    )


def _parameter(value: Any) -> Parameter | None:
    """A descriptor; one of a type nobody knows says that the parameter is taken."""
    if not isinstance(value, dict):
        return None
    if value.get("type") == "enum":
        return Parameter("enum", values=tuple(_texts(value.get("values"))))
    least, most = value.get("min"), value.get("max")
    if value.get("type") == "range" and isinstance(least, int) and isinstance(most, int):
        return Parameter("range", least=least, most=most)
    return Parameter("boolean")


def _line(row: Any) -> Line | None:
    if (
        not isinstance(row, dict)
        or row.get("billable") not in get_args(Billable)
        or row.get("unit") not in get_args(Unit)
    ):
        return None
    usd = row.get("cost_usd")
    if isinstance(usd, bool) or not isinstance(usd, int | Decimal) or not Decimal(usd).is_finite() or usd < 0:
        return None
    variant = row.get("variant")
    return Line(row["billable"], row["unit"], Decimal(usd), variant.lower() if isinstance(variant, str) else "")


def _texts(value: Any) -> Iterator[str]:
    for word in value if isinstance(value, list) else ():
        if isinstance(word, str):
            yield word
