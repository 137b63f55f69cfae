"""A plain chat weighs the same looked into or not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.policy.money.weight import to_weigh, weigh_all, weigh_plain
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import endpoint_for


def asked(path: str, body: bytes) -> Call:
    return read_call(endpoint_for("POST", path), "POST", (path, ""), ("application/json", body))


MARKS = st.sampled_from([None, {}, {"type": "ephemeral"}, {"ttl": "5m"}, {"ttl": "1h"}, {"ttl": 1}, "1h", []])
KINDS = st.sampled_from(
    ["text", "tool_use", "tool_result", "thinking", "image", "document", "input_audio", "", 1]
    + ["message", "reasoning", "function_call", "function_call_output", "input_text", "input_file", "item_reference"]
)
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {"type": KINDS},
        optional={
            "cache_control": MARKS,
            "input": st.just({"content": [{"type": "image"}]}),
            "content": st.text(max_size=3)
            | st.lists(
                st.fixed_dictionaries(
                    {"type": KINDS}, optional={"cache_control": MARKS, "content": st.just([{"type": "image"}])}
                ),
                max_size=2,
            ),
            "output": st.just([{"type": "image"}]),
        },
    ),
    max_size=2,
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                ["function", "custom", "bash_20250124", "web_search", "shell", "namespace", "mcp", "x", 1]
            ),
            "function": st.fixed_dictionaries({"name": st.just("f")}, optional={"cache_control": MARKS}),
            "cache_control": MARKS,
            "name": st.just("n"),
            "environment": st.just({"type": "container_auto"}),
            "tools": st.just([{"type": "file_search"}]),
        },
    )
    | st.none(),
    max_size=3,
)
CONTENTS = st.one_of(
    BLOCKS,
    st.text(),
    st.none(),
    st.lists(
        st.dictionaries(
            st.sampled_from(["type", "text", "content", "output", "cache_control", "audio", "x"]),
            st.one_of(st.just("text"), st.text(), st.none(), st.just([{"type": "image"}]), st.just({"id": "a"})),
            max_size=3,
        ),
        max_size=2,
    ),
    st.just([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": CONTENTS},
        optional={"type": KINDS, "output": CONTENTS},
    ),
    max_size=3,
)
MEMBERS = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": MESSAGES | st.text(max_size=3) | st.none()},
    optional={
        "max_output_tokens": st.integers(-1, 9) | st.none(),
        "previous_response_id": st.none() | st.just("resp_1"),
        "max_tokens": st.one_of(st.integers(-1, 10**7), st.none(), st.text(max_size=2), st.floats(0, 100)),
        "max_completion_tokens": st.integers(0, 9),
        "n": st.integers(0, 3),
        "stream": st.booleans(),
        "system": st.one_of(st.text(max_size=3), st.none(), BLOCKS),
        "temperature": st.floats(0, 1),
        "tools": TOOLS | st.none() | st.text(max_size=3),
        "max_tool_calls": st.integers(0, 3),
        "plugins": st.just([{"id": "web"}]),
        "modalities": st.just(["image"]),
    },
)


@given(MEMBERS, st.sampled_from(["/chat/completions", "/messages", "/responses"]), st.booleans(), st.booleans())
def test_what_is_plain_weighs_what_looking_into_it_says(
    members: dict[str, Any], path: str, escapes: bool, is_input: bool
) -> None:
    if is_input:
        members = {("input" if name == "messages" else name): value for name, value in members.items()}
    call = asked(path, json.dumps(members, ensure_ascii=escapes).encode("utf-8", "surrogatepass"))
    plain = weigh_plain(call)
    assert plain is None or plain == weigh_all(call)


PLAIN = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"stream":true}'


@pytest.mark.parametrize(
    ("body", "is_plain"),
    [
        (PLAIN, True),
        (PLAIN.replace(b"hi", "grüße".encode()), True),
        (PLAIN.replace(b"hi", b"gr\xfc"), False),
        (PLAIN.replace(b"hi", b"\\u00fc"), True),
        (PLAIN.replace(b"hi", b"\\ud83d"), False),
        (PLAIN.replace(b'"hi"', b'[{"type":"text","text":"hi"}]'), True),
        (PLAIN.replace(b'"hi"', b'[{"type":"text","text":"hi","cache_control":{"ttl":"1h"}}]'), False),
        (PLAIN.replace(b'"hi"', b'[{"t\\u0079pe":"image_url"}]'), False),
        (PLAIN.replace(b'"hi"', b'"hi","audio":{"id":"a"}'), False),
        (PLAIN.replace(b'"hi"', b'null,"tool_calls":[{"type":"function","function":{"name":"f"}}]'), True),
        (PLAIN.replace(b'"hi"', b'[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]'), True),
        (PLAIN.replace(b'"hi"', b'[{"type":"tool_result","content":[{"type":"text","text":"hi"}]}]'), True),
        (PLAIN.replace(b'"hi"', b'[{"type":"tool_result","content":[{"type":"image"}]}]'), False),
        (PLAIN.replace(b'"stream"', b'"tools":[{"type":"function","function":{"name":"f"}}],"stream"'), True),
        (PLAIN.replace(b'"stream"', b'"tools":[{"name":"f","input_schema":{}}],"stream"'), True),
        (PLAIN.replace(b'"stream"', b'"tools":[{"name":"f","cache_control":{"ttl":"1h"}}],"stream"'), False),
        (PLAIN.replace(b'"stream"', b'"tools":[{"type":"web_search"}],"stream"'), False),
        (PLAIN.replace(b'"stream"', b'"system":[{"type":"text","text":"s"}],"stream"'), True),
        (PLAIN.replace(b'"stream"', b'"system":[{"type":"image"}],"stream"'), False),
        (PLAIN.replace(b"7", b"0"), False),
        (PLAIN.replace(b"7", b"true"), False),
        (PLAIN.replace(b'"stream"', b'"n"'), False),
    ],
)
def test_only_texts_are_plain(body: bytes, is_plain: bool) -> None:
    assert (weigh_plain(asked("/chat/completions", body)) is not None) is is_plain


ASKED = b'{"model":"m","input":[{"role":"user","content":"hi"}],"stream":true}'


@pytest.mark.parametrize(
    ("body", "is_plain"),
    [
        (ASKED, True),
        (b'{"model":"m","input":"hi"}', True),
        (ASKED.replace(b'"hi"', b'[{"type":"input_text","text":"hi"}]'), True),
        (ASKED.replace(b'"hi"', b'[{"type":"input_image","image_url":"http://x"}]'), False),
        (ASKED.replace(b'"role":"user"', b'"type":"item_reference"'), False),
        (ASKED.replace(b'"role":"user"', b'"type":"function_call_output","output":[{"type":"input_image"}]'), False),
        (ASKED.replace(b'"role":"user"', b'"type":"function_call_output","output":"x"'), True),
        (ASKED.replace(b'"stream"', b'"tools":[{"type":"function","name":"f"}],"stream"'), True),
        (ASKED.replace(b'"stream"', b'"tools":[{"type":"web_search"}],"stream"'), False),
        (ASKED.replace(b'"stream"', b'"previous_response_id":"resp_1","stream"'), False),
    ],
)
def test_only_texts_of_a_response_are_plain(body: bytes, is_plain: bool) -> None:
    assert (weigh_plain(asked("/responses", body)) is not None) is is_plain


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 30_000}}
SOUND = {"type": "input_audio", "input_audio": {"data": "A" * 30_000, "format": "wav"}}
SHOWN = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 30_000}
TEXT = {"type": "text", "text": "A" * 30_000}


@pytest.mark.parametrize(
    ("path", "member", "value"),
    [
        ("/chat/completions", "messages", [{"role": "user", "content": [PICTURE, TEXT, SOUND, PICTURE]}]),
        ("/chat/completions", "messages", [{"role": "user", "content": "A" * 30_000}]),
        ("/chat/completions", "messages", "A" * 30_000),
        ("/chat/completions", "prediction", {"type": "content", "content": "A" * 30_000}),
        ("/responses", "input", [{"role": "user", "content": [SHOWN, {"type": "input_text", "text": "A" * 30_000}]}]),
        ("/responses", "input", "A" * 30_000),
        ("/embeddings", "input", ["A" * 30_000, "B"]),
        ("/audio/speech", "input", "A" * 30_000),
        ("/completions", "prompt", ["A" * 30_000]),
    ],
)
def test_a_request_weighs_the_same_without_its_long_strings(path: str, member: str, value: Any) -> None:
    call = asked(path, json.dumps({"model": "m", member: value, "max_tokens": 7}).encode())
    assert call.document is not None
    assert call.document.brief is not None
    bare = replace(call, parsed=replace(call.document, brief=None, lacking={}))
    assert weigh_all(call) == weigh_all(bare)
    assert to_weigh(bare) == len(call.body)
    assert (to_weigh(call) < 1000) is (
        isinstance(value, list) and member in ("messages", "input") and "emb" not in path
    )
