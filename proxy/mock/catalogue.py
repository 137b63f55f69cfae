"""The mock's models and what they cost; the lists of `/models` in three shapes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from msgspec import Struct

from proxy.mock.behaviours import OWN_OPTIONS, parse_behaviour

_CREATED = 1_754_587_407
_DEFAULT = {"prompt": "0.000001", "completion": "0.000002"}
_NO_DEFAULTS = dict.fromkeys(
    ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "repetition_penalty")
)
_PARAMETERS = ["max_completion_tokens", "max_tokens", "reasoning", "response_format", "seed", "tool_choice", "tools"]


class Model(Struct, frozen=True):
    """One entry; `pricing` holds decimal strings in USD per token, as the wire has them."""

    id: str
    slug: str
    name: str
    pricing: dict[str, Any]
    context: int | None = 128_000
    longest_output: int | None = 16_384
    expires: str | None = None


class Price(Struct, frozen=True):
    """USD per token."""

    prompt: Decimal = Decimal("0.000001")
    completion: Decimal = Decimal("0.000002")
    image_output: Decimal = Decimal("0.00003")


_ODD: tuple[Model, ...] = (
    Model(
        "openai/gpt-5-mini",
        "openai/gpt-5-mini-2025-08-07",
        "OpenAI: GPT-5 Mini",
        {"prompt": "0.00000025", "completion": "0.000002", "web_search": "0.01", "input_cache_read": "0.000000025"},
        400_000,
        128_000,
    ),
    Model(
        "anthropic/claude-sonnet-4.5",
        "anthropic/claude-4.5-sonnet-20250929",
        "Anthropic: Claude Sonnet 4.5",
        {
            "prompt": "0.000003",
            "completion": "0.000015",
            "input_cache_read": "0.0000003",
            "input_cache_write": "0.00000375",
            "input_cache_write_1h": "0.000006",
        },
        1_000_000,
        64_000,
    ),
    Model(
        "mock/tiered",
        "mock/tiered-20260101",
        "Mock: a price that depends on the prompt's length",
        {**_DEFAULT, "discount": 0.9, "overrides": [{"min_prompt_tokens": 200_000, "prompt": "0.000002"}]},
    ),
    Model(
        "mock/exact",
        "mock/exact",
        "Mock: a 25-character price",
        {"prompt": "0.00000008333333333333334", "completion": "0.0000003333333333333333"},
        longest_output=None,
    ),
    Model("mock/echo:free", "mock/echo", "Mock: Echo (free)", {"prompt": "0", "completion": "0"}),
    Model("mock/expired", "mock/expired", "Mock: an expired model", _DEFAULT, expires="2026-01-01"),
    Model("~mock/echo-latest", "mock/echo", "Mock: the newest echo", _DEFAULT),
    Model("openrouter/auto", "openrouter/auto", "Auto Router", {"prompt": "-1", "completion": "-1"}, None, None),
)
MODELS: dict[str, Model] = {
    model.id: model
    for model in (*(Model(f"mock/{name}", f"mock/{name}", f"Mock: {name}", _DEFAULT) for name in OWN_OPTIONS), *_ODD)
}
_NUMBERED = re.compile(r"(?:mock/)?model-([1-9]\d{0,4})", re.ASCII)
_DIRECT = {
    "openai": {"gpt-5-mini": MODELS["openai/gpt-5-mini"]},
    "anthropic": {"claude-sonnet-4-5-20250929": MODELS["anthropic/claude-sonnet-4.5"]},
}


def find_model(name: str) -> Model | None:
    """Find an entry by id, canonical slug, or the bare name a direct provider uses; options are ignored."""
    plain = name.partition("?")[0]
    if (numbered := _NUMBERED.fullmatch(plain)) is not None:
        return numbered_model(int(numbered[1]))
    for candidate in (plain, f"mock/{plain}"):
        if candidate in MODELS:
            return MODELS[candidate]
    for names in _DIRECT.values():
        if plain in names:
            return names[plain]
    return next((model for model in MODELS.values() if model.slug == plain), None)


def numbered_model(number: int) -> Model:
    """One of as many as are wanted, at a price of its own."""
    name, prompt = f"mock/model-{number}", Decimal(number % 997 + 1) / 50_000_000
    pricing = {"prompt": f"{prompt:f}", "completion": f"{4 * prompt:f}"}
    return Model(name, name, f"Mock: model {number}", pricing, 8192 * 2 ** (number % 6))


def price_of(name: str) -> Price:
    """What a call to the model costs; models unknown or priced "-1" cost the mock's default."""
    model = find_model(name)
    if model is None or model.pricing["prompt"] == "-1":
        return Price()
    return Price(Decimal(model.pricing["prompt"]), Decimal(model.pricing["completion"]))


