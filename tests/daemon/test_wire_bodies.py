"""wire.md 6.4 on the real daemon: what a request body may be, and that nothing but the model's name changes in it."""

from __future__ import annotations

import gzip
import json

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import CLIENT_KEY, PROMPT
from harness.steps import json_reply, plain_reply, sse
from harness.upstream import Upstream

pytestmark = pytest.mark.usefixtures("goes_on")

CHAT = "/v1/chat/completions"
GOOD = json_reply(chat_reply())
ODD = (
    b'{ "seed":123456789012345678901234567890 ,\t"a" : 1.0,"b":1e2,"c":"\\u00e9","d":"\\/","e":-0.0,'
    b'"messages":[{"role":"user","content":"model: \\"model\\":\\"x\\" \xf0\x9f\x98\x80"}],\r\n "model"  : "%s","z":[{"model":"y"}],'
    b'"metadata":{"model":"m"},"tools":[{"function":{"parameters":{"properties":{"model":{"type":"string"}}}}}]  }\n'
)
# some end as others do, or as the messages of others do
IN_TURN = [
    b'{"model":"NAME","messages":[{"role":"user","content":"TEXT"}]}',
    b'{"model":"NAME","messages":[{"role":"user","content":"TEXT"}],"stop":["x"]}',
    b'{"model":"NAME","messages":[{"role":"user","content":"TEXT"}],"max_tokens":9}',
    b'{"model":"NAME","messages":[{"role":"user","content":"\\"}],\\"max_tokens\\":9}"}]}',
    b'{"model": "NAME", "messages": [{"role": "user", "content": "TEXT"}]}',
    b'{"messages":[{"role":"user","content":"TEXT"}],"model":"NAME"}',
    b'{"messages":[{"role":"user","content":[{"type":"text","text":"TEXT"}]}],"model":"NAME","stop":["x"]}',
    b'{"model":"NAME","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,TEXT"}}]}]}',
    b'{"model":"NAME","messages": [{"role":"user","content":"TEXT"} ]}',
]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"model":"openai/gpt-4o","model":"openai/o1","messages":[]}', "duplicate_key"),
        (b'{"model":"openai/gpt-4o","messages":[],"messages":[]}', "duplicate_key"),
        (b'{"model":"openai/gpt-4o","mod\\u0065l":"openai/o1"}', "duplicate_key"),
        (b'{"model":"openai/gpt-4o","max_tokens":1,"max_tokens":9000}', "duplicate_key"),
    ],
)
def test_T65_a_member_that_stands_twice_is_refused(daemon: Daemon, upstream: Upstream, body: bytes, code: str) -> None:
    reply = daemon.post(CHAT, body)
    assert (reply.status, reply.error["code"], upstream.calls) == (400, code, [])


def test_T65_another_spelling_of_model_is_refused_as_servers_in_go_would_read_it(
    daemon: Daemon, upstream: Upstream
) -> None:
    reply = daemon.post(CHAT, b'{"model":"openai/gpt-4o","Model":"openai/o1"}')
    assert (reply.status, reply.error["code"], upstream.calls) == (400, "duplicate_key", [])


def test_T65_only_exact_names_count_as_the_same_elsewhere(daemon: Daemon, upstream: Upstream) -> None:
    body = b'{"model":"openai/gpt-4o","Seed":1,"seed":2,"messages":[{"a":1,"a":2}]}'
    upstream.expect(GOOD)
    assert daemon.post(CHAT, body).status == 200
    assert upstream.call.body == body


@pytest.mark.parametrize(("asked", "sent"), [(b"gpt-4o", b"openai/gpt-4o"), (b"local/llama3.2:3b", b"llama3.2:3b")])
def test_T66_T68_only_the_value_of_the_model_changes(
    daemon: Daemon, upstream: Upstream, asked: bytes, sent: bytes
) -> None:
    upstream.expect(GOOD)
    assert daemon.post(CHAT, ODD % asked).status == 200
    assert upstream.call.body == ODD % sent
    assert upstream.call.header("content-length") == str(len(ODD % sent))


def test_T67_a_body_that_needs_no_change_is_sent_as_it_is(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD)
    assert daemon.post(CHAT, ODD % b"openai/gpt-4o").status == 200
    assert upstream.call.body == ODD % b"openai/gpt-4o"


def test_defaults_are_added_only_where_the_client_is_silent(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD, GOOD)
    body = b'{"model":"quiet","max_completion_tokens":5, "messages":[]}'
    first = daemon.post(CHAT, body)
    second = daemon.chat("quiet")
    assert upstream.calls[0].json == {**json.loads(body), "model": "openai/gpt-4o", "temperature": 0.25}
    assert upstream.calls[0].body.startswith(body.replace(b"quiet", b"openai/gpt-4o")[:-1])
    assert first.header("x-tollkeeper-adjusted") == "temperature=0.25"
    assert (upstream.calls[1].json["temperature"], upstream.calls[1].json["max_tokens"]) == (0.25, 77)
    assert set((second.header("x-tollkeeper-adjusted") or "").split(", ")) == {"temperature=0.25", "max_tokens=77"}


