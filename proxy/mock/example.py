"""The smallest value that satisfies a JSON Schema, for structured output and tool arguments."""

from __future__ import annotations

from typing import Any

_DEEPEST = 32
_LARGEST = 1e15
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
    parts = schema.get("allOf")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            inner = _resolved(part, root, depth + 1)
            both = {**_mapping(merged), **_mapping(inner)}
            required = [*_required(merged), *_required(inner)]
            merged = {**inner, **merged, "properties": both, "required": required}
    return merged


def _of_type(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object" or (kind is None and "properties" in schema):
        return _object(schema, root, depth)
    if kind == "array":
        count = min(int(_numeric(schema, "minItems") or 0), 100)
        return [example(schema.get("items", {}), root, depth + 1) for _ in range(count)]
    if kind in ("integer", "number"):
        return _number(schema)
    if kind == "boolean":
        return True
    return None if kind == "null" else _string(schema)


def _object(schema: Schema, root: Schema, depth: int) -> Schema:
    properties = _mapping(schema)
    names = dict.fromkeys(_required(schema) or properties)
    return {name: example(properties.get(name, {}), root, depth + 1) for name in names}


def _mapping(schema: Schema) -> Schema:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _required(schema: Schema) -> list[str]:
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _number(schema: Schema) -> int | float:
    step = _numeric(schema, "multipleOf") or (1 if schema.get("type") == "integer" else 0)
    lowest = _numeric(schema, "minimum") or 0
    above = _numeric(schema, "exclusiveMinimum")
    if above is not None:
        lowest = max(lowest, above + (step or 1))
    highest = _numeric(schema, "maximum")
    highest = _numeric(schema, "exclusiveMaximum") if highest is None else highest
    value = max(lowest, 0) if highest is None or highest > 0 else lowest
    if highest is not None and value > highest:
        value = highest
    remainder = value % step if step else 0
    value = value + step - remainder if remainder else value
    return int(value) if schema.get("type") == "integer" else value


def _string(schema: Schema) -> str:
    text = _FORMATS.get(str(schema.get("format")), "mock")
    text = text.ljust(int(min(_numeric(schema, "minLength") or 0, 10_000)), "x")
    longest = _numeric(schema, "maxLength")
    return text if longest is None else text[: max(int(longest), 0)]


def _numeric(schema: Schema, word: str) -> int | float | None:
    """A finite number of the schema; anything else is as good as absent."""
    value = schema.get(word)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
    return value if usable else None
