"""A system text put into a request: where it stands in each protocol, and that every other byte stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import CallerError
from proxy.wire.json_object import read_object, splice
from proxy.wire.system import Mode, system_edits

OURS = b'{"role":"system","content":"Be \\"Ada\\"."}'
TEXT = 'Be "Ada".'
IN_JSON = b'"Be \\"Ada\\"."'


def put(body: bytes, endpoint: str, mode: Mode, text: str = TEXT) -> bytes:
    document = read_object(body)
    return b"".join(splice(body, system_edits(document, endpoint, text, mode)))


CHAT = "chat/completions"
CASES: list[tuple[str, Mode, bytes, bytes]] = [
    (CHAT, "prepend", b'{ "messages": [ {"role":"user"}]}', b'{ "messages": [' + OURS + b', {"role":"user"}]}'),
    (CHAT, "prepend", b'{"messages":[]}', b'{"messages":[' + OURS + b"]}"),
    # one system message, not two: some models read only the first, some refuse a second
    (CHAT, "prepend", b'{"messages":[{"role":"developer","content":"\\u00e9"}]}',
     b'{"messages":[{"role":"developer","content":"Be \\"Ada\\".\\n\\n\\u00e9"}]}'),
    (CHAT, "prepend", b'{"messages":[{"role":"system","content":[{"type":"text","text":"x"}]}]}',
     b'{"messages":[{"role":"system","content":[{"type":"text","text":' + IN_JSON + b'},{"type":"text","text":"x"}]}]}'),
    (CHAT, "prepend", b'{"messages":[{"role":"system"}]}', b'{"messages":[' + OURS + b',{"role":"system"}]}'),
    (CHAT, "prepend", b'{"messages":[{"role":"system","content":null}]}',
     b'{"messages":[{"role":"system","content":' + IN_JSON + b"}]}"),
    (CHAT, "replace", b'{"messages":[{"role":"system"}, {"role":"user"} ,{"role":"developer"}, 7]}',
     b'{"messages":[' + OURS + b',{"role":"user"}, 7]}'),
    (CHAT, "replace", b'{"messages":[{"role":"system"}, {"role":"system"}]}', b'{"messages":[' + OURS + b"]}"),
    (CHAT, "replace", b'{"messages":[{"role":"user","content":"\\ud83d"}]}',
     b'{"messages":[' + OURS + b',{"role":"user","content":"\\ud83d"}]}'),
    (CHAT, "default", b'{"messages":[{"role":"user"},{"role":"system"}]}', b'{"messages":[{"role":"user"},{"role":"system"}]}'),
    (CHAT, "default", b'{"messages":[{"role":"user"}]}', b'{"messages":[' + OURS + b',{"role":"user"}]}'),
    ("messages", "prepend", b'{"messages":[]}', b'{"messages":[],"system":' + IN_JSON + b"}"),
    ("messages", "prepend", b'{"system":"x","messages":[]}', b'{"system":"Be \\"Ada\\".\\n\\nx","messages":[]}'),
    ("messages", "prepend", b'{"system":[ ]}', b'{"system":[{"type":"text","text":' + IN_JSON + b"} ]}"),
    ("messages", "replace", b'{"system":[{"type":"text","text":"x"}]}', b'{"system":' + IN_JSON + b"}"),
    ("messages", "default", b'{"system":""}', b'{"system":' + IN_JSON + b"}"),
    ("messages", "default", b'{"system":"x"}', b'{"system":"x"}'),
    ("messages/count_tokens", "prepend", b"{}", b'{"system":' + IN_JSON + b"}"),
    ("responses", "prepend", b'{"instructions":"x","input":"hi"}', b'{"instructions":"Be \\"Ada\\".\\n\\nx","input":"hi"}'),
    ("responses", "prepend", b'{"instructions":null}', b'{"instructions":' + IN_JSON + b"}"),
    ("responses", "replace", b'{"input":[{"role":"system"},{"role":"user"}]}',
     b'{"input":[{"role":"user"}],"instructions":' + IN_JSON + b"}"),
    ("responses", "default", b'{"input":[{"role":"developer"}]}', b'{"input":[{"role":"developer"}]}'),
    ("responses", "default", b'{"input":"hi"}', b'{"input":"hi","instructions":' + IN_JSON + b"}"),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "mode", "body", "sent"), CASES)
def test_the_system_text_stands_where_the_protocol_wants_it(
    endpoint: str, mode: Mode, body: bytes, sent: bytes
) -> None:
    assert put(body, endpoint, mode) == sent
    read_object(sent)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [(CHAT, b"{}"), (CHAT, b'{"messages":"x"}'), (CHAT, b'{"messages":[{"role":"system","content":5}]}'),
     ("messages", b'{"system":7}'), ("responses", b'{"instructions":{}}')],
)  # fmt: skip
def test_what_has_no_place_for_it_is_refused(endpoint: str, body: bytes) -> None:
    with pytest.raises(CallerError):
        put(body, endpoint, "prepend")


roles = st.sampled_from(["system", "developer", "user", "assistant"])
messages = st.lists(st.fixed_dictionaries({"role": roles, "content": st.text()}), max_size=6)


@given(messages, st.text(), st.sampled_from(["prepend", "replace", "default"]), st.sampled_from([None, 1]))
def test_whatever_the_messages_are_the_rest_of_them_stays(
    said: list[dict[str, str]], text: str, mode: Mode, indent: int | None
) -> None:
    body = json.dumps({"messages": said, "n": 1}, indent=indent).encode()
    found = json.loads(put(body, CHAT, mode, text))["messages"]
    theirs = [message for message in said if message["role"] not in ("system", "developer")]
    has_own = len(theirs) < len(said)
    assert [message for message in found if message["role"] not in ("system", "developer")] == theirs
    if mode == "replace" or not has_own:
        assert found == [{"role": "system", "content": text}, *theirs]
    elif mode == "default":
        assert found == said
    else:
        assert found[0]["content"].startswith(text)
