"""No body and no reply keeps the event loop from others: what takes long is read in a thread, and what takes too long not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from harness.daemon import Daemon
from harness.events import DONE, chat_chunk, chat_reply, event
from harness.steps import json_reply, plain_reply, sse
from harness.surroundings import queued_seconds
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

# Nine seconds before.
MOST_SECONDS = 3.0
MEGABYTES = 19 * 2**20
OPENING = b'{"model":"openai/gpt-4o","messages":[{"role":"user","content":"'

# made when it is sent, as every worker has imported this
LARGE: dict[str, Callable[[], bytes]] = {
    "half a character": lambda: OPENING + rb"\ud83d" + b"a" * MEGABYTES + b'"}]}',
    "escapes and half a character": lambda: OPENING + rb"\n" * (MEGABYTES // 2) + rb"\ude00" + b'"}]}',
    "plain text": lambda: OPENING + b"a" * MEGABYTES + b'"}]}',
}


@pytest.fixture(scope="module")
def daemon(start_shared: Callable[..., Daemon]) -> Daemon:
    """One that waits for an upstream as long as a busy machine takes for such a reply."""
    return start_shared()


@pytest.fixture(scope="module")
def queued_before(daemon: Daemon) -> float:
    """What the daemon and we had waited for a CPU when the first test began."""
    return queued_seconds(daemon.pid)


def longest_stall(daemon: Daemon, queued_before: float) -> float:
    """Seconds that nobody was looked after, without those in which the machine had no CPU for the daemon."""
    return daemon.metric("tollkeeper_event_loop_lag_seconds") - (queued_seconds(daemon.pid) - queued_before)


@pytest.mark.parametrize("name", LARGE)
def test_a_large_body_passes_and_holds_nobody_up(
    daemon: Daemon, upstream: Upstream, queued_before: float, name: str
) -> None:
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.post("/v1/chat/completions", body := LARGE[name]())
    assert (reply.status, upstream.call.body) == (200, body)
    assert longest_stall(daemon, queued_before) < MOST_SECONDS


CROWDED: dict[str, Callable[[], bytes]] = {
    "lists": lambda: b'{"model":"openai/gpt-4o","messages":[' + b"[]," * (MEGABYTES // 3) + b"1]}",
    "members": lambda: b'{"model":"openai/gpt-4o",' + b'"a":1,' * (MEGABYTES // 6) + b'"z":1}',
    "depth": lambda: b'{"model":"openai/gpt-4o","x":' + b"[" * MEGABYTES,
}


@pytest.mark.parametrize("name", CROWDED)
def test_a_body_of_too_many_parts_is_refused(
    daemon: Daemon, upstream: Upstream, queued_before: float, name: str
) -> None:
    reply = daemon.post("/v1/chat/completions", CROWDED[name]())
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert upstream.calls == []
    assert longest_stall(daemon, queued_before) < MOST_SECONDS


def test_a_reply_nobody_could_read_in_time_passes_unread(
    daemon: Daemon, upstream: Upstream, queued_before: float
) -> None:
    crowded = b'{"choices":[' + b'{"index":1},' * 600_000 + b'{"index":1}],"usage":{"cost":1}}'
    upstream.expect(plain_reply(crowded, headers=[("Content-Type", "application/json")]))
    reply = daemon.chat("local/x")
    assert (reply.status, reply.body) == (200, crowded)
    assert longest_stall(daemon, queued_before) < MOST_SECONDS


def test_a_reply_of_many_choices_is_read_in_a_moment(daemon: Daemon, upstream: Upstream) -> None:
    choices = [{"index": number, "message": {"content": "x"}} for number in range(10_000)]
    upstream.expect(json_reply({"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}))
    reply = daemon.chat("local/x")
    assert (reply.status, daemon.line_of(reply)["output_tokens"]) == (200, 4)


def test_a_large_event_is_read_on_the_side(daemon: Daemon, upstream: Upstream) -> None:
    large = event({"choices": [{"index": 0, "delta": {"content": "é" * 600_000}}]})
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    upstream.expect(sse(large + chat_chunk(finish="stop") + usage + DONE))
    reply = daemon.chat("local/x", stream=True, stream_options={"include_usage": True})
    assert reply.body == large + chat_chunk(finish="stop") + usage + DONE
    assert daemon.line_of(reply)["output_tokens"] == 4
    assert json.loads(large[6:])["choices"]