PASSING = {
    "T69 a byte order mark": b'\xef\xbb\xbf{"model":"openai/gpt-4o"}',
    "T70 a number beyond floats": b'{"model":"openai/gpt-4o","temperature":1e400,"x":-1E-9999}',
    "T72 a lone surrogate": b'{"model":"openai/gpt-4o","messages":[{"content":"\\ud83d"}],"user":"\\uD83D"}',
    "T79 nulls and empty lists": b'{"model":"openai/gpt-4o","messages":[{"content":null,"reasoning_details":[]}],"tools":[]}',
    "T80 no model": b'{"messages":[]}',
    "T80 a model of null": b'{"model":null,"messages":[]}',
    "T103 white space before": b' \r\n\t{"model":"openai/gpt-4o"}',
    "depth within reason": b'{"model":"openai/gpt-4o","x":' + b"[" * 200 + b"]" * 200 + b"}",
    "a model with an escape": b'{"model":"openai\\/gpt-4o"}',
    "an empty object": b"{}",
}


@pytest.mark.parametrize("name", PASSING)
def test_bodies_that_pass_unchanged(daemon: Daemon, upstream: Upstream, name: str) -> None:
    upstream.expect(GOOD)
    reply = daemon.post(CHAT, PASSING[name])
    assert reply.status == 200, reply.body
    assert upstream.call.body == PASSING[name]
    daemon.line_of(reply)


def test_T71_an_integer_of_five_thousand_digits_is_no_bug_of_ours(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD)
    for member in (b"seed", b"max_tokens", b"n"):
        body = b'{"model":"openai/gpt-4o","%s":%s}' % (member, b"9" * 5000)
        assert daemon.post(CHAT, body).status in (200, 400)
        upstream.expect(GOOD)


