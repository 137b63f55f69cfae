"""What is known of conversations before changes nothing of what is said of those to come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.money.conversations import MOST_BYTES, MOST_KNOWN, Conversations
from proxy.policy.money.weight import are_texts

SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" , ", ":"), (",  ", ": ")])
MESSAGE: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"])},
    optional={
        "content": st.sampled_from(["", "a", "a, b] [", "\n\t\\", "grüße", None, 7])
        | st.just([{"type": "text", "text": "a"}])
        | st.just([{"type": "image_url", "image_url": {"url": "data:,"}}]),
        "cache_control": st.just({"type": "ephemeral"}),
        "tool_calls": st.just([{"type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    },
)
TURNS = st.lists(
    st.tuples(
        st.lists(MESSAGE, max_size=3), st.integers(0, 4), SEPARATORS, st.sampled_from("ab"), st.binary(max_size=2)
    ),
    max_size=8,
)


@given(TURNS)
def test_what_is_said_of_each_is_what_looking_into_all_of_it_says(
    turns: list[tuple[list[Any], int, tuple[str, str], str, bytes]],
) -> None:
    known, said = Conversations(), list[Any]()
    for new, taken_back, separators, key, behind in turns:
        said = [*said[: len(said) - taken_back], *new]
        text = json.dumps(said, separators=separators).encode()
        for messages in (text, text + behind, text[:-1] + b"," + text[-1:], text[:-1], text[:-1] + behind + b"]", text):
            assert known.are_texts(key, messages) is are_texts(messages), messages


def conversation(number: int, *, marked: int = -1) -> list[dict[str, object]]:
    """Of so many messages, one of them marked for a provider's cache."""
    said: list[dict[str, object]] = [{"role": "user", "content": f"message {index}"} for index in range(number)]
    if marked >= 0:
        said[marked]["cache_control"] = {"type": "ephemeral"}
    return said


def bytes_looked_into(*turns: list[dict[str, object]], keys: str = "aaaaaaaa") -> list[int]:
    """How much was looked into for each of these turns."""
    sizes = list[int]()

    def look(messages: bytes) -> bool:
        sizes[-1] += len(messages)
        return are_texts(messages)

    known = Conversations(look)
    for key, said in zip(keys, turns, strict=False):
        sizes.append(0)
        assert known.are_texts(key, json.dumps(said).encode())
    return sizes


ONE = len(json.dumps(conversation(1)))


@pytest.mark.parametrize(
    ("turns", "keys", "most"),
    [
        ([conversation(90), conversation(93)], "aa", 4 * ONE),
        ([conversation(90), conversation(90)], "aa", 0),
        ([conversation(90), conversation(88)], "aa", 0),
        ([conversation(90, marked=89), conversation(93, marked=92)], "aa", 6 * ONE),
        ([conversation(90), [{"role": "user", "content": "elsewhere"}], conversation(93)], "aaa", 4 * ONE),
        ([conversation(90), conversation(20), conversation(93)], "aba", 4 * ONE),
    ],
)
def test_what_was_looked_into_is_not_looked_into_again(
    turns: list[list[dict[str, object]]], keys: str, most: int
) -> None:
    assert bytes_looked_into(*turns, keys=keys)[-1] <= most


@pytest.mark.parametrize(
    ("turns", "keys"),
    [
        ([conversation(90), conversation(93)], "ab"),
        ([conversation(90, marked=20), conversation(93, marked=50)], "aa"),
        (
            [
                conversation(3),
                *([{"role": "user", "content": str(number)}] for number in range(MOST_KNOWN)),
                conversation(3),
            ],
            "a" * 18,
        ),
    ],
)
def test_what_is_another_one_is_looked_into_whole(turns: list[list[dict[str, object]]], keys: str) -> None:
    assert bytes_looked_into(*turns, keys=keys)[-1] >= len(json.dumps(turns[-1]))


def test_what_is_kept_has_an_end() -> None:
    known, long = Conversations(), "x" * (MOST_BYTES // 3)
    for number in range(9):
        assert known.are_texts("a", json.dumps([{"role": "user", "content": f"{number}{long}"}]).encode())
        assert known.size_bytes <= MOST_BYTES
    assert known.are_texts("a", json.dumps([{"role": "user", "content": long * 4}]).encode())
    assert known.size_bytes <= MOST_BYTES
