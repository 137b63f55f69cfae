"""Every request the quick lane may take is answered as the HTTP library's way answers it: each case is sent both ways.

A head goes by the library until it has come twice; the same bytes go by the lane from then on. What the third call needed, a
later one that differs in its messages only does not work out again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_chunk, chat_reply, chat_stream, error_body, responses_stream
from harness.http import Reply
from harness.setting import CLIENT_KEY
from harness.steps import Script, close, json_reply, plain_reply, sse, then
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

GOOD = json_reply(chat_reply())
CHAT = "/v1/chat/completions"
BEARER = ("Authorization", f"Bearer {CLIENT_KEY}")
# what differs from one call to the next
_OWN = re.compile(rb"req_[0-9a-f]+|(?<=[Dd]ate: )[^\r]+|\d+(?=ms|\.\d+s)|(?<=remaining-requests: )\d+|(?<=dur=)[\d.]+")


TALK = [{"role": "user", "content": "naïve\n" * 1000}] * 40
PICTURE = "data:image/png;base64," + "A" * 100_000


class Case:
    """A request, and what the provider answers where it gets there."""

    def __init__(
        self,
        body: Any = None,
        script: Script | None = GOOD,
        *,
        target: str = CHAT,
        method: str = "POST",
        key: bool = True,
        route: str | None = None,
        times: int = 5,
    ) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(chat_body() if body is None else body).encode()
        self.script, self.target, self.method, self.key, self.times = script, target, method, key, times
        self.headers = [] if route is None else [("x-tollkeeper-route", route)]


CASES = {
    "a chat": Case(),
    "a stream": Case(chat_body(stream=True), sse(chat_stream())),
    # more of those that fail would open a breaker
    "a stream without its end": Case(chat_body(stream=True), then(sse(chat_chunk("Hel"), end=False), close), times=3),
    "an alias with a fallback": Case(chat_body("two-homes")),
    "a messages call": Case({"model": "claude-sonnet-4", "max_tokens": 5, "messages": []}, target="/v1/messages"),
    "a response": Case({"model": "gpt-4o", "input": "Hi", "max_output_tokens": 5}, target="/v1/responses"),
    "a response to items": Case(
        {"model": "gpt-4o", "instructions": "Be brief.", "input": [{"role": "user", "content": "Hi"}], "stream": True},
        sse(responses_stream()),
        target="/v1/responses",
    ),
    "defaults of an alias": Case(chat_body("quiet")),
    "defaults of an alias for a stream": Case(chat_body("quiet", stream=True), sse(chat_stream())),
    "a stream at OpenAI": Case(chat_body("oai/gpt-4o", stream=True), sse(chat_stream())),
    "a model behind the messages": Case(b'{"messages":[{"role":"user","content":"Hi"}],"model":"two-homes"}'),
    "a session in the body": Case(chat_body(session_id="s-1", user="ann")),
    "an error of the provider": Case(script=json_reply(error_body("No.", 400), 400)),
    "an error without a body": Case(script=plain_reply(b"", 400)),
    "a reply that is no JSON": Case(script=plain_reply(b"\x00\x01", headers=[("Content-Type", "audio/mpeg")])),
    "a reply without a body": Case(script=plain_reply(b"", 204)),
    "an unknown model": Case(chat_body("nobody/knows"), None),
    "a large chat": Case(chat_body(user="x" * 500_000)),
    "a long talk": Case(chat_body(messages=TALK, temperature=0.5)),
    "a long talk with a picture": Case(
        chat_body(messages=[*TALK, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}])
    ),
    "a long talk cut in a character": Case(
        json.dumps(chat_body(messages=TALK), ensure_ascii=False).encode().replace("ï".encode(), b"\xc3", 1), None
    ),
    "a large stream": Case(chat_body(stream=True, user="x" * 70_000), sse(chat_stream())),
    "a large body that is no JSON": Case(b"{" + b" " * 500_000, None),
    "no JSON": Case(b"{", None),
    "a member twice": Case(b'{"model":"a","model":"b"}', None),
    "no body": Case(b"", GOOD),
    "no key": Case(None, None, key=False),
    "a path that is none": Case(None, None, target="/v2/chat", times=3),
    "a path that climbs": Case(None, None, target="/v1/../admin"),
    "the list of models": Case(b"", None, target="/v1/models", method="GET"),
    "the head of the list": Case(b"", None, target="/v1/models", method="HEAD"),
    "health": Case(b"", None, target="/healthz", method="GET"),
    "a provider by the header": Case(route="oai"),
    "a provider by the body": Case({**chat_body(), "tollkeeper": {"provider": "oai"}}),
    "a provider by both": Case({**chat_body(), "tollkeeper": {"provider": "oai"}}, route="oai"),
    "two providers": Case({**chat_body(), "tollkeeper": {"provider": "oai"}}, None, route="local"),
    "two providers, one in the model's name": Case(chat_body("local/x"), None, route="oai"),
    "a provider that is none": Case(None, None, route="oia"),
    "no word that we know": Case({**chat_body(), "tollkeeper": {"fallback": False}}, None, times=3),
    "what is deleted": Case(b"", json_reply({"deleted": True}), target="/v1/files/f", method="DELETE"),
}


def sent(daemon: Daemon, upstream: Upstream, case: Case, headers: list[tuple[str, str]]) -> Reply:
    if case.script is not None:
        upstream.expect(case.script)
    own = [BEARER] if case.key else [("Authorization", "Bearer sk-nobody")]
    return daemon.ask(case.method, case.target, [*own, *headers, *case.headers], case.body or None)


def plain(reply: Reply) -> tuple[int, list[tuple[str, bytes]], bytes, bool]:
    """A reply without what differs from call to call."""
    headers = [(name.lower(), _OWN.sub(b"*", f"{name}: {value}".encode())) for name, value in reply.headers]
    return reply.status, headers, _OWN.sub(b"*", reply.body), reply.complete


# of connections with one request
LAST = (
    "a chat",
    "a stream",
    "a large chat",
    "a reply without a body",
    "no JSON",
    "no key",
    "the head of the list",
    "health",
)


@pytest.mark.parametrize(
    ("name", "connection"), [(name, "keep-alive") for name in CASES] + [(name, "close") for name in LAST]
)
def test_both_ways_say_the_same(daemon: Daemon, upstream: Upstream, name: str, connection: str) -> None:
    case, headers = CASES[name], [("X-Case", name), ("Connection", connection)]
    first, second, *others = (sent(daemon, upstream, case, headers) for _ in range(case.times))
    assert [plain(first)] * (case.times - 1) == [plain(reply) for reply in (second, *others)]
    arrived = {(call.head, call.body) for call in upstream.calls}
    assert len(arrived) == (1 if upstream.calls else 0)
    has_id = first.header("x-tollkeeper-request-id") is not None
    if has_id:
        assert len({reply.request_id for reply in (first, second, *others)}) == case.times
    lines = [daemon.line_of(reply) for reply in (first, second, *others)] if has_id else []
    told = [
        {field: value for field, value in line.items() if field in ("status", "error", "model", "key")}
        for line in lines
    ]
    assert told[:1] * (case.times - 1) == told[1:] or not told


def test_headers_that_only_pass_may_differ_every_time(daemon: Daemon, upstream: Upstream) -> None:
    traces = [f"trace-{number}" for number in (1, 2, 3, 4, 5, 5, 5, 6)]
    replies = [
        sent(daemon, upstream, Case(), [("X-Only-Passes", trace), ("x-session-id", f"s-{at // 4}")])
        for at, trace in enumerate(traces)
    ]
    assert [reply.status for reply in replies] == [200] * 8
    arrived = [re.findall(rb"X-Only-Passes: ([^\r]+)", call.head) for call in upstream.calls]
    assert arrived == [[trace.encode()] for trace in traces]
    assert len({re.sub(rb"trace-\d|s-\d|(?<=Content-Length: )\d+", b"", call.head) for call in upstream.calls}) == 1
    assert [daemon.line_of(reply)["session"] for reply in replies] == ["s-0"] * 4 + ["s-1"] * 4


# a header that only passes, and what somebody may hope to smuggle in as its value
ODD_VALUES = [
    b"a", b"", b" ", b"\t", b"x y", b"\x00", b"\x01", b"\x0b", b"\x7f", b"\x80", b"\x85", b"\xff\xfe", b"\xc3\xa9", b"\r", b"\n", b":", b'"\\%',
    b"\r\n c", b"\r\n\tc", b"\r\nB", b"\r\n: b", b"\nContent-Length: 3", b"\r\nContent-Length: 1", b"\r\nContent-length: 1",
    b"\r\nTransfer-Encoding: chunked", b"\r\nConnection: close, X-Free", b"\r\nX-Free: b", b"\r\nX-Free : b", b"\r\nHost: evil.example",
    b"x" * 4096, b"x" * 4097, b"x" * 8180, b"x" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("separator", [b": ", b":", b":\t ", b" : "])
def test_whatever_is_said_in_a_header_that_only_passes(daemon: Daemon, upstream: Upstream, separator: bytes) -> None:
    body = json.dumps(chat_body()).encode()
    upstream.expect(GOOD, again=True)

    def said(tag: str, value: bytes) -> tuple[int, bytes, list[bytes]]:
        """The answer, and what reached the provider: by the library where no such tag came before."""
        own = f"Authorization: {BEARER[1]}\r\nx-tollkeeper-tags: {tag}\r\nContent-Type: application/json\r\n".encode()
        lines = (
            b"Host: 127.0.0.1\r\n" + own + b"X-Free" + separator + value + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        before = len(upstream.calls)
        with daemon.connect() as connection:
            connection.send(f"POST {CHAT} HTTP/1.1\r\n".encode() + lines + body)
            reply = connection.read_reply()
        refusal = b"" if reply.status == 200 else _OWN.sub(b"*", reply.body)
        return reply.status, refusal, [call.head for call in upstream.calls[before:]]

    known = "known-" + separator.hex()
    for _ in range(2):
        said(known, b"a")
    for number, value in enumerate(ODD_VALUES):
        assert said(known, value) == said(f"{known}-{number}", value), value


@pytest.mark.parametrize("model", ["openai/gpt-4o", "two-homes", "quiet"])
def test_users_may_differ_every_time(daemon: Daemon, upstream: Upstream, model: str) -> None:
    users = ["ann", "bob", "", 'with "quotes"', "ü", "ann", "eve"]
    cases = [
        Case({"messages": [{"role": "user", "content": user}], "model": model, "n": 1, "user": user}) for user in users
    ]
    replies = [sent(daemon, upstream, case, [("X-Users", model)]) for case in cases]
    assert [reply.status for reply in replies] == [200] * len(users)
    arrived = [json.loads(call.body) for call in upstream.calls]
    assert [body["user"] for body in arrived] == users == [body["messages"][0]["content"] for body in arrived]
    assert len({json.dumps({**body, "user": "", "messages": []}) for body in arrived}) == 1


INPUTS: list[Any] = [
    "Hi", "", 'with "quotes"', "ü", [{"role": "user", "content": "Hi"}], [], "Hi",
    [{"type": "function_call_output", "call_id": "c", "output": "done"}], [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}],
    [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}], None, 7, {"role": "user"},
]  # fmt: skip


@pytest.mark.parametrize("behind", [{}, {"max_output_tokens": 9, "user": "ann"}])
def test_what_a_response_is_asked_for_may_differ_every_time(
    daemon: Daemon, upstream: Upstream, behind: dict[str, Any]
) -> None:
    asked = [value for value in INPUTS for _ in range(2)]
    bodies = [{"model": "openai/gpt-4o", "input": value, **behind} for value in asked]
    replies = [
        sent(daemon, upstream, Case(body, target="/v1/responses"), [("X-Inputs", str(len(behind)))]) for body in bodies
    ]
    assert [reply.status for reply in replies] == [200] * len(asked)
    assert [json.loads(call.body)["input"] for call in upstream.calls] == asked
    assert len({json.dumps({**json.loads(call.body), "input": ""}) for call in upstream.calls}) == 1


def test_both_ways_say_where_the_time_went(start_daemon: Callable[..., Daemon], upstream: Upstream) -> None:
    timed = start_daemon(keys={"alice": {"key": CLIENT_KEY, "timing": True}})
    for name in ("a chat", "a stream", "an unknown model", "an error of the provider", "the list of models"):
        first, second, third = (sent(timed, upstream, CASES[name], [("X-Timed", name)]) for _ in range(3))
        assert first.header("server-timing")
        assert plain(first) == plain(second) == plain(third)


@pytest.mark.parametrize("cut", [3, 40, -1])
def test_a_request_in_two_pieces_is_one(daemon: Daemon, upstream: Upstream, cut: int) -> None:
    upstream.expect(GOOD, GOOD, GOOD)
    request = daemon.request("POST", CHAT, [BEARER, ("X-Cut", str(cut))], json.dumps(chat_body()).encode())
    with daemon.connect() as connection:
        for _ in range(2):
            connection.send(request)
            assert connection.read_reply().status == 200
        connection.send(request[:cut])
        connection.send(request[cut:])
        assert connection.read_reply().status == 200


@pytest.mark.parametrize("behind", [0, 1])
def test_after_the_last_request_of_a_connection_it_is_closed_both_ways(
    daemon: Daemon, upstream: Upstream, behind: int
) -> None:
    upstream.expect(*[GOOD] * 4)
    last = [BEARER, ("Connection", "close"), ("X-Last", str(behind))]
    request = daemon.request("POST", CHAT, last, json.dumps(chat_body()).encode())
    for _ in range(4):
        with daemon.connect() as connection:
            connection.send(request * (1 + behind))
            reply = connection.read_reply()
            assert (reply.status, reply.header("connection")) == (200, "close")
            assert connection.read_to_end() == b""
    assert len(upstream.calls) == 4


@pytest.mark.parametrize("connection", [[], [("Connection", "Keep-Alive")], [("Connection", "close")]])
@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0_is_spoken_both_ways(
    daemon: Daemon, upstream: Upstream, connection: list[tuple[str, str]], stream: bool
) -> None:
    script = sse(chat_stream()) if stream else GOOD
    upstream.expect(*[script] * 4)
    headers = [BEARER, *connection, ("X-Version", f"1.0 {stream}")]
    request = daemon.request("POST", CHAT, headers, json.dumps(chat_body(stream=stream)).encode())
    replies = []
    for _ in range(4):
        with daemon.connect() as opened:
            opened.send(request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
            replies.append(opened.read_reply())
    said, is_kept = replies[0].header("connection"), bool(connection) and connection[0][1] != "close" and not stream
    assert said == ("keep-alive" if is_kept else "close")
    assert replies[0].header("transfer-encoding") is None
    assert [plain(reply) for reply in replies] == [plain(replies[0])] * 4


def test_requests_sent_at_once_are_answered_in_their_order(daemon: Daemon, upstream: Upstream) -> None:
    replies = [chat_reply(f"answer {number}") for number in range(6)]
    upstream.expect(*map(json_reply, replies))
    request = daemon.request("POST", CHAT, [BEARER, ("X-At", "once")], json.dumps(chat_body()).encode())
    with daemon.connect() as connection:
        for reply in replies[:2]:
            connection.send(request)
            assert connection.read_reply().json == reply
        connection.send(request * 4)
        assert [connection.read_reply().json for _ in range(4)] == replies[2:]


def test_large_requests_sent_at_once_are_answered_in_their_order(daemon: Daemon, upstream: Upstream) -> None:
    replies = [chat_reply(f"answer {number}") for number in range(6)]
    upstream.expect(*map(json_reply, replies))
    bodies = [json.dumps(chat_body(user="x" * size)).encode() for size in (1, 1, 300_000, 1, 2**21, 70_000)]
    requests = [daemon.request("POST", CHAT, [BEARER, ("X-Large", "at once")], body) for body in bodies]
    with daemon.connect() as connection:
        for request, reply in zip(requests[:2], replies[:2], strict=True):
            connection.send(request)
            assert connection.read_reply().json == reply
        connection.send(b"".join(requests[2:]))
        assert [connection.read_reply().json for _ in range(4)] == replies[2:]
    assert [call.body for call in upstream.calls] == bodies


@pytest.mark.parametrize("control", [b"\n", b"\x0b", b"\r", b"\x00", b"\nTransfer-Encoding: chunked"])
def test_a_credential_with_a_control_character_is_refused_both_ways(
    daemon: Daemon, upstream: Upstream, control: bytes
) -> None:
    upstream.expect(GOOD, GOOD)
    good = daemon.request("POST", CHAT, [("X-Control", control.hex()), BEARER], json.dumps(chat_body()).encode())
    with daemon.connect() as connection:
        for _ in range(2):
            connection.send(good)
            assert connection.read_reply().status == 200
        connection.send(good.replace(CLIENT_KEY.encode(), CLIENT_KEY.encode() + control))
        reply = connection.read_reply()
    assert reply.status == 400
    assert len(upstream.calls) == 2
