"""JSON schemas in the part of their language that Anthropic takes for the shape of a reply (its structured outputs)."""

from __future__ import annotations

from typing import Any

# What it refuses; a model may keep to it all the same where it is told.
_UNTAKEN = frozenset(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems uniqueItems "
    "minProperties maxProperties patternProperties propertyNames unevaluatedProperties contains minContains maxContains "
    "prefixItems not if then else dependentRequired dependentSchemas".split()
)
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf")
_FEWEST = (0, 1)  # of `minItems`, the only ones it takes
_DEEPEST = 64
_ANY_OBJECT = {"type": "object"}


def shape_of(schema: Any) -> Any:
    """What a reply has to be; None is any object."""
    return _ANY_OBJECT if schema in (None, _ANY_OBJECT) else narrowed(schema)


def narrowed(schema: Any, depth: int = 0) -> Any:
    """The schema with every object closed, and without what is refused: its description says that instead."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return schema
    taken: dict[str, Any] = {}
    told: list[str] = []
    for name, value in schema.items():
        if name in _UNTAKEN and not (name == "minItems" and value in _FEWEST):
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