REFUSED = {
    "T70 NaN": (b'{"model":"openai/gpt-4o","temperature":NaN}', "invalid_json"),
    "T70 Infinity": (b'{"model":"openai/gpt-4o","temperature":-Infinity}', "invalid_json"),
    "T70 NaN beside a surrogate": (b'{"model":"openai/gpt-4o","a":"\\ud83d","t":NaN}', "invalid_json"),
    "T73 depth": (b'{"model":"openai/gpt-4o","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json_too_deep"),
    "T73 depth of objects": (
        b'{"model":"openai/gpt-4o","x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        "json_too_deep",
    ),
    "T74 a raw control character": (b'{"model":"openai/gpt-4o","x":"a\nb"}', "invalid_json"),
    "T74 rubbish behind": (b'{"model":"openai/gpt-4o"} x', "invalid_json"),
    "T74 a list": (b"[]", "invalid_json"),
    "T74 a string": (b'"x"', "invalid_json"),
    "T74 null": (b"null", "invalid_json"),
    "T74 cut off": (b'{"model":"openai/gpt-4o","messages":[{"ro', "invalid_json"),
    "T74 UTF-16": ('{"model":"openai/gpt-4o"}'.encode("utf-16"), "invalid_json"),
    "a model that is no string": (b'{"model":["openai/gpt-4o"]}', "invalid_value"),
    "a model that is a number": (b'{"model":4}', "invalid_value"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bodies_that_are_refused(daemon: Daemon, upstream: Upstream, name: str) -> None:
    body, code = REFUSED[name]
    before = daemon.cpu_seconds()
    reply = daemon.post(CHAT, body)
    assert daemon.cpu_seconds() - before < 1
    assert (reply.status, reply.error["code"], upstream.calls) == (400, code, [])
    assert reply.error["type"] == "invalid_request_error"
    assert reply.header("x-should-retry") == "false"
    assert body[:200] not in reply.body or len(body) < 10


@pytest.mark.parametrize(
    "body", [b'{"model":"openai/gpt-4o","x":"\xff"}', b'{"model":"openai/gpt-4o","x":{"y":"\xc3"}}']
)
def test_T74_broken_characters_are_refused_or_left_to_the_upstream(
    daemon: Daemon, upstream: Upstream, body: bytes
) -> None:
    upstream.expect(GOOD)
    reply = daemon.post(CHAT, body)
    assert reply.status in (200, 400)
    assert [call.body for call in upstream.calls] == ([body] if reply.status == 200 else [])


def test_T74_an_empty_post_passes_for_the_upstream_to_judge(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD)
    assert daemon.ask("POST", CHAT, body=b"").status == 200
    assert upstream.call.body == b""


@pytest.mark.parametrize("value", [b'"true"', b"1", b"null", b"false", b"[true]"])
def test_T75_only_true_streams(daemon: Daemon, upstream: Upstream, value: bytes) -> None:
    body = b'{"model":"oai/gpt-4o","stream":%s}' % value
    upstream.expect(GOOD)
    reply = daemon.post(CHAT, body)
    assert upstream.call.body == body.replace(b"oai/gpt-4o", b"gpt-4o")
    assert daemon.line_of(reply)["stream"] is False


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "GZIP", "identity, gzip"])
def test_T76_compressed_bodies_are_refused(daemon: Daemon, upstream: Upstream, encoding: str) -> None:
    reply = daemon.post(CHAT, gzip.compress(b'{"model":"openai/gpt-4o"}'), [("Content-Encoding", encoding)])
    assert (reply.status, reply.error["code"], upstream.calls) == (415, "unsupported_encoding", [])


@pytest.mark.parametrize("codings", [b"gzip, chunked", b"deflate,chunked", b"identity, chunked"])
def test_T76_bodies_coded_on_their_way_are_refused_too(daemon: Daemon, upstream: Upstream, codings: bytes) -> None:
    body = gzip.compress(b"{}")
    head = daemon.request("POST", "/v1/files").partition(b"\r\n\r\n")[0]
    with daemon.connect() as connection:
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        connection.send(head + b"\r\nTransfer-Encoding: " + codings + b"\r\n\r\n" + chunks)
        reply = connection.read_reply()
        assert (reply.status, reply.error["code"], upstream.calls) == (415, "unsupported_encoding", [])
        assert connection.read_to_end() == b""


def test_T77_thirty_megabytes_pass(daemon: Daemon, upstream: Upstream) -> None:
    image = b"A" * (30 * 2**20)
    body = b'{"messages":[{"content":"data:image/png;base64,' + image + b'"}],"model":"%s"}'
    upstream.expect(GOOD)
    assert daemon.post(CHAT, body % b"gpt-4o").status == 200
    assert upstream.call.body == body % b"openai/gpt-4o"


def test_T77_a_body_above_the_limit_is_refused_before_it_is_sent(daemon: Daemon, upstream: Upstream) -> None:
    head = daemon.request("POST", CHAT, [("Content-Length", str(64 * 2**20 + 1))])
    with daemon.connect() as connection:
        connection.send(head)
        reply = connection.read_reply()
        assert (reply.status, reply.error["code"], upstream.calls) == (413, "request_too_large", [])
        assert "allowed by `max_body`" in reply.error["message"]


def test_T77_a_chunked_body_above_the_limit_is_refused(start_daemon: object, upstream: Upstream) -> None:
    small: Daemon = start_daemon(max_body="64KiB")  # type: ignore[operator]
    with small.connect() as connection:
        connection.send(small.request("POST", CHAT, [("Transfer-Encoding", "chunked")]))
        connection.send(b"10001\r\n" + b" " * 65537 + b"\r\n")
        reply = connection.read_reply()
        assert (reply.status, reply.error["code"], upstream.calls) == (413, "request_too_large", [])
        assert "allowed by `max_body`" in reply.error["message"]
    exactly = b'{"model":"openai/gpt-4o"}'.ljust(65536)
    upstream.expect(GOOD)
    assert small.post(CHAT, exactly).status == 200


FORM = (
    b'preamble\r\n--b0und\r\nContent-Disposition: form-data; name="file"; filename="na\\"me \xc3\xa9.wav"\r\n'
    b"Content-Type: audio/wav\r\nX-Part: 1\r\n\r\n" + bytes(range(256)) * 64 + b"\r\n--b0und-not\r\n"
    b"\r\n--b0und\r\ncontent-disposition: form-data; name=model\r\n\r\n%s\r\n"
    b'--b0und\r\nContent-Disposition: form-data; name="temperature"\r\n\r\n0.0\r\n--b0und--\r\nepilogue'
)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=b0und", 'Multipart/Form-Data; charset=x; boundary="b0und"']
)
@pytest.mark.parametrize(
    ("asked", "sent"), [(b"oai/whisper-1", b"whisper-1"), (b"openai/whisper-1", b"openai/whisper-1")]
)
def test_T78_a_form_passes_but_for_the_model(
    daemon: Daemon, upstream: Upstream, content_type: str, asked: bytes, sent: bytes
) -> None:
    form = FORM.replace(b"%s", asked)
    upstream.expect(json_reply({"text": "x"}))
    reply = daemon.ask("POST", "/v1/audio/transcriptions", [("Content-Type", content_type)], form)
    assert reply.status == 200, reply.body
    assert upstream.call.body == FORM.replace(b"%s", sent)
    assert upstream.call.header("content-type") == content_type


