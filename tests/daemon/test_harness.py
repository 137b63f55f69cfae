"""The harness proves itself: the scripted upstream and the raw client, without a daemon between them."""

from __future__ import annotations

import socket

import pytest
from harness.events import chat_stream
from harness.http import Connection, request_bytes
from harness.steps import (
    LAST_CHUNK,
    chunk,
    close,
    hang,
    json_reply,
    reset,
    say,
    say_apart,
    sse,
    sse_apart,
    stream_head,
    then,
    wait_at,
)
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream


def _ask(upstream: Upstream, connection: Connection, target: str = "/x", body: bytes = b"{}") -> None:
    connection.send(request_bytes("POST", target, [("X-Odd-Case", "1")], body, f"127.0.0.1:{upstream.port}"))


def test_a_request_is_recorded_byte_by_byte_and_the_connection_is_used_again(upstream: Upstream) -> None:
    upstream.expect(json_reply({"n": 1}), json_reply({"n": 2}))
    with Connection(upstream.port) as connection:
        for number in (1, 2):
            _ask(upstream, connection, body=b'{"a": %d}' % number)
            assert connection.read_reply().json == {"n": number}
    first, second = upstream.wait_for_calls(2)
    assert first.connection == second.connection
    assert first.request_line == "POST /x HTTP/1.1"
    assert ("X-Odd-Case", "1") in first.headers
    assert (first.body, second.body) == (b'{"a": 1}', b'{"a": 2}')
    assert first.closed.wait(PATIENCE_SECONDS)


def test_scripts_are_chosen_by_path_and_model(upstream: Upstream) -> None:
    upstream.expect(json_reply({"for": "b"}), model="b")
    upstream.expect(json_reply({"for": "y"}), path="/y")
    upstream.expect(json_reply({"for": "rest"}), again=True)
    for target, body, served in (
        ("/x", b'{"m":"a"}', "rest"),
        ("/y", b"{}", "y"),
        ("/x", b'{"m":"b"}', "b"),
        ("/y", b"{}", "rest"),
    ):
        with Connection(upstream.port) as connection:
            _ask(upstream, connection, target, body)
            assert connection.read_reply().json == {"for": served}


@pytest.mark.parametrize("size", [1, 7, 100000])
def test_a_stream_arrives_whole_in_every_chunking(upstream: Upstream, size: int) -> None:
    events = chat_stream()
    upstream.expect(sse_apart(events[at : at + size] for at in range(0, len(events), size)))
    with Connection(upstream.port) as connection:
        _ask(upstream, connection)
        reply = connection.read_reply()
    assert (reply.body, reply.complete) == (events, True)


def test_pieces_sent_apart_are_never_read_together(upstream: Upstream) -> None:
    pieces = [b"%d;" % number for number in range(300)]
    upstream.expect(then(say_apart(pieces), close))
    with socket.create_connection(("127.0.0.1", upstream.port), 10) as sock:
        sock.sendall(request_bytes("POST", "/x", [], b"{}", "127.0.0.1"))
        assert [sock.recv(65536) for _ in pieces] == pieces


@pytest.mark.parametrize("end", [close, reset])
def test_a_reply_that_breaks_off_is_seen_as_broken(upstream: Upstream, end: object) -> None:
    upstream.expect(then(say(stream_head() + chunk(b"data: 1\n\n")), end))
    with Connection(upstream.port) as connection:
        _ask(upstream, connection)
        reply = connection.read_reply()
    assert (reply.body, reply.complete) == (b"data: 1\n\n", False)


def test_a_gate_holds_a_script_until_the_test_opens_it(upstream: Upstream) -> None:
    gate = upstream.gate()
    upstream.expect(then(say(stream_head() + chunk(b"one")), wait_at(gate), say(chunk(b"two") + LAST_CHUNK)))
    with Connection(upstream.port) as connection:
        _ask(upstream, connection)
        head = connection.read_head()
        assert connection.read_until(b"one\r\n")
        gate.open()
        connection.read_body(head)
        assert (head.body, head.complete) == (b"two", True)


def test_a_client_that_leaves_is_noticed(upstream: Upstream) -> None:
    upstream.expect(then(say(stream_head()), hang), then(hang))
    for number in (1, 2):
        with Connection(upstream.port) as connection:
            _ask(upstream, connection)
            call = upstream.wait_for_calls(number)[-1]
            connection.reset()
        assert call.closed.wait(PATIENCE_SECONDS)


def test_model_lists_are_answered_and_not_counted(upstream: Upstream) -> None:
    upstream.expect(sse(b"data: 1\n\n"))
    with Connection(upstream.port) as connection:
        connection.send(request_bytes("GET", "/or/api/v1/models?x=1", [], None, "127.0.0.1"))
        assert connection.read_reply("GET").json == {"object": "list", "data": []}
    assert upstream.calls == []