def served_name(name: str) -> str:
    """The model a reply names: the canonical slug of a listed one, else what was asked."""
    model = find_model(name)
    if model is None or name.partition("?")[2]:
        return name
    return name if model.slug == f"mock/{name}" else model.slug


def openrouter_model(model: Model) -> dict[str, Any]:
    """One entry of OpenRouter's `/models`."""
    return {
        "id": model.id,
        "canonical_slug": model.slug,
        "hugging_face_id": "",
        "name": model.name,
        "created": _CREATED,
        "description": f"{model.name} answers with what it was asked ...",
        "context_length": model.context,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": model.pricing,
        "top_provider": {
            "context_length": model.context,
            "max_completion_tokens": model.longest_output,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": _PARAMETERS,
        "default_parameters": _NO_DEFAULTS,
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": model.expires,
        "links": {"details": f"/api/v1/models/{model.slug}/endpoints"},
    }


def _model_endpoints(name: str, model: Model, *, is_known: bool) -> dict[str, Any]:
    """The reply of `GET /models/{author}/{slug}/endpoints`, whose percentiles are shown to who has a key alone: here they are
    what the name orders (`mock/slow?ttft=2&interval=0.05`). Of a model that waits for nothing there are none, as of one that
    nobody has used lately."""
    row, asked = openrouter_model(model), parse_behaviour(name)
    latency = _percentiles(asked.ttft * 1000, 1.5) if is_known and asked.ttft else None
    throughput = _percentiles(1 / asked.interval, 0.8) if is_known and asked.interval else None
    endpoint = {
        "name": f"Mock | {model.slug}",
        "model_id": model.id,
        "model_name": model.name,
        "context_length": model.context,
        "pricing": {"discount": 0, **model.pricing},
        "provider_name": "Mock",
        "tag": "mock",
        "quantization": None,
        "max_completion_tokens": model.longest_output,
        "max_prompt_tokens": None,
        "supported_parameters": _PARAMETERS,
        "status": 0,
        **dict.fromkeys(("uptime_last_5m", "uptime_last_30m", "uptime_last_1d"), 99.9 if latency else None),
        "latency_last_30m": latency,
        "throughput_last_30m": throughput,
        "supports_implicit_caching": False,
    }
    told = ("id", "name", "created", "description", "architecture")
    return {"data": {**{part: row[part] for part in told}, "endpoints": [endpoint]}}


def _percentiles(median: float, step: float) -> dict[str, float]:
    """As OpenRouter has them; each is `step` times the one before."""
    return {name: round(median * step**at, 3) for at, name in enumerate(("p50", "p75", "p90", "p99"))}


def openai_model(name: str) -> dict[str, Any]:
    """One entry of OpenAI's `/models`."""
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "mock"}


def anthropic_model(name: str) -> dict[str, Any]:
    """One entry of Anthropic's `/models`."""
    return {"id": name, "type": "model", "display_name": name, "created_at": "2025-08-07T00:00:00Z"}


def direct_names(profile: str, more: int = 0) -> list[str]:
    """The bare names a direct provider lists: every behaviour, its one real model, and so many more."""
    return [*OWN_OPTIONS, *_DIRECT[profile], *(f"model-{number}" for number in range(1, more + 1))]


def models_list(profile: str, more: int = 0) -> dict[str, Any]:
    """The whole reply of `GET /models`, with so many models more."""
    if profile == "openrouter":
        entries = [openrouter_model(model) for model in (*MODELS.values(), *map(numbered_model, range(1, more + 1)))]
        return {"data": entries, "total_count": len(entries), "links": {"next": None}}
    names = direct_names(profile, more)
    if profile == "openai":
        return {"object": "list", "data": [openai_model(name) for name in names]}
    data = [anthropic_model(name) for name in names]
    return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def model_entry(profile: str, name: str, *, is_known: bool) -> dict[str, Any] | None:
    """The reply of `GET /models/{id}`, of OpenRouter's `/models/{id}/endpoints` as well, or None for a model nobody lists. Raises
    `InvalidValue` for an option that nobody knows."""
    if profile == "openrouter":
        plain = name.removesuffix("/endpoints")
        model = find_model(plain)
        if model is None:
            return None
        return {"data": openrouter_model(model)} if plain == name else _model_endpoints(plain, model, is_known=is_known)
    if name not in direct_names(profile) and not _NUMBERED.fullmatch(name):
        return None
    return openai_model(name) if profile == "openai" else anthropic_model(name)
