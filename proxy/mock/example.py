"""The smallest value that satisfies a JSON Schema, for structured output and tool arguments."""

from __future__ import annotations

from typing import Any

_DEEPEST = 32
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "mock@example.org",
    "hostname": "example.org",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Schema = dict[str, Any]


def example(schema: object, root: Schema | None = None, depth: int = 0) -> Any:
    """Build the value; what the schema leaves open becomes the word "mock"."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "mock" if depth <= _DEEPEST else None
    root = schema if root is None else root
    schema = _resolved(schema, root, depth)
    if "const" in schema:
        return schema["const"]
    for word in ("enum", "examples"):
        if isinstance(schema.get(word), list) and schema[word]:
            return schema[word][0]
    if "default" in schema:
        return schema["default"]
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list) and schema[word]:
            return example(schema[word][0], root, depth + 1)
    return _of_type(schema, root, depth)


def _resolved(schema: Schema, root: Schema, depth: int) -> Schema:
    """Follow local references and merge `allOf`, both as far as the depth limit."""
    if depth > _DEEPEST:
        return {}
    for _ in range(_DEEPEST):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            break
        found: Any = root
        for step in ref.lstrip("#/").split("/") if ref != "#" else ():
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        schema = found if isinstance(found, dict) else {}
    merged = dict(schema)
    for part in schema.get("allOf") or ():
        if isinstance(part, dict):
            inner = _resolved(part, root, depth + 1)
            both = {**merged.get("properties", {}), **inner.get("properties", {})}
            required = [*merged.get("required", ()), *inner.get("required", ())]
            merged = {**inner, **merged, "properties": both, "required": required}
    return merged


def _of_type(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object" or (kind is None and "properties" in schema):
        return _object(schema, root, depth)
    if kind == "array":
        count = min(int(schema.get("minItems", 0)), 100)
        return [example(schema.get("items", {}), root, depth + 1) for _ in range(count)]
    if kind in ("integer", "number"):
        return _number(schema)
    if kind == "boolean":
        return True
    return None if kind == "null" else _string(schema)


def _object(schema: Schema, root: Schema, depth: int) -> Schema:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    names = dict.fromkeys(required if isinstance(required, list) and required else properties)
    return {name: example(properties.get(name, {}), root, depth + 1) for name in names}


def _number(schema: Schema) -> int | float:
    step = schema.get("multipleOf", 1 if schema.get("type") == "integer" else 0)
    lowest = schema.get("minimum", 0)
    if "exclusiveMinimum" in schema:
        lowest = max(lowest, schema["exclusiveMinimum"] + (step if step else 1))
    highest = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = max(lowest, 0) if highest is None or highest > 0 else lowest
    if highest is not None and value > highest:
        value = highest
    remainder = value % step if step else 0
    value = value + step - remainder if remainder else value
    return int(value) if schema.get("type") == "integer" else value


def _string(schema: Schema) -> str:
    text = _FORMATS.get(str(schema.get("format")), "mock")
    shortest, longest = int(schema.get("minLength", 0)), schema.get("maxLength")
    text = text.ljust(min(shortest, 10_000), "x")
    return text if longest is None else text[: max(int(longest), 0)]
