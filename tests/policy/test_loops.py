"""The breaker for agents that run away: what counts as a loop, and what ends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.policy.loops import MOST_SESSIONS, Burning, Loops, Repeating, Watch
from proxy.wire.call import read_call
from proxy.wire.endpoints import endpoint_for
from proxy.wire.turns import Turns, repeated, turns_of

ASK = {"role": "user", "content": "Fix the tests."}


def turns(path: str, **members: Any) -> Turns:
    body = json.dumps({"model": "m", **members}).encode()
    return turns_of(read_call(endpoint_for("POST", path), "POST", (path, ""), ("application/json", body)))


def chat_turn(name: str, arguments: str) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "x" * 9}]


def claude_turn(command: str, result: str = "", *more: dict[str, Any]) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": command, "timeout": 5}}
    back = {"type": "tool_result", "tool_use_id": "t", "content": result}
    return [
        {"role": "assistant", "content": [{"type": "text", "text": "I try."}, use]},
        {"role": "user", "content": [back, *more]},
    ]


def codex_turn(command: str) -> list[dict[str, Any]]:
    arguments = json.dumps({"cmd": command})
    call = {"type": "function_call", "name": "exec_command", "arguments": arguments, "call_id": "c"}
    return [
        {"type": "reasoning", "summary": []},
        call,
        {"type": "function_call_output", "call_id": "c", "output": command * 3},
    ]


REMINDER = {"type": "text", "text": "<system-reminder>Your todo list is empty.</system-reminder>"}
GROWING = [message for size in range(8) for message in claude_turn("npm test", "failed " * size, REMINDER)]
REFACTOR = [
    message
    for step in range(200)
    for message in [
        *claude_turn(f"sed -i s/a{step}/b/ x.py"),
        *claude_turn("npm test", "passed"),
        *claude_turn("git diff --stat"),
    ]
]


@pytest.mark.parametrize(
    ("path", "members", "expected"),
    [
        ("/chat/completions", {"messages": [ASK]}, Turns(1, 0)),
        ("/chat/completions", {"messages": [ASK, *chat_turn("ls", "{}") * 8]}, Turns(1, 8)),
        ("/chat/completions", {"messages": [ASK, *chat_turn("ls", "{}") * 8, ASK]}, Turns(2, 0)),
        (
            "/chat/completions",
            {"messages": [ASK, *chat_turn("ls", "{}") * 8, *chat_turn("ls", '{"a":1}')]},
            Turns(1, 1),
        ),
        ("/chat/completions", {"messages": [ASK, *(chat_turn("edit", "1") + chat_turn("test", "")) * 4]}, Turns(1, 4)),
        ("/messages", {"messages": [ASK, *GROWING]}, Turns(1, 8)),
        ("/messages", {"messages": [ASK, *REFACTOR]}, Turns(1, 1)),
        ("/messages", {"messages": [ASK, *claude_turn("ls"), {"role": "user", "content": [REMINDER]}]}, Turns(1, 1)),
        ("/responses", {"input": [{"type": "message", **ASK}, *codex_turn("make") * 9]}, Turns(1, 9)),
        ("/responses", {"input": "hello"}, Turns(1, 0)),
        (
            "/messages",
            {"messages": [7, None, {"role": "assistant", "content": [8, {"type": "tool_use"}]}]},
            Turns(0, 1),
        ),
        ("/chat/completions", {"messages": [{"role": "assistant", "tool_calls": [1, {"function": 2}]}]}, Turns(0, 0)),
        ("/chat/completions", {"messages": {"role": "user"}}, Turns(0, 0)),
        ("/embeddings", {"input": ["a"]}, Turns(0, 0)),
    ],
)
def test_turns_are_read_from_the_messages_alone(path: str, members: dict[str, Any], expected: Turns) -> None:
    assert turns(path, **members) == expected


@pytest.mark.parametrize(
    ("calls", "times"), [("", 0), ("a", 1), ("aaa", 3), ("abab", 2), ("xabcabcabc", 3), ("aab", 1), ("abcdabcd", 1)]
)
def test_the_latest_calls_are_counted_while_they_take_turns(calls: str, times: int) -> None:
    assert repeated([(name, "") for name in calls]) == times


def test_the_same_calls_are_refused_until_a_human_speaks_or_somebody_raises() -> None:
    watch = Watch(Loops(same_tool_call=8))
    assert watch.judge("alice/s", Turns(1, 7), 0.0) is None
    assert watch.judge("alice/s", Turns(1, 8), 0.0) == watch.judge("", Turns(1, 8), 0.0) == Repeating(8)
    watch.release("alice/s", 100)
    assert watch.judge("alice/s", Turns(1, 9), 1.0) is None
    watch.spend("alice/s", 60, 2.0)
    assert watch.judge("alice/s", Turns(1, 10), 3.0) is None
    watch.spend("alice/s", 60, 4.0)
    assert watch.judge("alice/s", Turns(1, 11), 5.0) == Repeating(11)
    assert watch.judge("alice/s", Turns(2, 0), 6.0) is None


def test_money_is_counted_by_the_minute_and_since_the_last_human_turn() -> None:
    watch = Watch(Loops(pusd_per_minute=100))
    assert watch.judge("alice/s", Turns(1), 0.0) is None
    watch.spend("alice/s", 60, 1.0)
    watch.spend("bob/s", 60, 1.0)
    assert watch.judge("alice/s", Turns(1), 2.0) is None
    watch.spend("alice/s", 60, 30.0)
    assert watch.judge("alice/s", Turns(1), 31.0) == Burning(120, 100)
    assert watch.judge("bob/s", Turns(1), 31.0) is None
    assert watch.judge("alice/s", Turns(1), 61.5) is None  # the first is more than a minute ago
    watch.spend("alice/s", 60, 62.0)
    assert watch.judge("alice/s", Turns(1), 63.0) == Burning(120, 100)
    assert watch.judge("alice/s", Turns(2), 64.0) is None
    watch.spend("alice/s", 0, 65.0)
    assert watch.judge("alice/s", Turns(2), 66.0) is None


def test_the_sessions_watched_have_an_end() -> None:
    watch = Watch(Loops(pusd_per_minute=1))
    watch.spend("a/old", 5, 0.0)
    for number in range(MOST_SESSIONS):
        watch.spend(f"a/{number}", 5, 0.0)
    assert watch.judge("a/old", Turns(), 1.0) is None
    assert watch.judge("a/9999", Turns(), 1.0) == Burning(5, 1)
