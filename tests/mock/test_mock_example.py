"""The smallest value of a schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.mock.example import example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "mock"),
        (True, "mock"),
        ({"type": "string"}, "mock"),
        ({"type": "string", "minLength": 6}, "mockxx"),
        ({"type": "string", "maxLength": 2}, "mo"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "integer", "minimum": -9, "maximum": -5}, -9),
        ({"type": "number", "minimum": 0.5}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 0),
        ({"type": []}, "mock"),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}}, [0, 0]),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 0}, 0),
        ({"default": [1]}, [1]),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 0}),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "mock"}),
        ({"type": "object"}, {}),
        ({"$defs": {"x~/": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/x~0~1"}}}, {"a": 0}),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, {"a": "mock"}),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
    ],
)
def test_a_schema_has_a_smallest_value(schema: object, value: Any) -> None:
    assert example(schema) == value


words = st.sampled_from(
    [
        *("type", "properties", "required", "items", "minItems", "enum", "anyOf", "allOf", "$ref", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    ]
)
values = st.sampled_from(
    ["object", "array", "integer", "number", "string", "#", "#/items", "date", None, True, -1, 0, 7]
)
schemas = st.recursive(
    values | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)


@given(schemas)
def test_whatever_the_schema_says_there_is_a_value(schema: object) -> None:
    json.dumps(example(schema))


def test_a_schema_that_contains_itself_ends() -> None:
    endless = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    value, depth = example(endless), 0
    while isinstance(value, dict):
        value, depth = value["next"], depth + 1
    assert value is None
    assert depth < 100


def test_a_schema_that_merges_itself_ends() -> None:
    assert example({"type": "object", "allOf": [{"$ref": "#"}]}) == {}
