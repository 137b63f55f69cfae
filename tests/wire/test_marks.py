"""What requests say of their session and their tags, as agents and others really send it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.errors import InvalidValue
from proxy.wire.json_object import read_object
from proxy.wire.marks import UNMARKED, Marks, marks_of, marks_of_head

UUID = "efad2d8b-0e73-4184-b248-36fd73ae1cf8"
CLAUDE = json.dumps({"device_id": "7684", "account_uuid": "", "session_id": UUID})


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"x-claude-code-session-id": UUID}, UUID),  # Claude Code 2.1.332
        ({"session-id": UUID, "thread-id": "t"}, UUID),  # Codex 0.171.0
        ({"session_id": UUID}, UUID),  # Codex before
        ({"x-session-affinity": "ses_1", "x-session-id": "ses_2"}, "ses_2"),  # opencode 1.18.33
        ({"x-session-affinity": "ses_1"}, "ses_1"),
        ({"x-session-id": " ", "session-id": UUID}, UUID),
        ({"x-session-id": "a b\u00e9@"}, "a_b_@"),
        ({"x-session-id": "--key $(x)'"}, "key___x__"),
        ({"x-session-id": "x" * 500}, "x" * 128),
        ({"x-client-request-id": UUID}, ""),
    ],
)
def test_the_session_of_a_head(headers: dict[str, str], session: str) -> None:
    assert marks_of_head(headers, ()) == Marks(session)


@pytest.mark.parametrize(
    ("members", "session"),
    [
        ({"session_id": "of-openrouter"}, "of-openrouter"),
        ({"metadata": {"user_id": CLAUDE}}, UUID),
        ({"metadata": {"user_id": f"user_ab12_account__session_{UUID}"}}, UUID),  # Claude Code until 2025
        ({"metadata": {"user_id": "somebody"}}, ""),
        ({"metadata": {"user_id": "[1]"}}, ""),
        ({"metadata": {"user_id": "\ud800{"}}, ""),
        ({"metadata": None, "prompt_cache_key": UUID}, UUID),
        (
            {"metadata": ["user_id"], "prompt_cache_key": "ses_de4ec5757ffeMg9LqASEKyc54Y"},
            "ses_de4ec5757ffeMg9LqASEKyc54Y",
        ),
        ({"prompt_cache_key": "my-application-v3"}, ""),  # one for all of an application's calls
        ({"prompt_cache_key": 7, "session_id": 8}, ""),
        ({}, ""),
    ],
)
def test_the_session_of_a_body_where_the_head_has_none(members: dict[str, Any], session: str) -> None:
    document = read_object(json.dumps({"model": "m", **members}).encode())
    assert marks_of(UNMARKED, document) == Marks(session)
    assert marks_of(Marks("", ("a",)), document) == Marks(session, ("a",))
    assert marks_of(Marks("head"), document) == marks_of(Marks("head"), None) == Marks("head")


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ([], ()),
        (["nightly, team-a"], ("nightly", "team-a")),
        (["a,,b ", "a,c"], ("a", "b", "c")),
        ([",".join("abcdefgh")], tuple("abcdefgh")),
        (["x" * 64], ("x" * 64,)),
    ],
)
def test_the_tags_of_a_head(values: list[str], tags: tuple[str, ...]) -> None:
    assert marks_of_head({}, values).tags == tags


@pytest.mark.parametrize("value", [",".join("abcdefghi"), "x" * 65, "two words", "caf\u00e9", "a\x7f"])
def test_tags_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(InvalidValue, match="at most 8 tags"):
        marks_of_head({}, [value])
