"""How long and how often: silence, the client's own patience, the bounds of retrying, a 402 that can be mended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from harness.daemon import Daemon
from harness.events import DONE, OPENROUTER_COMMENT, chat_chunk, chat_reply, chat_stream, error_body
from harness.setting import TIMEOUTS
from harness.steps import LAST_CHUNK, chunk, hang, head, json_reply, pause, say, sse, stream_head, then, wait_at
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

GOOD = json_reply(chat_reply())
PATIENCE_OF_THE_CLIENT = 2.5  # within which the first byte comes, however busy the machine


def test_T59_comments_are_signs_of_life(daemon: Daemon, upstream: Upstream) -> None:
    alive = then(*[then(pause(0.1), say(chunk(OPENROUTER_COMMENT)))] * 25)
    ending = chat_chunk(finish="stop") + DONE
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("He"))), alive, say(chunk(ending) + b"0\r\n\r\n")))
    reply = daemon.chat("brief/x", stream=True)
    assert (reply.body, reply.complete) == (chat_chunk("He") + OPENROUTER_COMMENT * 25 + ending, True)


def test_T59_silence_beyond_the_idle_limit_ends_in_an_error_event(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("He"))), hang))
    reply = daemon.chat("brief/x", stream=True)
    assert reply.body.startswith(chat_chunk("He") + b'data: {"error":')
    assert b"upstream_timeout" in reply.body
    assert b"[DONE]" not in reply.body
    assert not reply.complete
    assert upstream.call.closed.wait(PATIENCE_SECONDS)


def test_a_daemon_that_was_stopped_reads_what_came_meanwhile_before_it_calls_anybody_silent(
    daemon: Daemon, upstream: Upstream
) -> None:
    gate = upstream.gate()
    ending = chat_chunk(finish="stop") + DONE
    upstream.expect(
        then(say(stream_head() + chunk(chat_chunk("He"))), wait_at(gate), say(chunk(ending) + b"0\r\n\r\n"))
    )
    with daemon.open_chat("brief/x", stream=True) as connection:
        reply = connection.read_head()
        os.kill(daemon.pid, signal.SIGSTOP)
        gate.open()
        time.sleep(TIMEOUTS["idle"] + 1)  # as long as the machine sleeps
        os.kill(daemon.pid, signal.SIGCONT)
        connection.read_body(reply)
    assert (reply.body, reply.complete) == (chat_chunk("He") + ending, True)


def test_a_stream_that_goes_on_for_too_long_is_not_called_silent(
    start_daemon: Callable[..., Daemon], upstream: Upstream
) -> None:
    mine = start_daemon(timeouts={"first_byte": 60, "idle": 60, "total": 1})
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("He"))), hang))
    reply = mine.chat(stream=True)
    assert b"was still answering after 1 seconds, the most its `timeouts` give a call." in reply.body
    assert b"upstream_timeout" in reply.body


def test_a_402_that_names_what_is_affordable_is_repaired_once(daemon: Daemon, upstream: Upstream) -> None:
    message = "This request requires more credits. You requested up to 4096 tokens, but can only afford 812."
    upstream.expect(json_reply(error_body(message, 402), 402), GOOD)
    reply = daemon.chat(max_tokens=4096)
    assert (reply.status, reply.header("x-tollkeeper-adjusted")) == (200, "max_tokens=812")
    assert [call.json["max_tokens"] for call in upstream.calls] == [4096, 812]
    upstream.expect(json_reply(error_body(message, 402), 402), again=True)
    upstream.calls.clear()
    assert daemon.chat().status == 402
    assert [call.json.get("max_tokens") for call in upstream.calls] == [None, 812]


def test_a_limit_of_calls_that_are_not_streamed_ends_no_stream(daemon: Daemon, upstream: Upstream) -> None:
    alive = then(*[then(pause(0.1), say(chunk(OPENROUTER_COMMENT)))] * 10)
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("He"))), alive, say(chunk(DONE) + b"0\r\n\r\n")))
    assert daemon.chat("brief/x", stream=True).complete


def test_the_clients_own_patience_bounds_retrying(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    mine = start_daemon(retries={"attempts": 3, "longest_wait": 300})
    upstream.expect(json_reply(error_body(code=429), 429, [("Retry-After", "200")]), GOOD)
    reply = mine.chat(headers=[("x-stainless-read-timeout", "100")])
    assert (reply.status, len(upstream.calls)) == (429, 1)


def test_the_clients_own_patience_bounds_the_first_byte(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(hang)
    reply = daemon.chat(headers=[("x-stainless-read-timeout", "0.4")], stream=True)
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    assert daemon.line_of(reply)["attempts"] == 1


def test_the_clients_own_patience_never_cuts_a_reply_under_way(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(
        then(
            say(stream_head() + chunk(chat_chunk("He"))),
            pause(PATIENCE_OF_THE_CLIENT + 0.5),
            say(chunk(chat_chunk(finish="stop")) + b"0\r\n\r\n"),
        )
    )
    reply = daemon.chat(headers=[("x-stainless-read-timeout", str(PATIENCE_OF_THE_CLIENT))], stream=True)
    assert reply.complete


def test_at_most_six_calls_go_out_for_one(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    fallbacks = ["local/a", "oai/b", "brief/c"]
    models = {"far": {"target": "openai/gpt-4o", "fallbacks": fallbacks}}
    mine = start_daemon(models=models)
    upstream.expect(json_reply(error_body(), 503), again=True)
    reply = mine.chat("far")
    assert (reply.status, len(upstream.calls)) == (503, 6)


def test_a_stream_without_an_event_is_retried(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(say(stream_head() + LAST_CHUNK), say(stream_head() + chunk(OPENROUTER_COMMENT) + LAST_CHUNK))
    upstream.expect(sse(chat_stream()))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.header("x-tollkeeper-attempts")) == (chat_stream(), "3")


def test_an_answer_that_hangs_in_the_middle_of_its_json_is_a_timeout(daemon: Daemon, upstream: Upstream) -> None:
    start = head(200, [("Content-Type", "application/json"), ("Content-Length", "100")])
    upstream.expect(then(say(start + b'{"id"'), hang))
    reply = daemon.chat("brief/x")
    assert (reply.status, reply.error["code"], len(upstream.calls)) == (504, "upstream_timeout", 1)
