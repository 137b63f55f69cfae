"""What pictures would cost, and which models draw them: the same answers for callers and for operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from statistics import median
from typing import Any, Literal

from msgspec import Struct

from proxy.errors import CallerError, InvalidValue
from proxy.exchange.image_calls import fitted_or_raise, image_model_of
from proxy.policy.images.catalogue import Endpoint, ImageModel
from proxy.policy.images.fitting import Problem, fit
from proxy.policy.money.account import Standing
from proxy.policy.money.amounts import to_pusd_up, usd_text
from proxy.policy.money.pictures import Picture, Spread, picture_of, picture_tokens, spread_of
from proxy.policy.money.pricebook import Free, PriceBook
from proxy.policy.money.prices import Price
from proxy.policy.money.rates import IMAGE_TOKENS
from proxy.policy.names.access import choose
from proxy.policy.names.resolution import Names
from proxy.policy.values import Caller, Plan, Provider
from proxy.translate.images.image_request import ImageRequest

MOST_PICTURES = 100_000
_MOST_MODELS = 50
_ZERO = Decimal(0)
# Of a picture to work from, and a text: what they likely come to, where the most is another matter.
_LIKELY_TOKENS = 1_120
_BYTES_PER_TOKEN = Decimal("3.5")
_OWN = frozenset({"model", "models", "n", "prompt", "references"})
# What a model can make beside the usual, in words: each a look at one of its hosts.
MAKES: dict[str, Callable[[Endpoint], bool]] = {
    "edits": lambda endpoint: "input_references" in endpoint.parameters,
    "transparent": lambda endpoint: _may_be(endpoint, "background", "transparent"),
    "svg": lambda endpoint: _may_be(endpoint, "output_format", "svg"),
    "jpeg": lambda endpoint: _may_be(endpoint, "output_format", "jpeg"),
    "webp": lambda endpoint: _may_be(endpoint, "output_format", "webp"),
    "several": lambda endpoint: (known := endpoint.parameters.get("n")) is not None and known.most > 1,
    "seeded": lambda endpoint: "seed" in endpoint.parameters,
    "streams": lambda endpoint: endpoint.streams,
}


class Lists(Struct, frozen=True):
    """What answers are made from."""

    names: Names
    prices: PriceBook
    providers: Mapping[str, Provider]


class ModelsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """Which models: those that draw pictures of that size, and can make all of that; in which order."""

    by: Literal["cheapest", "fastest", "name"] = "name"
    size: str | None = None
    makes: tuple[str, ...] = ()


class _Row(Struct, frozen=True):
    """What one model comes to; `spread` None: nobody says."""

    model: str
    plan: Plan
    spread: Spread | None
    problem: str | None = None


def estimate(ask: Any, lists: Lists, caller: Caller, standings: Callable[[Plan], Iterable[Standing]]) -> dict[str, Any]:
    """`{"model" or "models", "n", "size", "quality" …}` as rows. Raises `CallerError`s: a model nobody may use, and of a single
    one what it does not draw."""
    if not isinstance(ask, dict):
        raise InvalidValue("The body must be a JSON object.")
    models, n = _models(ask), _count(ask, "n", 1, MOST_PICTURES)
    rows = [_estimated(name, ask, lists, caller) for name in models]
    if len(rows) == 1 and rows[0].problem is not None:
        raise_again(models[0], ask, lists, caller)
    return {"n": n, "rows": [_as_json(row, n, standings(row.plan)) for row in rows]}


def raise_again(name: str, ask: dict[str, Any], lists: Lists, caller: Caller) -> None:
    """What is wrong with the only one, with its own code."""
    _spread(name, ask, lists, caller)


def _models(ask: dict[str, Any]) -> list[str]:
    told = ask.get("models") if ask.get("model") is None else [ask["model"]]
    if not isinstance(told, list) or not told or not all(isinstance(name, str) for name in told):
        raise InvalidValue("'model' or 'models' must name what is to draw.", param="model")
    if len(told) > _MOST_MODELS:
        raise InvalidValue(f"'models' may name {_MOST_MODELS} at most.", param="models")
    return list(dict.fromkeys(told))


def _count(ask: dict[str, Any], name: str, least: int, most: int) -> int:
    value = ask.get(name, least)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidValue(f"'{name}' must be a whole number from {least} to {most}.", param=name)
    return value


def _estimated(name: str, ask: dict[str, Any], lists: Lists, caller: Caller) -> _Row:
    plan = choose(caller, lists.names, name)
    try:
        return _Row(name, plan, _spread(name, ask, lists, caller))
    except CallerError as error:
        return _Row(name, plan, None, error.message)


def _spread(name: str, ask: dict[str, Any], lists: Lists, caller: Caller) -> Spread | None:
    """What one picture comes to, with what it is made from. Raises `CallerError`s for what the model does not draw."""
    plan = choose(caller, lists.names, name)
    target = plan.targets[0]
    provider = lists.providers[target.provider]
    members = {key: value for key, value in ask.items() if key not in _OWN and value not in (None, "auto")}
    references = _count(ask, "references", 0, 16)
    if provider.speaks is not None and "images" not in provider.speaks:
        image_request = ImageRequest("generations", name, "x", members=members, references=("",) * references)
        members = {
            **members,
            **fitted_or_raise(image_request, image_model_of(provider, target.model, lists.prices)).members,
        }
    price = lists.prices.price(provider, plan.label, target.model)
    if isinstance(price, Free):
        return Spread(_ZERO, _ZERO, _ZERO)
    prompt = ask.get("prompt")
    prompt_bytes = len(prompt.encode("utf-8", "replace")) if isinstance(prompt, str) else 0
    return None if price is None else _with_input(price, target.model, members, (references, prompt_bytes))


def _with_input(price: Price, model: str, members: dict[str, Any], given: tuple[int, int]) -> Spread | None:
    """The picture, and what is read for it: so many pictures, and bytes of text."""
    spread = spread_of(price, picture_of(members), model, picture_tokens(members))
    if spread is None:
        return None
    references, prompt_bytes = given
    each = price.image_input_usd or price.input_usd
    fee = (price.image_usd or _ZERO) * references
    likely = fee + references * _LIKELY_TOKENS * each + prompt_bytes / _BYTES_PER_TOKEN * price.input_usd
    most = fee + references * IMAGE_TOKENS * each + prompt_bytes * price.input_usd
    return Spread(spread.low + likely, spread.expected + likely, spread.high + most)


def _as_json(row: _Row, n: int, standings: Iterable[Standing]) -> dict[str, Any]:
    spread = row.spread
    found: dict[str, Any] = {"model": row.model}
    if spread is None:
        found |= dict.fromkeys(("low_usd", "expected_usd", "high_usd", "per_image_usd"))
        found["problem"] = row.problem or f"no list says what a picture of {row.model} costs"
    else:
        for name in ("low", "expected", "high"):
            found[f"{name}_usd"] = usd_text(to_pusd_up(getattr(spread, name) * n))
        found["per_image_usd"] = usd_text(to_pusd_up(spread.expected))
    high = 0 if spread is None else to_pusd_up(spread.high * n)
    found["budgets"] = [
        {
            "name": standing.budget.id,
            "left_usd": usd_text(standing.left_pusd),
            "left_after_usd": usd_text(standing.left_pusd - high),
        }
        for standing in standings
    ]
    return found


def image_models(ask: ModelsAsk, lists: Lists, times: Mapping[str, list[int]]) -> dict[str, Any]:
    """The models that draw, of those OpenRouter lists; `times` are own calls' milliseconds, by model."""
    if unknown := [word for word in ask.makes if word not in MAKES]:
        raise InvalidValue(f"'{unknown[0]}' is nothing known; known are: {', '.join(MAKES)}.", param="makes")
    members = {} if ask.size is None else {"size": ask.size}
    rows = [
        _listed(model, members, lists, times) for model in lists.prices.images.models if _suits(model, ask, members)
    ]
    rows.sort(key=lambda row: _rank(row, ask.by))
    for row in rows:
        row["reason"] = _reason(row, ask.by)
    read = lists.prices.images.read
    return {"models": rows, "read": read or None}


