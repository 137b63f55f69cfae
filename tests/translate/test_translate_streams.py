"""Replies in another protocol: the official SDKs read them, streamed and whole alike, however they are cut."""

from __future__ import annotations

from typing import Any

import pytest
from tongues import IDENTITY, PAIRS, bridge, passed, read_stream, read_whole, stream_of
from upstreams import STORIES, whole_body

from proxy.translate.values import Protocol

pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


@pairs
def test_the_sdk_reads_the_same_of_a_stream_and_of_a_whole_reply(source: Protocol, target: Protocol) -> None:
    streamed = read_stream(target, passed(bridge(source, target), stream_of(source, STORIES[source]())))
    whole = read_whole(target, bridge(source, target).whole(whole_body(source)))
    assert streamed == whole
    said = str(whole)
    for words in ("Let me think.", "I look: é😀", "'y'"):
        assert words in said
    assert IDENTITY.id in whole["id"]


@pairs
def test_a_whole_reply_can_be_played_as_a_stream(source: Protocol, target: Protocol) -> None:
    played = read_stream(target, bridge(source, target).played(whole_body(source)))
    assert played == read_whole(target, bridge(source, target).whole(whole_body(source)))


@pairs
def test_the_cuts_of_a_stream_do_not_show(source: Protocol, target: Protocol) -> None:
    stream = stream_of(source, STORIES[source]())
    expected = passed(bridge(source, target), stream)
    for size in (1, 2, 3, 7, 64, 1000):
        assert passed(bridge(source, target), stream, size) == expected, size
    assert passed(bridge(source, target), stream.replace(b"\n", b"\r\n"), 5) == expected


def counts(target: Protocol, usage: dict[str, Any]) -> tuple[int, int, int, int]:
    """Input with all of the cache, output, read from the cache, thoughts."""
    if target == "messages":
        cached = usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
        told = usage["cache_read_input_tokens"], usage["output_tokens_details"]["thinking_tokens"]
        return usage["input_tokens"] + cached, usage["output_tokens"], *told
    read, written = ("prompt", "completion") if target == "chat" else ("input", "output")
    details = usage[f"{read}_tokens_details"]["cached_tokens"], usage[f"{written}_tokens_details"]["reasoning_tokens"]
    return usage[f"{read}_tokens"], usage[f"{written}_tokens"], *details


@pairs
def test_every_bucket_of_the_usage_arrives(source: Protocol, target: Protocol) -> None:
    whole = read_whole(target, bridge(source, target).whole(whole_body(source)))
    assert counts(target, whole["usage"]) == (100, 40, 60, 7)
