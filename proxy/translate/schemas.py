"""JSON schemas in the part of their language that Anthropic takes for the shape of a reply (its structured outputs)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translate.effort import takes_schemas
from proxy.translate.losses import Losses
from proxy.translate.values import Format

# What it refuses; a model may keep to it all the same where it is told.
_UNTAKEN = frozenset(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems uniqueItems "
    "minProperties maxProperties patternProperties propertyNames unevaluatedProperties contains minContains maxContains "
    "prefixItems not if then else dependentRequired dependentSchemas".split()
)
_FORMATS = ("date-time", "date", "time", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf")
_FEWEST = (0, 1)  # of `minItems`, the only ones it takes
_DEEPEST = 64
_JSON_ONLY = "Reply with one JSON object and nothing else: no words around it, no code fence."


def ask_for(wanted: Format, body: dict[str, Any], losses: Losses) -> dict[str, Any]:
    """Ask for JSON of this shape: what stands in `output_config`; else the system is told in words."""
    schema = wanted.schema
    if wanted.description and isinstance(schema, dict):
        schema = {"description": wanted.description, **schema}
    if _is_open(schema) or not takes_schemas(body["model"]):
        losses.add("response_format", "changed")
        body["system"] = [*body.get("system", ()), {"type": "text", "text": _in_words(schema)}]
        return {}
    taken = narrowed(schema)
    if taken != schema:
        losses.add("response_format", "changed")
    return {"format": {"type": "json_schema", "schema": taken}}


def _is_open(schema: Any) -> bool:
    """Whether it is an object with members of any name: only closed ones are taken."""
    if schema is None:
        return True
    if not isinstance(schema, dict) or schema.get("type") != "object" or schema.get("properties"):
        return False
    return schema.get("additionalProperties") is not False and not any(name in schema for name in ("$ref", *_LISTED))


def _in_words(schema: Any) -> str:
    """What a model is told that cannot be held to it."""
    if schema in (None, {"type": "object"}):
        return _JSON_ONLY
    return f"{_JSON_ONLY} It must be valid against this JSON schema: {msgspec.json.encode(schema).decode()}"


def narrowed(schema: Any, depth: int = 0) -> Any:
    """The schema with every object closed, and without what is refused: its description says that instead."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return schema
    taken: dict[str, Any] = {}
    told: list[str] = []
    for name, value in schema.items():
        is_odd_format = name == "format" and value not in _FORMATS
        if is_odd_format or (name in _UNTAKEN and not (name == "minItems" and value in _FEWEST)):
            told.append(f"{name}: {value}")
        elif name in _NAMED and isinstance(value, dict):
            taken[name] = {key: narrowed(inner, depth + 1) for key, inner in value.items()}
        elif name in _LISTED and isinstance(value, list):
            taken["anyOf" if name == "oneOf" else name] = [narrowed(inner, depth + 1) for inner in value]
        else:
            taken[name] = narrowed(value, depth + 1) if name == "items" else value
    if told:
        taken["description"] = f"{taken.get('description') or ''}\n\n{{{', '.join(told)}}}".strip()
    return {**taken, "additionalProperties": False} if _is_object(taken) else taken


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema
