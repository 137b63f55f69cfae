"""A header that stands on several lines says all that they say (RFC 9110 5.3), or is refused where it has one value only."""

from __future__ import annotations

import gzip
import json

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_reply
from harness.setting import CLIENT_KEY
from harness.steps import json_reply, plain_reply
from harness.upstream import Upstream

CHAT = "/v1/chat/completions"
BEARER = ("Authorization", f"Bearer {CLIENT_KEY}")


@pytest.mark.parametrize("codings", [("identity", "gzip"), ("gzip", "identity"), ("", "gzip"), ("identity, gzip",)])
@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_a_coding_of_the_body_is_seen_on_every_line(
    daemon: Daemon, upstream: Upstream, path: str, codings: tuple[str, ...]
) -> None:
    reply = daemon.post(path, gzip.compress(b"{}"), [("Content-Encoding", coding) for coding in codings])
    assert (reply.status, reply.error["code"], upstream.calls) == (415, "unsupported_encoding", [])


@pytest.mark.parametrize("codings", [("identity", "gzip"), ("gzip", "identity"), ("", "gzip"), ("gzip",)])
def test_a_coding_of_a_reply_is_seen_on_every_line(
    daemon: Daemon, upstream: Upstream, codings: tuple[str, ...]
) -> None:
    packed = gzip.compress(json.dumps(chat_reply()).encode())
    lines = [("Content-Type", "application/json"), *[("Content-Encoding", coding) for coding in codings]]
    upstream.expect(plain_reply(packed, headers=lines))
    reply = daemon.chat()
    assert (reply.status, reply.body) == (200, packed)
    told = chat_reply()["usage"]
    assert daemon.line_of(reply)["input_tokens"] == told["prompt_tokens"]


def test_an_expectation_is_seen_on_every_line(daemon: Daemon, upstream: Upstream) -> None:
    reply = daemon.post(CHAT, chat_body(), [("Expect", "100-continue"), ("Expect", "coffee")])
    assert (reply.status, reply.error["code"], upstream.calls) == (417, "expectation_failed", [])


@pytest.mark.parametrize(
    "twice",
    [
        [BEARER, ("Authorization", "Bearer sk-of-somebody-else")],
        [("Authorization", "Bearer sk-of-somebody-else"), BEARER],
        [("x-api-key", CLIENT_KEY), ("x-api-key", "sk-of-somebody-else")],
        [BEARER, ("Origin", "http://localhost"), ("Origin", "https://evil.example")],
        [BEARER, ("Idempotency-Key", "one"), ("Idempotency-Key", "two")],
    ],
)
def test_it_is_not_left_to_chance_who_asks(daemon: Daemon, upstream: Upstream, twice: list[tuple[str, str]]) -> None:
    for _ in range(3):  # nor is it known the third time
        reply = daemon.post(CHAT, chat_body(), twice)
        assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "duplicate_key", twice[-1][0])
    assert upstream.calls == []


def test_a_key_that_two_layers_of_a_client_set_alike_is_one_key(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()))
    assert daemon.post(CHAT, chat_body(), [BEARER, BEARER]).status == 200


def test_a_wish_for_a_job_is_read_on_every_line(daemon: Daemon) -> None:
    reply = daemon.post(CHAT, chat_body(), [("Prefer", "wait=5"), ("Prefer", "respond-async")])
    assert (reply.status, reply.header("preference-applied")) == (202, "respond-async")
    alone = daemon.post(CHAT, chat_body(), [("Cache-Control", "max-age=5"), ("Cache-Control", "only-if-cached")])
    assert alone.status == 504