def test_T78_a_form_for_files_is_not_even_read(daemon: Daemon, upstream: Upstream) -> None:
    rubbish = b"--b0und\r\nnot a form at all" + bytes(range(256))
    upstream.expect(json_reply({"id": "file-1"}))
    content_type = "multipart/form-data; boundary=b0und"
    assert daemon.ask("POST", "/v1/files?purpose=x", [("Content-Type", content_type)], rubbish).status == 200
    assert upstream.call.body == rubbish
    assert upstream.call.target == "/or/api/v1/files?purpose=x"


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"]
)
def test_T81_json_is_json_whatever_it_is_called(daemon: Daemon, upstream: Upstream, content_type: str) -> None:
    upstream.expect(GOOD)
    assert daemon.post(CHAT, {"model": "gpt-4o"}, [("Content-Type", content_type)]).status == 200
    assert upstream.call.json == {"model": "openai/gpt-4o"}
    assert upstream.call.header("content-type") == content_type


def test_T81_json_without_a_content_type(daemon: Daemon, upstream: Upstream) -> None:
    body = b'{"model":"gpt-4o"}'
    upstream.expect(GOOD)
    with daemon.connect() as connection:
        head = daemon.request("POST", CHAT, [("Content-Length", str(len(body)))])
        connection.send(head + body)
        assert connection.read_reply().status == 200
    assert upstream.call.json == {"model": "openai/gpt-4o"}
    assert upstream.call.header("content-type") is None


def test_binary_replies_and_requests_pass(daemon: Daemon, upstream: Upstream) -> None:
    blob = bytes(range(256)) * 1000
    upstream.expect(plain_reply(blob, headers=[("Content-Type", "application/octet-stream")]))
    reply = daemon.ask("POST", "/v1/uploads/u1/parts", [("Content-Type", "application/octet-stream")], blob)
    assert (reply.body, upstream.call.body) == (blob, blob)


def test_a_json_reply_passes_byte_by_byte(daemon: Daemon, upstream: Upstream) -> None:
    body = (
        b'\n{ "choices" :[ {"message":{"content":"\\ud83d \xc3\xa9 \\/"}, "finish_reason":"stop"}],\t"n":1.50e+1 } \n'
    )
    upstream.expect(json_reply(body))
    assert daemon.chat().body == body


def test_a_json_reply_above_the_size_that_is_read_whole_passes(daemon: Daemon, upstream: Upstream) -> None:
    body = b'{"choices":[{"message":{"content":"' + b"x" * (12 * 2**20) + b'"},"finish_reason":"stop"}]}'
    upstream.expect(json_reply(body))
    reply = daemon.chat()
    assert (reply.body == body, reply.complete) == (True, True)


def test_the_prompt_reaches_the_upstream_and_nothing_else(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(sse(b"data: [DONE]\n\n"))
    daemon.line_of(daemon.chat(stream=True))
    assert PROMPT.encode() in upstream.call.body
    assert PROMPT not in daemon.output


@pytest.mark.parametrize(
    "name", ["\ud83d", "a\nb", "x" * 100_000, CLIENT_KEY, "a\x1b[31m/b", "openai/\ud83d", "", " ", "../x"]
)
def test_T72_hostile_model_names_break_neither_reply_nor_log(daemon: Daemon, upstream: Upstream, name: str) -> None:
    upstream.expect(GOOD)
    reply = daemon.post(CHAT, {"model": name})
    assert reply.status in (200, 404)
    assert len(str(daemon.line_of(reply)["model"])) < 3000
    assert reply.status == 200 or len(reply.raw) < 1000, "the name is not repeated"


def test_of_names_and_members_in_turn_each_call_goes_out_as_its_own(daemon: Daemon, upstream: Upstream) -> None:
    upstream.expect(GOOD, again=True)
    names = {b"gpt-4o": b"openai/gpt-4o", b"openai/gpt-4o": b"openai/gpt-4o", b"local/llama3.2:3b": b"llama3.2:3b"}
    for turn in range(4):
        for ask in IN_TURN:
            for asked, sent in names.items():
                body = ask.replace(b"TEXT", b"%d" % 7**turn)
                reply = daemon.post(CHAT, body.replace(b"NAME", asked))
                assert (reply.status, upstream.calls[-1].body) == (200, body.replace(b"NAME", sent))
        calls = len(upstream.calls)
        for twice in (
            b'{"model":"gpt-4o","messages":[],"messages":[]}',
            b'{"messages":[],"model":"x","model":"gpt-4o"}',
        ):
            assert daemon.post(CHAT, twice).error["code"] == "duplicate_key"
        assert len(upstream.calls) == calls
