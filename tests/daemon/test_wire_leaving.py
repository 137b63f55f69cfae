"""wire.md T56-T58: clients that leave or stop reading, proven on the upstream's side of the real process.

What is closed here is closed because a client left: the daemon would wait for minutes. How many milliseconds that takes on a
busy machine says nothing about us.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness.daemon import Daemon
from harness.events import OPENROUTER_USAGE, chat_chunk, chat_reply, chat_stream, usage_chunk
from harness.http import Connection, Reply
from harness.setting import PATIENT
from harness.steps import LAST_CHUNK, chunk, hang, json_reply, say, stream_head, then, wait_at
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Call, Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

StartDaemon = Callable[..., Daemon]
BEGUN = say(stream_head() + chunk(chat_chunk("He", provider="OpenAI")))


def _read_some(connection: Connection) -> Reply:
    reply = connection.read_head()
    connection.read_until(b"\n\n\r\n")
    return reply


@pytest.mark.parametrize("leave", [Connection.leave, Connection.reset])
def test_T56_leaving_midway_closes_the_upstream(daemon: Daemon, upstream: Upstream, leave: object) -> None:
    upstream.expect(then(BEGUN, hang))
    connection = daemon.open_chat(stream=True)
    reply = _read_some(connection)
    leave(connection)  # type: ignore[operator]
    assert upstream.call.closed.wait(PATIENCE_SECONDS)
    line = daemon.line_of(reply)
    assert (line["status"], line["error_type"], line["client_left"]) == (499, "caller_cancelled", "streaming")


@pytest.mark.parametrize("leave", [Connection.leave, Connection.reset])
def test_T56_leaving_the_built_in_mock_is_no_error_in_the_log(start_daemon: StartDaemon, leave: object) -> None:
    daemon = start_daemon(providers={"mock": {}}, routes=[], models={})
    connection = daemon.open_chat("mock/echo?tokens=3000", stream=True)
    reply = _read_some(connection)
    leave(connection)  # type: ignore[operator]
    assert daemon.line_of(reply)["client_left"] == "streaming"
    assert [line for line in daemon.log_lines() if line["level"] == "error"] == []


@pytest.mark.parametrize("leave", [Connection.leave, Connection.reset])
@pytest.mark.parametrize(
    "first", [hang, then(say(stream_head()), hang), then(say(stream_head() + chunk(b": x\n\n")), hang)]
)
def test_T57_leaving_before_the_first_byte_closes_the_upstream(
    daemon: Daemon, upstream: Upstream, first: object, leave: object
) -> None:
    upstream.expect(first)  # type: ignore[arg-type]
    connection = daemon.open_chat(stream=True)
    call = upstream.wait_for_calls(1)[0]
    leave(connection)  # type: ignore[operator]
    assert call.closed.wait(PATIENCE_SECONDS)


def test_T57_leaving_a_call_that_costs_nothing_closes_the_upstream(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(hang)
    connection = daemon.open_chat("local/llama3.1")
    call = upstream.wait_for_calls(1)[0]
    connection.reset()
    assert call.closed.wait(PATIENCE_SECONDS)


def test_T57_a_call_that_is_billed_anyway_is_read_on_to_its_usage(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply(id="gen-drained"))))
    connection = daemon.open_chat()
    call = upstream.wait_for_calls(1)[0]
    connection.reset()
    assert not call.closed.wait(0.5), "closing would not stop the bill, and the usage would be lost"
    gate.open()
    line = daemon.wait_for_log(lambda line: line.get("upstream_request_id") == "gen-drained")
    assert (line["client_left"], line["output_tokens"]) == ("sent", 4)


def test_T57_a_stream_that_is_billed_anyway_is_read_on_to_its_usage(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    rest = chunk(chat_chunk(finish="stop") + usage_chunk(OPENROUTER_USAGE)) + LAST_CHUNK
    upstream.expect(then(say(stream_head() + chunk(chat_chunk("He", provider="Groq"))), wait_at(gate), say(rest)))
    connection = daemon.open_chat(stream=True)
    reply = _read_some(connection)
    connection.reset()
    assert not upstream.call.closed.wait(0.5)
    gate.open()
    line = daemon.line_of(reply)
    assert (line["client_left"], line["output_tokens"]) == ("streaming", 4)


def test_leaving_while_a_retry_is_awaited_sends_nothing_more(start_daemon: StartDaemon, upstream: Upstream) -> None:
    daemon = start_daemon(retries={"attempts": 3, "longest_wait": 300})
    upstream.expect(json_reply({"error": {"code": 429}}, 429, [("Retry-After", "300")]))
    connection = daemon.open_chat(stream=True)
    upstream.wait_for_calls(1)
    connection.reset()
    line = daemon.wait_for_log(lambda line: line.get("event") == "call")
    assert (line["status"], line["attempts"]) == (499, 1)


def test_many_clients_leaving_at_once_leave_nothing_behind(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(then(BEGUN, hang), again=True)
    connections = [daemon.open_chat(stream=True) for _ in range(20)]
    for connection in connections:
        _read_some(connection)
    for connection in connections:
        connection.reset()
    for call in upstream.calls:
        assert call.closed.wait(PATIENCE_SECONDS)
    assert len(upstream.calls) == 20


IDLE_SECONDS = 3
PIECE = chat_chunk("x" * 60_000)
FLOOD = [chunk(PIECE)] * 500


def test_T58_a_client_that_does_not_read_slows_the_upstream_down(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(then(say(stream_head()), say(*FLOOD), say(chunk(chat_stream()) + LAST_CHUNK)))
    with daemon.open_chat(stream=True) as connection:
        reply = connection.read_head()
        assert _stalled_at(upstream.call, 0.4) < 20 * 2**20, "the daemon read on although nobody took the bytes"
        connection.read_body(reply)
    assert (len(reply.body), reply.complete) == (len(PIECE) * len(FLOOD) + len(chat_stream()), True)


def test_T58_a_client_that_pauses_is_not_taken_for_a_silent_upstream(
    start_daemon: StartDaemon, upstream: Upstream
) -> None:
    daemon = start_daemon(timeouts={**PATIENT, "idle": IDLE_SECONDS})
    upstream.expect(then(say(stream_head()), say(*FLOOD), say(chunk(chat_stream()) + LAST_CHUNK)))
    with daemon.open_chat(stream=True) as connection:
        reply = connection.read_head()
        _stalled_at(upstream.call, IDLE_SECONDS + 0.3)
        connection.read_body(reply)
    assert b'"error"' not in reply.body[-400:], reply.body[-400:]
    assert (len(reply.body), reply.complete) == (len(PIECE) * len(FLOOD) + len(chat_stream()), True)


def _stalled_at(call: Call, seconds: float) -> int:
    """The number of bytes the upstream could send, once it has not grown for so long."""
    latest, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        if call.sent_bytes() != latest:
            latest, since = call.sent_bytes(), time.monotonic()
        time.sleep(0.02)
    return latest
