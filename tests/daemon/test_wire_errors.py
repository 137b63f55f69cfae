"""wire.md 6.3 on the real daemon: which failures are retried, where they go next, and what the client reads at last."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from harness.daemon import Daemon
from harness.events import OPENROUTER_COMMENT, chat_reply, chat_stream, error_body, event
from harness.steps import (
    Headers,
    Script,
    chunk,
    close,
    hang,
    head,
    json_reply,
    plain_reply,
    reset,
    say,
    sse,
    stream_head,
    then,
)
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

StartDaemon = Callable[..., Daemon]
GOOD = json_reply(chat_reply())
HTML = b"<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title>" + b"<p>blocked</p>" * 300


def test_T46_an_error_inside_a_200_is_retried_and_passed_on_unchanged(daemon: Daemon, upstream: Upstream) -> None:
    body = error_body("Slow down.", 429)
    upstream.expect(json_reply(body), again=True)
    reply = daemon.chat()
    assert (reply.status, reply.json) == (200, body)
    assert len(upstream.calls) == 3
    assert daemon.line_of(reply)["error_type"] is not None


def test_T46_an_error_inside_a_200_goes_to_the_fallback(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(error_body(code=403)), path="/or/")
    upstream.expect(GOOD, path="/local/")
    reply = daemon.chat("two-homes")
    assert (reply.json, reply.header("x-tollkeeper-provider")) == (chat_reply(), "local")


@pytest.mark.parametrize("target", ["/v1/responses", "/v1/fine_tuning/jobs", "/v1/videos"])
def test_T46_elsewhere_an_error_member_is_part_of_the_answer(daemon: Daemon, upstream: Upstream, target: str) -> None:
    body = {"id": "x", "status": "failed", "error": {"code": "server_error", "message": "m"}}
    upstream.expect(json_reply(body))
    reply = daemon.post(target, {"model": "openai/gpt-4o", "input": "x"})
    assert (reply.status, reply.json, len(upstream.calls)) == (200, body, 1)


@pytest.mark.parametrize("choices", [None, []])
def test_T47_a_reply_without_choices_passes(daemon: Daemon, upstream: Upstream, choices: object) -> None:
    body = {**chat_reply(), "choices": choices}
    upstream.expect(json_reply(body))
    reply = daemon.chat()
    assert (reply.status, reply.json, len(upstream.calls)) == (200, body, 1)


@pytest.mark.parametrize(("status", "calls"), [(502, 3), (520, 1), (522, 1), (524, 3), (403, 1)])
def test_T48_a_page_of_html_passes_and_is_not_logged(
    daemon: Daemon, upstream: Upstream, status: int, calls: int
) -> None:
    upstream.expect(plain_reply(HTML, status, [("Content-Type", "text/html")]), again=True)
    reply = daemon.chat()
    assert (reply.status, reply.body, reply.header("content-type")) == (status, HTML, "text/html")
    assert len(upstream.calls) == calls
    daemon.line_of(reply)
    assert "Cloudflare" not in daemon.output


def test_T49_an_error_without_a_body_gets_an_envelope(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(plain_reply(b"", 429), again=True)
    reply = daemon.chat()
    assert reply.status == 429
    assert reply.header("content-type") == "application/json"
    assert set(reply.error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("headers", "least", "calls"),
    [
        ([("Retry-After", "0.3")], 0.3, 2),
        ([("Retry-After", "1")], 1.0, 2),
        ([("retry-after-ms", "250")], 0.25, 2),
        ([("retry-after-ms", "250"), ("Retry-After", "3600")], 0.25, 2),
        ([("Retry-After", "date")], 0.0, 2),
        ([("Retry-After", "-1")], 0.04, 2),
        ([("Retry-After", "abc")], 0.04, 2),
        ([], 0.04, 2),
        ([("Retry-After", "7")], 0, 1),
        ([("Retry-After", "7.5")], 0, 1),
        ([("Retry-After", "3600")], 0, 1),
    ],
)
def test_T50_retry_after_is_obeyed(
    daemon: Daemon, upstream: Upstream, headers: Headers, least: float, calls: int
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    headers = [(name, soon if value == "date" else value) for name, value in headers]
    upstream.expect(json_reply(error_body(code=429), 429, headers), GOOD)
    reply = daemon.chat()
    assert len(upstream.calls) == calls
    if calls == 2:
        assert reply.status == 200
        assert upstream.calls[1].arrived - upstream.calls[0].arrived >= least - 0.001, "timers go by whole milliseconds"
    else:
        assert (reply.status, reply.json) == (429, error_body(code=429))
        assert reply.header("retry-after") == headers[0][1]


def test_T50_a_long_retry_after_goes_to_the_fallback_at_once(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(error_body(code=429), 429, [("Retry-After", "60")]), path="/or/")
    upstream.expect(GOOD, path="/local/")
    reply = daemon.chat("two-homes")
    assert (reply.status, [call.target for call in upstream.calls]) == (
        200,
        ["/or/api/v1/chat/completions", "/local/v1/chat/completions"],
    )


def test_T52_comments_are_not_the_first_byte(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(then(say(stream_head() + chunk(OPENROUTER_COMMENT)), reset), sse(chat_stream()))
    reply = daemon.chat(stream=True)
    assert (reply.body, reply.complete) == (chat_stream(), True)
    assert reply.header("x-tollkeeper-attempts") == "2"


@pytest.mark.parametrize("status", [400, 402, 404, 409, 413, 422, 501])
def test_T53_failures_that_stay_are_not_retried(daemon: Daemon, upstream: Upstream, status: int) -> None:
    upstream.expect(json_reply(error_body(code=status), status))
    reply = daemon.chat()
    assert (reply.status, reply.json, len(upstream.calls)) == (status, error_body(code=status), 1)


def test_T53_a_failure_is_logged_by_its_status_whatever_word_its_body_has(daemon: Daemon, upstream: Upstream) -> None:
    error = {"message": "No such model", "type": "invalid_request_error", "code": "model_not_found"}
    upstream.expect(json_reply({"error": error}, 404))
    assert daemon.line_of(daemon.chat())["error"] == "404"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 524, 529])
def test_T53_T54_T61_failures_that_pass_are_retried_and_then_final(
    daemon: Daemon, upstream: Upstream, status: int
) -> None:
    upstream.expect(json_reply(error_body(code=status), status), again=True)
    reply = daemon.chat()
    assert (reply.status, reply.json, len(upstream.calls)) == (status, error_body(code=status), 3)
    assert reply.header("x-should-retry") == "false"
    assert reply.header("x-tollkeeper-attempts") == "3"


def test_T53_a_spent_quota_is_not_retried_but_may_go_elsewhere(daemon: Daemon, upstream: Upstream) -> None:
    spent = json_reply(error_body(code="insufficient_quota", type="insufficient_quota"), 429)
    upstream.expect(spent, spent, path="/or/")
    upstream.expect(GOOD, path="/local/")
    assert daemon.chat().status == 429
    assert len(upstream.calls) == 1
    assert daemon.chat("two-homes").status == 200
    assert len(upstream.calls) == 3


@pytest.mark.parametrize(
    ("status", "elsewhere"), [(401, 1), (402, 1), (403, 1), (404, 1), (400, 0), (413, 0), (422, 0)]
)
def test_T53_what_another_provider_may_answer_differently(
    daemon: Daemon, upstream: Upstream, status: int, elsewhere: int
) -> None:
    upstream.expect(json_reply(error_body(code=status), status), path="/or/")
    upstream.expect(GOOD, path="/local/")
    reply = daemon.chat("two-homes")
    assert len(upstream.calls) == 1 + elsewhere
    assert reply.status == (200 if elsewhere else status)


@pytest.mark.parametrize("status", [500, 529])
def test_T61_a_status_without_a_reason_survives(daemon: Daemon, upstream: Upstream, status: int) -> None:
    upstream.expect(json_reply(error_body(), f"{status} ", [("Retry-After", "60")]))
    assert daemon.chat().status == status


@pytest.mark.parametrize("model", ["brief/x", "two-homes"])
def test_T55_a_call_that_was_sent_and_not_answered_is_not_sent_again(
    start_daemon: StartDaemon, upstream: Upstream, model: str
) -> None:
    daemon = start_daemon(models={"two-homes": {"target": "brief/x", "fallbacks": ["local/llama3.1"]}})
    upstream.expect(hang)
    reply = daemon.chat(model, stream=True)
    assert (reply.status, reply.error["code"], len(upstream.calls)) == (504, "upstream_timeout", 1)
    assert reply.header("x-should-retry") == "false"


def test_T55_a_connection_lost_before_the_answer_is_not_repeated(daemon: Daemon, upstream: Upstream) -> None:
    upstream.hang_up()
    upstream.expect(close, reset)
    for number in (1, 2):
        reply = daemon.chat("two-homes")
        assert (reply.status, reply.error["code"], len(upstream.calls)) == (502, "upstream_reset", number)


@pytest.mark.parametrize("end", [close, reset])
def test_T55_a_kept_connection_that_is_closed_as_a_call_goes_out_is_replaced_once(
    daemon: Daemon, upstream: Upstream, end: Script
) -> None:
    upstream.expect(json_reply(chat_reply()), end, json_reply(chat_reply()))
    assert daemon.chat().status == 200
    reply = daemon.chat()
    assert (reply.status, reply.header("x-tollkeeper-attempts")) == (200, "2")
    _, second, third = upstream.calls[-3:]  # the second over one that served before, if only a list of models
    assert second.connection != third.connection


def test_T55_it_is_replaced_only_once(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), close, close)
    assert daemon.chat().status == 200
    reply = daemon.chat()
    assert (reply.status, reply.error["code"]) == (502, "upstream_reset")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_T60_redirects_are_not_followed(daemon: Daemon, upstream: Upstream, status: int) -> None:
    upstream.expect(plain_reply(b"", status, [("Location", f"{upstream.url}/elsewhere")]))
    reply = daemon.chat()
    assert (reply.status, reply.error["code"], len(upstream.calls)) == (502, "upstream_bad_response", 1)
    assert reply.header("location") is None
    assert daemon.line_of(reply)["cost_usd"] in (None, "0.000000000000")


@pytest.mark.parametrize("framing", [[("Content-Length", "100")], [("Transfer-Encoding", "chunked")]])
@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain"])
def test_T62_a_truncated_body_reaches_the_client_as_truncated(
    daemon: Daemon, upstream: Upstream, framing: Headers, content_type: str
) -> None:
    body = chunk(b"abc") if framing[0][0] == "Transfer-Encoding" else b"abc"
    upstream.expect(then(say(head(200, [*framing, ("Content-Type", content_type)]) + body), close))
    reply = daemon.post("/v1/audio/speech", {"model": "openai/tts", "input": "x"})
    assert reply.status in (200, 502)
    assert reply.status == 502 or not reply.complete
    assert daemon.line_of(reply)["error_type"] is not None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("framing", "body"), [("Content-Length", b""), ("Transfer-Encoding", b""), ("Transfer-Encoding", b"zz\r\n")]
)
def test_T62_a_reply_that_breaks_off_before_its_body_is_an_error_that_can_be_read(
    daemon: Daemon, upstream: Upstream, method: str, framing: str, body: bytes
) -> None:
    value = "chunked" if framing == "Transfer-Encoding" else "3"
    upstream.expect(then(say(head(200, [(framing, value), ("Content-Type", "audio/mpeg")]) + body), close), again=True)
    sent = None if method == "GET" else json.dumps({"model": "openai/tts", "input": "x"}).encode()
    reply = daemon.ask(method, "/v1/files/x/content" if method == "GET" else "/v1/audio/speech", body=sent)
    assert (reply.status, reply.complete, reply.error["code"]) == (502, True, "upstream_reset")
    assert daemon.line_of(reply)["status"] == 502


def test_T62_truncated_json_is_an_error(daemon: Daemon, upstream: Upstream) -> None:
    headers = [("Content-Length", "100"), ("Content-Type", "application/json")]
    upstream.expect(then(say(head(200, headers) + b'{"a'), close))
    reply = daemon.chat()
    assert (reply.status, reply.complete) == (502, True)
    assert reply.error["code"] in ("upstream_reset", "upstream_bad_response")
    assert len(upstream.calls) == 1


def test_T63_after_a_failover_the_reply_tells_the_truth(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(error_body(), 503), path="/or/", again=True)
    upstream.expect(json_reply(chat_reply() | {"model": "llama3.1"}), path="/local/")
    reply = daemon.chat("two-homes")
    assert reply.json["model"] == "llama3.1"
    assert reply.header("x-tollkeeper-provider") == "local"
    assert reply.header("x-tollkeeper-model") == "llama3.1"
    assert reply.header("x-tollkeeper-attempts") == "4"
    assert "model=llama3.1" in (reply.header("x-tollkeeper-adjusted") or "")
    line = daemon.line_of(reply)
    assert (line["provider"], line["served"], line["attempts"]) == ("local", "llama3.1", 4)


def test_T64_a_402_is_an_account_problem(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(json_reply(error_body("Add credits.", 402), 402))
    reply = daemon.chat("openai/gpt-4o:free")
    assert reply.status == 402
    assert daemon.line_of(reply)["error_type"] == "provider_billing"


def test_an_error_event_without_output_goes_to_the_fallback(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(event(error_body(code=402))), path="/or/")
    upstream.expect(sse(chat_stream()), path="/local/")
    reply = daemon.chat("two-homes", stream=True)
    assert (reply.body, reply.header("x-tollkeeper-provider")) == (chat_stream(), "local")


@pytest.mark.parametrize(("host", "attempts"), [("127.0.0.1", "2"), ("0.0.0.0", "3")], ids=["here", "elsewhere"])
def test_a_server_that_is_not_there_gives_way_at_once_here_and_after_one_more_try_elsewhere(
    start_daemon: StartDaemon, upstream: Upstream, host: str, attempts: str
) -> None:
    """Nobody listens at either address; only one of them is known to be this machine's."""
    upstream.expect(GOOD)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: whoever connects is refused
        dead = {"kind": "openai", "base_url": f"http://{host}:{taken.getsockname()[1]}/v1"}
        daemon = start_daemon(
            providers={"dead": dead, "local": {"kind": "openai", "base_url": f"{upstream.url}/local/v1"}},
            models={"m": {"target": "dead/x", "fallbacks": ["local/llama3.1"]}},
            routes=[],
        )
        reply = daemon.chat("m")
    assert (reply.status, reply.header("x-tollkeeper-provider")) == (200, "local")
    assert reply.header("x-tollkeeper-attempts") == attempts
