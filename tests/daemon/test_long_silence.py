"""What takes more than fifteen seconds to show: keep-alives, late failures behind them, heads that never end.

One test, because waiting is all it does; everything in it waits at the same time.
"""

from __future__ import annotations

import time

from harness.daemon import Daemon
from harness.events import DONE, OPENROUTER_COMMENT, chat_chunk, chat_reply, chat_stream, error_body, event
from harness.http import Connection, Reply
from harness.steps import LAST_CHUNK, Script, chunk, json_reply, pause, reset, say, sse, stream_head, then, wait_at
from harness.upstream import Gate, Upstream

KEEP_ALIVE = b": keep-alive\n\n"


def test_T31_T36_T59_T100_what_shows_after_fifteen_seconds(daemon: Daemon, upstream: Upstream) -> None:
    gate = upstream.gate()
    began = time.monotonic()
    slow_head = daemon.connect()
    slow_head.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    # `total` bounds each attempt, `first_byte` counts silence: comments every second keep the first attempt alive
    mended = _begin(daemon, upstream, "openai/mended", _comments_until(gate), reset, sse(chat_stream()))
    lost = _begin(daemon, upstream, "openai/lost", _comments_until(gate), reset, *[sse(event(error_body()))] * 2)
    refused = _begin(
        daemon, upstream, "openai/refused", _comments_until(gate), reset, json_reply(error_body("Shut.", 400), 400)
    )
    quiet = _begin(daemon, upstream, "slow/quiet", _quiet_until(gate))

    replies = [connection.read_head() for connection in (mended, lost, refused)]
    assert 14 < time.monotonic() - began < 18
    for reply in replies:
        assert (reply.status, reply.header("content-type")) == (200, "text/event-stream")
    assert slow_head.read_to_end() == b"", "a head that takes more than ten seconds is not waited for"
    quiet_reply = quiet.read_head()
    assert quiet.read_until(KEEP_ALIVE).endswith(KEEP_ALIVE)
    gate.open()

    _finish(mended, replies[0])
    assert replies[0].body.endswith(chat_stream())
    assert replies[0].complete
    comments = replies[0].body.removesuffix(chat_stream())
    assert comments.replace(KEEP_ALIVE, b"").replace(OPENROUTER_COMMENT, b"") == b""
    assert comments.count(OPENROUTER_COMMENT) > 10, "comments held back go out with the head"
    assert daemon.line_of(replies[0])["attempts"] == 2

    for connection, reply, sentence in ((lost, replies[1], b"It broke."), (refused, replies[2], b"Shut.")):
        _finish(connection, reply)
        assert sentence in reply.body
        assert b"[DONE]" not in reply.body
        assert reply.body.count(b'"error"') == 1, "only the last error is told"
        assert daemon.line_of(reply)["error_type"] is not None
    assert not replies[2].complete

    _finish(quiet, quiet_reply)
    assert (quiet_reply.body, quiet_reply.complete) == (chat_chunk(finish="stop") + DONE, True)
    upstream.expect(json_reply(chat_reply()))
    assert daemon.chat().status == 200


def _begin(daemon: Daemon, upstream: Upstream, model: str, *scripts: Script) -> Connection:
    upstream.expect(*scripts, model=model.removeprefix("slow/"))
    return daemon.open_chat(model, stream=True)


def _comments_until(gate: Gate) -> Script:
    """Comments, one a second, for longer than silence is kept; then stop at the gate and break off."""
    comment = say(chunk(OPENROUTER_COMMENT))
    return then(say(stream_head()), *[then(comment, pause(1))] * 16, wait_at(gate), reset)


def _quiet_until(gate: Gate) -> Script:
    """An event, and then nothing until the gate opens."""
    return then(
        say(stream_head() + chunk(chat_chunk("He"))),
        wait_at(gate),
        say(chunk(chat_chunk(finish="stop") + DONE) + LAST_CHUNK),
    )


def _finish(connection: Connection, reply: Reply) -> None:
    connection.read_body(reply)
    connection.leave()
