"""What takes more than fifteen seconds to show: keep-alives, late failures behind them, heads that never end.

One test, because waiting is all it does; everything in it waits at the same time.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

from harness.daemon import Daemon
from harness.events import DONE, OPENROUTER_COMMENT, chat_chunk, chat_reply, chat_stream, error_body, event
from harness.http import Connection, Reply
from harness.steps import LAST_CHUNK, Script, chunk, json_reply, pause, reset, say, sse, stream_head, then, wait_at
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Gate, Upstream

KEEP_ALIVE = b": keep-alive\n\n"


def test_T31_T36_T59_T100_what_shows_after_fifteen_seconds(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    began = time.monotonic()
    with ExitStack() as stack:
        slow_body = stack.enter_context(daemon.connect())
        slow_body.send(daemon.request("POST", "/v1/chat/completions", [("Content-Length", "5000")]) + b'{"model":')
        behind = stack.enter_context(daemon.connect())
        behind.send(daemon.request("GET", "/v1/models/openai%2Fgpt-4o") + b"GET /v1/models HTTP/1.1\r\nHost: loc")
        assert behind.read_reply("GET").status == 200
        idle = stack.enter_context(daemon.connect())
        idle.send(daemon.request("GET", "/v1/models/openai%2Fgpt-4o"))
        assert idle.read_reply("GET").status == 200
        slow_head = stack.enter_context(daemon.connect())
        watcher = stack.enter_context(socket.socket(socket.AF_UNIX))
        watcher.settimeout(PATIENCE_SECONDS)
        watcher.connect(str(daemon.folder / "state" / "control.sock"))
        watcher.sendall(b"POST /tail HTTP/1.1\r\nHost: tollkeeper\r\nContent-Length: 0\r\n\r\n")
        slow_head.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")

        def begin(model: str, *scripts: Script) -> Connection:
            upstream.expect(*scripts, model=model.removeprefix("local/"))
            return stack.enter_context(daemon.open_chat(model, stream=True))

        # comments are all that comes of the first attempt until its connection breaks
        mended = begin("openai/mended", _comments_until(gate), sse(chat_stream()))
        lost = begin("openai/lost", _comments_until(gate), sse(event(error_body(code=400))))
        refused = begin("openai/refused", _comments_until(gate), json_reply(error_body("Shut.", 400), 400))
        quiet = begin("local/silent", _quiet_until(gate))
        # nothing comes at all, not even a head
        late = begin("openai/late", _after(gate, sse(chat_stream())))
        denied = begin("openai/denied", _after(gate, json_reply(error_body("Shut.", 400), 400)))
        upstream.expect(_after(gate, json_reply(error_body("Less.", 413), 413)), model="openai/bulky")
        message = {
            "model": "openai/bulky",
            "max_tokens": 9,
            "stream": True,
            "messages": [{"role": "user", "content": "?"}],
        }
        bulky = stack.enter_context(daemon.connect())
        bulky.send(daemon.request("POST", "/v1/messages", [], json.dumps(message).encode()))
        unasked = begin("openai/unasked", _after(gate, json_reply(chat_reply("all at once"))))
        upstream.expect(_after(gate, json_reply(error_body("Shut.", 400), 400)), model="openai/plain")
        plain = stack.enter_context(daemon.open_chat("openai/plain"))
        streams = (mended, lost, refused, quiet, late, denied, bulky, unasked)
        replies = [_head(connection) for connection in streams]
        assert time.monotonic() - began > 14
        for reply in replies:
            assert (reply.status, reply.header("content-type")) == (200, "text/event-stream")
        assert slow_head.read_to_end() == b"", "a head that takes more than ten seconds is not waited for"
        reply = slow_body.read_reply()
        assert (reply.status, reply.error["code"]) == (408, "request_timeout"), "a body comes at 1 KiB/s at least"
        assert behind.read_to_end() == b"", "neither is one that began in the same bytes as the call before it"
        idle.send(daemon.request("GET", "/v1/models/openai%2Fgpt-4o"))
        assert idle.read_reply("GET").status == 200, "a connection that is merely idle has 75 seconds"
        assert quiet.read_until(KEEP_ALIVE).endswith(KEEP_ALIVE)
        quiet.read_until(b"\r\n")
        told = b""
        while told.count(b"1\r\n\n\r\n") < 3:
            assert (more := watcher.recv(4096)), "who follows calls, of which there are none, may do so for ever"
            told += more
        gate.open()
        for connection, reply in zip(streams, replies, strict=True):
            connection.read_body(reply)
        assert plain.read_reply().status == 400, "who asked for no stream keeps the status"
    _check(daemon, replies[:4])
    _check_late(daemon, replies[4:])


def _head(connection: Connection) -> Reply:
    connection.set_timeout(PATIENCE_SECONDS)
    return connection.read_head()


def _check(daemon: Daemon, replies: list[Reply]) -> None:
    mended, lost, refused, quiet = replies
    assert mended.complete
    assert mended.body.endswith(chat_stream())
    comments = mended.body.removesuffix(chat_stream())
    assert comments.replace(KEEP_ALIVE, b"").replace(OPENROUTER_COMMENT, b"") == b""
    assert comments.count(OPENROUTER_COMMENT) > 10, "comments held back go out with the head"
    assert daemon.line_of(mended)["attempts"] == 2
    for reply, sentence in ((lost, b"It broke."), (refused, b"Shut.")):
        assert sentence in reply.body
        assert b"[DONE]" not in reply.body
        assert reply.body.count(b'"error":') == 1, "only the last error is told"
        line = daemon.line_of(reply)
        assert line["attempts"] == 2
        assert line["error_type"] is not None
    assert not refused.complete
    assert (quiet.body, quiet.complete) == (chat_chunk(finish="stop") + DONE, True)


def _check_late(daemon: Daemon, replies: list[Reply]) -> None:
    """Silence counts from when the request went upstream: a head that is slow to come is silence, too."""
    late, denied, bulky, unasked = replies
    assert late.complete
    assert late.body.removeprefix(KEEP_ALIVE) == chat_stream()
    assert (b"Shut." in denied.body, denied.complete) == (True, False)
    assert daemon.line_of(denied)["error_type"] == "caller_invalid_request", (
        "whose fault it was does not change with time"
    )
    assert b'"type":"request_too_large"' in bulky.body, "Anthropic's clients tell errors by their types"
    assert (b"answered in one piece" in unasked.body, unasked.complete) == (True, False)
    assert [daemon.line_of(reply)["attempts"] for reply in (late, denied, unasked)] == [1, 1, 1]
    assert daemon.line_of(unasked)["cost_usd"], "what was answered costs what it costs, whoever could read it"


def _comments_until(gate: Gate) -> Script:
    """Comments, one a second, for longer than silence is kept; then stop at the gate and break off."""
    comment = say(chunk(OPENROUTER_COMMENT))
    return then(say(stream_head()), *[then(comment, pause(1))] * 16, wait_at(gate), reset)


def _after(gate: Gate, script: Script) -> Script:
    """Nothing at all until the gate opens."""
    return then(wait_at(gate), script)


def _quiet_until(gate: Gate) -> Script:
    """An event, and then nothing until the gate opens."""
    return then(
        say(stream_head() + chunk(chat_chunk("He"))),
        wait_at(gate),
        say(chunk(chat_chunk(finish="stop") + DONE) + LAST_CHUNK),
    )
