"""Which tools a request defines, in any of three protocols, and how much there is to read of each; whatever a client sends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.toolset import LARGEST, MOST_NAMED, NO_TOOLS, OTHER, definitions, toolset_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "Straße, in any spelling"}}}


def tokens(tool: Any) -> int:
    """A quarter of its bytes, spelled as short as can be."""
    return -(-len(json.dumps(tool, separators=(",", ":"), ensure_ascii=False).encode()) // 4)


def chat(name: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "Looks.", "parameters": SCHEMA}}


def response(name: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": SCHEMA}


def message(name: Any) -> dict[str, Any]:
    return {"name": name, "description": "Looks.", "input_schema": SCHEMA}


CUSTOM = {"type": "custom", "custom": {"name": "run", "description": "Runs."}}
SEARCH = {"type": "web_search"}
TABLE: list[tuple[str, list[Any], list[tuple[str, Any]]]] = [
    ("a chat's", [chat("look"), CUSTOM], [("look", chat("look")), ("run", CUSTOM)]),
    ("a message's", [message("mcp__files__read")], [("mcp__files__read", message("mcp__files__read"))]),
    ("a response's, one of the provider's own", [response("look"), SEARCH], [("look", response("look")), (OTHER, SEARCH)]),
    ("those of a namespace", [{"type": "namespace", "name": "n", "tools": [response("look")]}], [("look", response("look"))]),
    ("names that are none", [chat(7), message("x" * 129), response("a b")], [(OTHER, [chat(7), message("x" * 129), response("a b")])]),
    ("a quote", [message('a":1')], [(OTHER, message('a":1'))]),
    ("one twice", [chat("look"), chat("look")], [("look", [chat("look"), chat("look")])]),
    ("what is no tool", [7, None, "look", [], chat("look")], [("look", chat("look"))]),
    ("none", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "wanted"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_tools_are_told_by_name_with_about_what_there_is_to_read(tools: Any, wanted: list[tuple[str, Any]]) -> None:
    sizes = [(name, sum(map(tokens, tool)) if isinstance(tool, list) else tokens(tool)) for name, tool in wanted]
    for text in (json.dumps(tools, indent=2), json.dumps(tools, ensure_ascii=False)):
        found = toolset_of(text.encode())
        assert definitions(found.offered) == (dict(sizes), sum(size for _, size in sizes))
        assert list(definitions(found.offered)[0]) == [name for name, _ in sizes]
        assert found.names == {name for name, _ in sizes}


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"{}",
        b'"look"',
        b"[" * 50_000,
        b'[{"name":"a","x":"\\ud800"}]',
        b'[{"name":"a","x":1e999999}]',
        b'[{"name":"a","x":' + b"9" * 50 + b"}]",
        b'[{"name":"\xff"}]',
        b'[{"function":[1]}]',
        b'[{"type":"namespace","tools":' * 50 + b"[]" + b"}]" * 50,
        b'[{"name":"' + b"x" * LARGEST + b'"}]',
    ],
)
def test_nothing_that_a_client_sends_breaks_it(text: bytes) -> None:
    found = toolset_of(text)
    assert found.names <= {"a", OTHER}
    assert (found == NO_TOOLS) == (not found.offered)


def test_thousands_of_tools_are_one_beyond_the_first() -> None:
    tools = [{"name": f"tool{number}"} for number in range(5000)]
    found = toolset_of(json.dumps(tools).encode())
    sizes, total = definitions(found.offered)
    assert list(sizes) == [f"tool{number}" for number in range(MOST_NAMED)] + [OTHER]
    assert total == sum(map(tokens, tools))


def test_the_same_bytes_are_read_once() -> None:
    text = json.dumps([chat("once")]).encode()
    assert toolset_of(text) is toolset_of(bytes(memoryview(text)))