def _suits(model: ImageModel, ask: ModelsAsk, members: dict[str, Any]) -> bool:
    if ask.makes and not any(all(MAKES[word](one) for word in ask.makes) for one in model.endpoints):
        return False
    return not members or not isinstance(
        fit(ImageRequest("generations", model.id, "x", members=members), model), Problem
    )


def _listed(model: ImageModel, members: dict[str, Any], lists: Lists, times: Mapping[str, list[int]]) -> dict[str, Any]:
    provider = next((one for one in lists.providers.values() if one.kind == "openrouter"), None)
    price = None if provider is None else lists.prices.price(provider, "", model.id)
    fitted = fit(ImageRequest("generations", model.id, "x", members=members), model)
    picture = Picture() if isinstance(fitted, Problem) else picture_of({**members, **fitted.members})
    spread = spread_of(price, picture, model.id, picture_tokens(members)) if isinstance(price, Price) else None
    own = times.get(model.id, [])
    parameters = {name: known for one in model.endpoints for name, known in one.parameters.items()}
    return {
        "model": model.id,
        "per_image_usd": None if spread is None else usd_text(to_pusd_up(spread.expected)),
        "low_usd": None if spread is None else usd_text(to_pusd_up(spread.low)),
        "high_usd": None if spread is None else usd_text(to_pusd_up(spread.high)),
        "seconds": round(median(own) / 1000, 1) if own else None,
        "calls": len(own),
        "in_chat": model.in_chat,
        "makes": [word for word, look in MAKES.items() if any(map(look, model.endpoints))],
        "takes": {name: known.allowed() for name, known in sorted(parameters.items())},
    }


def _rank(row: dict[str, Any], by: str) -> tuple[Any, ...]:
    if by == "cheapest":
        usd = row["per_image_usd"]
        return usd is None, Decimal(usd or 0), row["model"]
    if by == "fastest":
        return row["seconds"] is None, row["seconds"] or 0, row["model"]
    return (row["model"],)


def _reason(row: dict[str, Any], by: str) -> str:
    if by == "fastest":
        if row["seconds"] is None:
            return "never measured here, and nobody publishes it"
        return f"took {row['seconds']} s at the median of {row['calls']} own call{'s' * (row['calls'] != 1)}"
    if row["per_image_usd"] is None:
        return "no list says what it costs"
    if row["low_usd"] == row["high_usd"]:
        return "priced by the picture"
    return "an estimate, by tokens or area"


def _may_be(endpoint: Endpoint, name: str, value: str) -> bool:
    known = endpoint.parameters.get(name)
    return known is not None and known.allows(value)
