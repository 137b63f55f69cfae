"""Bodies that are known but for their messages: the same as if they had been read anew, or not known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import CallerError
from proxy.policy.money.weight import weigh, weigh_all
from proxy.wire.body_template import LONGEST_BEFORE, MOST_BYTES, MOST_ENDS, BodyTemplates
from proxy.wire.call import READ_QUICKLY, SMALL, Call, read_call
from proxy.wire.endpoints import MODEL_ROWS
from proxy.wire.json_object import JsonObject, read_object
from proxy.wire.outgoing import Change, outgoing

CHAT, RESPONSES = MODEL_ROWS["/chat/completions"], MODEL_ROWS["/responses"]
ENDPOINTS = {"messages": CHAT, "input": RESPONSES}
SAID = ("m", False, (), ())
MESSAGES = [{"role": "user", "content": "hi"}]
SEPARATORS = [(",", ":"), (", ", ": ")]

texts = st.text(max_size=12).filter(lambda text: text.isprintable())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["model", "stream", "max_tokens", "tools", "metadata", "über", "temperature", "user", "seed"])


def body_of(members: dict[str, Any], separators: tuple[str, str] = (",", ":")) -> bytes:
    return json.dumps(members, separators=separators, ensure_ascii=False).encode()


def known(body: bytes, member: str = "messages") -> BodyTemplates:
    templates = BodyTemplates()
    templates.learn(ENDPOINTS[member], read_object(body), SAID)
    return templates


def object_of(templates: BodyTemplates, body: bytes, member: str = "messages") -> JsonObject | None:
    template = templates.find(ENDPOINTS[member], body)
    return None if template is None else template.filled(body)


def seen(document: JsonObject) -> dict[str, tuple[int, int, bytes]]:
    return {name: (member.start, member.end, bytes(member.value)) for name, member in document.members.items()}


@given(
    before=st.dictionaries(names, values, max_size=3),
    behind=st.dictionaries(names, values, max_size=3),
    first=values,
    second=values,
    member=st.sampled_from(["messages", "input"]),
    separators=st.sampled_from(SEPARATORS),
)
@settings(max_examples=300)
def test_a_body_that_is_known_is_what_reading_it_would_say(
    before: dict[str, Any],
    behind: dict[str, Any],
    first: Any,
    second: Any,
    member: str,
    separators: tuple[str, str],
) -> None:
    members = {**before, member: first, **{k: v for k, v in behind.items() if k not in before}}
    templates = known(body_of(members, separators), member)
    body = body_of({**members, member: second}, separators)
    found, read = object_of(templates, body, member), read_object(body)
    if f'"{member}":' in json.dumps(before):  # nested, it hides where they stand
        return
    if found is None:  # behind messages that are an array, a user may differ, and is looked for behind a bracket
        assert isinstance(first, list) > isinstance(second, list)
        assert behind.keys() & {"user", "seed"}
        return
    assert seen(found) == seen(read)
    assert list(found.values) == list(read.values)
    assert [found.place_of(name) for name in members if name != member] == [
        read.place_of(name) for name in members if name != member
    ]


passing = (
    texts | st.integers() | st.sampled_from(["", '"', "\\", ',"user":"', "ü", '],"user":"', -0.0, None, True, 10**20])
)


@given(
    before=st.dictionaries(names, values, max_size=2),
    behind=st.dictionaries(names, values, max_size=3),
    name=st.sampled_from(["user", "seed", "safety_identifier"]),
    one=st.tuples(values, passing),
    other=st.tuples(values, passing),
    separators=st.sampled_from(SEPARATORS),
)
@settings(max_examples=500)
def test_so_is_one_of_another_user(
    before: dict[str, Any], behind: dict[str, Any], name: str, one: Any, other: Any, separators: tuple[str, str]
) -> None:
    members = {**before, "messages": one[0], **behind, name: one[1]}
    templates = known(body_of(members, separators))
    body = body_of({**members, "messages": other[0], name: other[1]}, separators)
    found, read = object_of(templates, body), read_object(body)
    if found is None:
        return
    assert seen(found) == seen(read)
    assert list(found.values) == list(read.values)
    assert [found.place_of(name) for name in members if name != "messages"] == [
        read.place_of(name) for name in members if name != "messages"
    ]


@pytest.mark.parametrize("separators", SEPARATORS)
@pytest.mark.parametrize("name", ["user", "seed", "safety_identifier"])
@pytest.mark.parametrize("behind", [{}, {"stream": True}])
def test_who_its_user_is_may_differ(separators: tuple[str, str], name: str, behind: dict[str, Any]) -> None:
    plain = [7, 0, -1] if name == "seed" else ["u-1", "", "somebody else"]
    members = {"model": "m", "messages": MESSAGES, "temperature": 0.5, name: plain[0], **behind}
    templates = known(body_of(members, separators))
    for value in plain:
        found = object_of(
            templates, body_of({**members, "messages": [{"content": f'],"{name}":'}], name: value}, separators)
        )
        assert found is not None
        assert found.value(name) == value
    for odd in ('"', "\\", "ü", "\n", None, 1.5, True, 10**20, [], {}):
        assert templates.find(CHAT, body_of({**members, name: odd}, separators)) is None
    assert templates.find(CHAT, body_of({**members, "temperature": 1}, separators)) is None


@given(
    body=st.sampled_from(
        [
            body_of({"model": "m", "messages": MESSAGES, "stream": True}),
            body_of({"model": "m", "messages": MESSAGES, "user": "ann", "stream": True}),
            body_of({"messages": MESSAGES, "model": "m", "seed": 17}, (", ", ": ")),
        ]
    ),
    data=st.data(),
)
@settings(max_examples=300)
def test_what_is_not_quite_such_a_body_is_not_taken_for_one(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body)))
    cut = data.draw(st.integers(0, 3))
    odd = body[:at] + data.draw(st.binary(max_size=3)) + body[at + cut :]
    found = object_of(known(body), odd)
    if found is not None:
        assert seen(found) == seen(read_object(odd))


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[],"messages":[]}',
        b'{"model":"m","messages":[]}}',
        b'{"model":"m","messages":[] "x"}',
        b'{"model":"m","messages":}',
        b'{"model":"m","messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"model":"m","messages":"\xff}',
        b'{"model":"m","messages":["\\ud83d"]}',
        b'{"model":"m","messages" :[]}',
        b'{"model":"m"}',
        b"",
        b"null",
    ],
)
def test_what_has_to_be_read_with_care_is_read_so(body: bytes) -> None:
    assert known(b'{"model":"m","messages":[1]}').find(CHAT, body) is None


def test_bodies_that_begin_alike_are_told_apart_by_their_ends() -> None:
    bodies = [body_of({"messages": [n], "model": f"m{n % (MOST_ENDS + 3)}"}) for n in range(MOST_ENDS + 3)]
    bodies += [b'{"messages":[1]}', b'{"messages":["}"],"n":1}', b'{"messages":["\\"n\\":1}"]}']
    templates = BodyTemplates()
    for body in bodies:
        templates.learn(CHAT, read_object(body), SAID)
    for body in bodies:
        found = object_of(templates, body)
        assert found is None or seen(found) == seen(read_object(body))
    assert sum(templates.find(CHAT, body) is not None for body in bodies) in range(3, MOST_ENDS + 1)
    assert templates.find(MODEL_ROWS["/messages"], bodies[0]) is None


def test_nothing_is_learnt_of_what_is_odd_and_never_too_much() -> None:
    templates = BodyTemplates()
    for odd in (
        b'{ "messages" : [] }',
        b'\xef\xbb\xbf{"messages":[]}',
        b'{"model":"m"}',
        b'{"a":{"messages":1},"messages":[]}',
    ):
        templates.learn(CHAT, read_object(odd), SAID)
        assert templates.find(CHAT, odd) is None
    long = body_of({"system": "x" * LONGEST_BEFORE, "messages": []})
    templates.learn(CHAT, read_object(long), SAID)
    assert templates.find(CHAT, long) is None
    first = body_of({"messages": []})
    templates.learn(CHAT, read_object(first), SAID)
    assert templates.find(CHAT, first) is not None
    large = "x" * 7_000
    for n in range(MOST_BYTES // 14_000):
        templates.learn(CHAT, read_object(body_of({"n": n, "messages": [], "system": large})), SAID)
    assert templates.find(CHAT, first) is None


FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in "ab"]
CALL = {"id": "c", "type": "function", "function": {"name": "a", "arguments": "{}"}}
TOOL_CALLS = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "done"},
]
BLOCKS = [
    {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "tool_use", "input": {}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "x"}]}]},
    {
        "role": "user",
        "content": [{"type": "tool_result", "content": "x", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
    },
]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}}
PICTURE = {"role": "user", "content": [{"type": "tool_result", "content": [IMAGE]}]}


def asked(body: bytes, path: str = "/chat/completions") -> Call:
    return read_call(MODEL_ROWS[path], "POST", (path, ""), ("application/json", body))


@pytest.mark.parametrize(
    "members",
    [
        {"model": "a", "messages": MESSAGES},
        {"messages": MESSAGES, "model": "a", "stream": True, "max_tokens": 7},
        {"messages": MESSAGES, "model": "a", "max_tokens": 0},
        {"messages": MESSAGES, "model": "a", "max_tokens": None, "max_completion_tokens": 9},
        {"messages": MESSAGES, "model": "a", "tools": [{"type": "web_search"}]},
        {"messages": MESSAGES, "model": "a", "fallbacks": ["b"]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "model": "a"},
        {"system": "s", "messages": MESSAGES, "model": "a"},
        {"model": "a", "messages": MESSAGES, "tools": FUNCTIONS, "max_tokens": 7},
        {"model": "a", "messages": TOOL_CALLS, "tools": FUNCTIONS, "parallel_tool_calls": True},
        {"model": "a", "messages": MESSAGES, "tools": [{**FUNCTIONS[0], "cache_control": {"type": "ephemeral"}}]},
        {
            "model": "a",
            "messages": MESSAGES,
            "tools": [{**FUNCTIONS[0], "cache_control": {"ttl": "1h"}}],
            "max_tokens": 7,
        },
        {
            "model": "a",
            "messages": MESSAGES,
            "tools": [*FUNCTIONS, {"type": "web_search_20250305", "name": "web_search"}],
        },
        {
            "model": "a",
            "messages": MESSAGES,
            "tools": [{"type": "custom", "name": "p"}, {"type": "bash_20250124", "name": "bash"}],
        },
        {"model": "a", "messages": MESSAGES, "tools": []},
        {"model": "a", "messages": MESSAGES, "tools": None},
        {
            "model": "a",
            "messages": BLOCKS,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        },
        {"model": "a", "messages": BLOCKS, "system": [{"type": "text", "text": "s", "cache_control": {"ttl": "1h"}}]},
        {"model": "a", "messages": [*BLOCKS, PICTURE], "tools": FUNCTIONS, "max_tokens": 7},
        {"messages": MESSAGES, "model": "a", "user": "ann", "max_tokens": 7},
        {"model": "a", "messages": MESSAGES, "max_tokens": 7, "seed": 5},
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/messages"])
def test_the_second_call_of_a_client_says_weighs_and_sends_what_its_first_would(
    members: dict[str, Any], path: str
) -> None:
    asked(body_of(members), path)
    body = body_of({**members, "messages": [*members["messages"], {"role": "user", "content": "more"}]})
    second = asked(body, path)
    assert second.document is not None
    assert second.document.template is not None
    assert second.model == "a"
    assert (second.stream, second.also_models) == (members.get("stream", False), tuple(members.get("fallbacks", ())))
    assert second.max_fields == tuple(n for n in ("max_tokens", "max_completion_tokens") if members.get(n) is not None)
    assert weigh(second) == weigh_all(second) == weigh(second)
    sent = b"".join(outgoing(second, Change("other/model")))
    assert sent == body.replace(b'"model":"a"', b'"model":"other/model"')


FUNCTION = {"type": "function", "name": "a", "parameters": {}}
ITEMS = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
    {"type": "function_call", "call_id": "c", "name": "a", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": []}]},
]
SHOWN = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}


@pytest.mark.parametrize(
    "value", ["hi", ITEMS, [*ITEMS, {"role": "user", "content": [SHOWN]}], [{"type": "item_reference"}]]
)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"instructions": "s", "tools": [FUNCTION], "store": False, "stream": True, "max_output_tokens": 9},
        {"tools": [FUNCTION, {"type": "web_search"}]},
        {"previous_response_id": "resp_1"},
        {"max_output_tokens": 0},
        {"messages": [{"role": "user", "content": [SHOWN]}]},
        {"user": "ann"},
    ],
)
def test_so_does_that_of_a_response(value: Any, more: dict[str, Any]) -> None:
    members = {"model": "a", "input": value, **more}
    asked(body_of(members), "/responses")
    body = body_of({**members, "input": [*value, ITEMS[0]] if isinstance(value, list) else value + ", and more"})
    second = asked(body, "/responses")
    assert second.document is not None
    assert second.document.template is not None
    assert (second.model, second.stream) == ("a", more.get("stream", False))
    assert weigh(second) == weigh_all(second) == weigh(second)
    sent = b"".join(outgoing(second, Change("other/model")))
    assert sent == body.replace(b'"model":"a"', b'"model":"other/model"')


@pytest.mark.parametrize("body", [b'{"messages":[],"tollkeeper":{"fallback":false}}', b'{"messages":[],"MODEL":"x"}'])
def test_a_body_with_members_of_ours_or_an_odd_model_is_read_each_time(body: bytes) -> None:
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append((asked(body).ours.fallback, asked(body).body))
        except CallerError as error:
            outcomes.append(error.code)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] in ((False, b'{"messages":[]}'), "duplicate_key")


@pytest.mark.parametrize("size", [SMALL - 1000, 300 * 1024, READ_QUICKLY - 1000])
def test_a_long_talk_is_known_again_and_one_with_a_picture_is_read_without_it(size: int) -> None:
    words, line = "as it is\n", {"role": "user", "content": "as it is\n" * 100}
    talk = {"model": "a", "temperature": size, "messages": [line] * (size // (len(words) * 100 + 200))}
    asked(body_of(talk))
    known = asked(body_of({**talk, "messages": [*talk["messages"], line]}))  # type: ignore[misc]
    assert known.template is not None
    assert weigh(known) == weigh_all(known)
    shown = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * SMALL}}],
    }
    seen = asked(body_of({**talk, "messages": [line, shown]}))
    assert seen.document is not None
    assert seen.document.brief is not None
