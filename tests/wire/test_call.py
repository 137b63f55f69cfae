"""Requests as they are read, and the bytes that go out for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.errors import CallerError, DuplicateKey, InvalidJson, InvalidValue
from proxy.wire.call import Call, Defaults, applied_defaults, read_call
from proxy.wire.endpoints import endpoint_for
from proxy.wire.outgoing import Change, asks_for_usage, outgoing

JSON = "application/json"


def call_of(body: bytes, *, path: str = "/chat/completions", content_type: str = JSON, method: str = "POST") -> Call:
    return read_call(endpoint_for(method, path), method, (path, ""), (content_type, body))


def sent(body: bytes, change: Change) -> bytes:
    return b"".join(outgoing(call_of(body), change))


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "text/plain", ""])
def test_json_is_read_whatever_its_content_type(content_type: str) -> None:
    call = call_of(b'\n {"model":"gpt-4o","stream":true}', content_type=content_type)
    assert (call.model, call.stream, call.content_type) == ("gpt-4o", True, content_type)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b"{}", None),
        (b'{"model":null}', None),
        (b'{"model":""}', ""),
        (b'{"model":"a/b:c"}', "a/b:c"),
        (b'{"model":"\\ud83d"}', "\ufffd"),
        (b'{"metadata":{"model":"no"},"messages":[{"content":"model"}],"model":"yes"}', "yes"),
    ],
)
def test_the_model_is_the_top_level_string(body: bytes, model: str | None) -> None:
    assert call_of(body).model == model


@pytest.mark.parametrize("value", [b"1", b"true", b"[]", b"{}", b'["gpt-4o"]', b"1.5"])
def test_a_model_that_is_no_string_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidValue) as caught:
        call_of(b'{"model":' + value + b"}")
    assert caught.value.param == "model"


@pytest.mark.parametrize("field", ["model", "stream", "max_tokens", "models", "preset"])
def test_a_field_that_cannot_be_read_is_refused(field: str) -> None:
    with pytest.raises(InvalidJson, match=field):
        call_of(b'{"' + field.encode() + b'":' + b"7" * 5000 + b"}")


@pytest.mark.parametrize(
    ("value", "stream"),
    [(b"true", True), (b"false", False), (b"null", False), (b"1", False), (b'"true"', False), (b"[true]", False)],
)
def test_only_json_true_streams(value: bytes, stream: bool) -> None:
    assert call_of(b'{"stream":' + value + b"}").stream is stream


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{}", ()),
        (b'{"max_tokens":5}', ("max_tokens",)),
        (b'{"max_completion_tokens":6}', ("max_completion_tokens",)),
        (b'{"max_output_tokens":7}', ("max_output_tokens",)),
        (b'{"max_tokens":5,"max_completion_tokens":6}', ("max_tokens", "max_completion_tokens")),
        (b'{"max_tokens":null}', ()),
        (b'{"max_tokens":"5"}', ("max_tokens",)),
    ],
)
def test_the_members_that_limit_the_output_are_known(body: bytes, fields: tuple[str, ...]) -> None:
    assert call_of(body).max_fields == fields


@pytest.mark.parametrize("name", ["Model", "MODEL", "mOdel"])
def test_a_model_in_another_case_is_refused(name: str) -> None:
    body = f'{{"model":"a","{name}":"b"}}'.encode()
    with pytest.raises(DuplicateKey):
        call_of(body)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"{}", ()),
        (b'{"models":["a","b"]}', ("a", "b")),
        (b'{"fallbacks":[{"model":"c"},"d"]}', ("c", "d")),
        (b'{"models":["a"],"fallbacks":["b"]}', ("a", "b")),
        (b'{"models":[1,null,{"model":2},{},["x"]]}', ()),
        (b'{"models":"a"}', ()),
        (b'{"models":null}', ()),
        (b'{"preset":"mine","models":["a"]}', ("@preset/mine", "a")),
        (b'{"preset":"@preset/mine"}', ("@preset/mine",)),
        (b'{"preset":7}', ()),
        (b'{"models":["a","b","a"],"fallbacks":["b"]}', ("a", "b")),
    ],
)
def test_every_model_that_may_serve_instead_is_named(body: bytes, names: tuple[str, ...]) -> None:
    assert call_of(body).also_models == names


def test_more_models_than_anybody_means_are_refused() -> None:
    names = ",".join(f'"a/{number}"' for number in range(101))
    with pytest.raises(InvalidValue, match="100 models at most"):
        call_of(f'{{"models":[{names}]}}'.encode())
    assert len(call_of(f'{{"models":[{names.rpartition(",")[0]}]}}'.encode()).also_models) == 100


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/models", b""),
        ("POST", "/files", b"\x00not json"),
        ("POST", "/videos", b"{not json"),
        ("POST", "/chat/completions", b""),
        ("DELETE", "/responses/resp_1", b"{not json"),
    ],
)
def test_bodies_without_a_model_are_not_read_and_go_out_as_they_are(method: str, path: str, body: bytes) -> None:
    call = call_of(body, path=path, method=method)
    assert (call.model, call.stream, call.document, call.form) == (None, False, None, None)
    assert outgoing(call, Change(model="x", include_usage=True)) == [body]
    assert not asks_for_usage(call)
    assert applied_defaults(call, (("n", b"1"),), "max_tokens") == []


CHANGED = [
    ("nothing at all", b' {"model" : "a"}\n', Change(), b' {"model" : "a"}\n'),
    ("the same model", b'{"model":"\\u0061"}', Change(model="a"), b'{"model":"\\u0061"}'),
    ("another model", b'{"x":1.0,"model":"a","y":"\\/"}', Change(model="b/c"), b'{"x":1.0,"model":"b/c","y":"\\/"}'),
    ("a model where none was", b'{"x":1}', Change(model="b"), b'{"x":1,"model":"b"}'),
    ("a model in place of null", b'{"model":null}', Change(model="b"), b'{"model":"b"}'),
    ("a model with quotes", b'{"model":"a"}', Change(model='b"\\'), b'{"model":"b\\"\\\\"}'),
    ("a model with half an emoji", b'{"model":"x/\\ud83d"}', Change(model="\ud83d"), b'{"model":"\\ud83d"}'),
    ("a member replaced", b'{"max_tokens":9 }', Change(members=(("max_tokens", b"5"),)), b'{"max_tokens":5 }'),
    ("a member added", b'{"n":1}', Change(members=(("max_tokens", b"5"),)), b'{"n":1,"max_tokens":5}'),
    ("everything", b'{"model":"a","stream":true}', Change("b", (("t", b"1"), ("max_tokens", b"5")), True),
     b'{"model":"b","stream":true,"t":1,"max_tokens":5,"stream_options":{"include_usage":true}}'),
]  # fmt: skip


TEMPERATURE, LIMIT, NEWER = ("t", b"0.5"), ("max_tokens", b"9"), ("max_completion_tokens", b"8")
DEFAULTED = [
    (b"{}", (TEMPERATURE, ("n", b"2")), "max_tokens", [TEMPERATURE, ("n", b"2")]),
    (b'{"t":null}', (TEMPERATURE,), "max_tokens", []),
    (b"{}", (LIMIT,), "max_tokens", [LIMIT]),
    (b"{}", (LIMIT, TEMPERATURE), "max_output_tokens", [TEMPERATURE, ("max_output_tokens", b"9")]),
    (b"{}", (LIMIT, NEWER), "max_completion_tokens", [("max_completion_tokens", b"9")]),
    (b"{}", (LIMIT, TEMPERATURE), None, [TEMPERATURE]),
    (b'{"max_completion_tokens":1}', (LIMIT, TEMPERATURE), "max_tokens", [TEMPERATURE]),
    (b'{"max_output_tokens":0}', (LIMIT,), "max_tokens", []),
    (b'{"max_tokens":"many"}', (LIMIT,), "max_output_tokens", []),
    (b'{"max_tokens":null}', (LIMIT,), "max_tokens", [LIMIT]),
    (b'{"max_tokens":null}', (LIMIT,), "max_completion_tokens", [("max_completion_tokens", b"9")]),
]


@pytest.mark.parametrize(("body", "defaults", "field", "due"), DEFAULTED)
def test_defaults_fill_what_the_client_left_open_and_limits_go_by_one_name(
    body: bytes, defaults: Defaults, field: str | None, due: list[tuple[str, bytes]]
) -> None:
    assert applied_defaults(call_of(body), defaults, field) == due


@pytest.mark.parametrize(("body", "change", "expected"), [row[1:] for row in CHANGED], ids=[row[0] for row in CHANGED])
def test_only_what_is_to_differ_differs(body: bytes, change: Change, expected: bytes) -> None:
    assert sent(body, change) == expected
    assert json.loads(expected) is not None


USAGE = [
    (b"{}", b'{"stream_options":{"include_usage":true}}', False),
    (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}', False),
    (b'{"stream_options":{}}', b'{"stream_options":{"include_usage":true}}', False),
    (b'{"stream_options":{ "include_obfuscation" : false }}',
     b'{"stream_options":{ "include_obfuscation" : false,"include_usage":true }}', False),
    (b'{"stream_options":{"include_usage":false,"x":1}}', b'{"stream_options":{"include_usage":true,"x":1}}', False),
    (b'{"stream_options":{"include_usage":null}}', b'{"stream_options":{"include_usage":true}}', False),
    (b'{"stream_options":{"include_usage" : true}}', b'{"stream_options":{"include_usage" : true}}', True),
    (b'{"stream_options":true}', b'{"stream_options":true}', False),
    (b'{"stream_options":[]}', b'{"stream_options":[]}', False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected", "asked"), USAGE)
def test_asking_for_usage_keeps_the_other_stream_options(body: bytes, expected: bytes, asked: bool) -> None:
    assert sent(body, Change(include_usage=True)) == expected
    assert asks_for_usage(call_of(body)) is asked
    assert asks_for_usage(call_of(expected)) is (expected != body or asked)


@pytest.mark.parametrize("body", [row[0] for row in USAGE])
def test_without_the_flag_stream_options_stay_as_they_are(body: bytes) -> None:
    assert outgoing(call_of(body), Change()) == [body]


def test_stream_options_that_repeat_a_member_are_refused_not_rewritten() -> None:
    with pytest.raises(DuplicateKey):
        sent(b'{"stream_options":{"include_usage":false,"include_usage":false}}', Change(include_usage=True))


def form(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"".join(b"--XyZ\r\nContent-Disposition: form-data; " + h + b"\r\n\r\n" + v + b"\r\n" for h, v in parts)
    return body + b"--XyZ--\r\n"


FILE = (
    'name="file"; filename="caf\u00e9 \\"quoted\\"; name=model.mp3"'.encode(),
    b'\x00\xff\r\n--Xy {"model":"no"}\r\n',
)
MODEL = (b'name="model"', b"whisper-1")
FORM_TYPE = "multipart/form-data; boundary=XyZ"


def form_call(body: bytes, content_type: str = FORM_TYPE) -> Call:
    return call_of(body, path="/audio/transcriptions", content_type=content_type)


@pytest.mark.parametrize("parts", [(MODEL, FILE), (FILE, MODEL), (FILE, MODEL, FILE)])
def test_the_model_of_a_form_is_changed_in_place_before_or_after_the_file(parts: tuple[Any, ...]) -> None:
    body = form(*parts)
    call = form_call(body)
    assert call.model == "whisper-1"
    assert not call.stream
    assert b"".join(outgoing(call, Change(model="openai/é"))) == body.replace(b"whisper-1", "openai/é".encode())
    assert outgoing(call, Change(model="whisper-1")) == [body]
    assert outgoing(call, Change()) == [body]


def test_a_form_without_a_model_goes_out_as_it_is() -> None:
    body = form(FILE)
    call = form_call(body)
    assert call.model is None
    assert outgoing(call, Change(model="x", include_usage=True)) == [body]


@pytest.mark.parametrize(("value", "stream"), [(b"true", True), (b"True", True), (b"false", False), (b"1", False)])
def test_a_form_streams_when_it_says_true(value: bytes, stream: bool) -> None:
    assert form_call(form(MODEL, (b'name="stream"', value))).stream is stream


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(MODEL, MODEL), FORM_TYPE),
        (form(MODEL), "multipart/form-data"),
        (form((b'name="model"', b"x" * 2000)), FORM_TYPE),
        (form((b'name="model"', b"\xff")), FORM_TYPE),
    ],
)
def test_a_form_that_could_be_read_in_two_ways_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(CallerError) as caught:
        form_call(body, content_type)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "rest", "provider"),
    [
        (b'{"model":"m","tollkeeper":{"provider":"p"},"n":1.0}', b'{"model":"m","n":1.0}', "p"),
        (b'{"tollkeeper" : {"provider":"p"} , "model":"m"}', b'{ "model":"m"}', "p"),
        (b'{ "model":"m"\n,\t"tollkeeper":{ "provider" : "\\u0070" } }\n', b'{ "model":"m" }\n', "p"),
        (b'{"tollkeeper":{"provider":"p"}}', b"{}", "p"),
        (b'\xef\xbb\xbf{"tollkeeper":{"provider":"p"},"model":"m"}', b'\xef\xbb\xbf{"model":"m"}', "p"),
        (b'{"tollkeeper":{"provider":"p"},"model":"m","x":"\\ud83d"}', b'{"model":"m","x":"\\ud83d"}', "p"),
        (b'{"tollkeeper":null,"model":"m"}', b'{"model":"m"}', None),
        (b'{"model":"m","tollkeeper":{}}', b'{"model":"m"}', None),
        (b'{"model":"m","tollkeeper":{"provider":null}}', b'{"model":"m"}', None),
        (b'{"model":"m","metadata":{"tollkeeper":{"provider":"p"}}}', None, None),
        (b'{"model":"m","Tollkeeper":1}', None, None),
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/conversations"])
def test_our_member_is_read_and_the_rest_is_as_it_came(
    path: str, body: bytes, rest: bytes | None, provider: str | None
) -> None:
    call = call_of(body, path=path)
    assert (call.ours.provider, call.body) == (provider, body if rest is None else rest)
    assert b"".join(outgoing(call, Change())) == call.body
    if path == "/chat/completions" and call.model:
        assert b"".join(outgoing(call, Change(model="other"))) == call.body.replace(b'"m"', b'"other"')


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (b'"openai"', "tollkeeper"),
        (b'["provider"]', "tollkeeper"),
        (b"true", "tollkeeper"),
        (b'{"provder":"p"}', "tollkeeper"),
        (b'{"provider":"p","fallbacks":[]}', "tollkeeper"),
        (b'{"provider":5}', "tollkeeper.provider"),
        (b'{"provider":["p"]}', "tollkeeper.provider"),
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/conversations"])
def test_our_member_is_refused_where_it_cannot_be_read(path: str, value: bytes, param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        call_of(b'{"model":"m","tollkeeper":' + value + b"}", path=path)
    assert caught.value.param == param
    assert "provder" not in caught.value.message


@pytest.mark.parametrize(
    "body", [b'{"tollkeeper":{},"tollkeeper":{}}', b'{"tollkeeper":{"provider":"a","provider":"b"}}']
)
@pytest.mark.parametrize("path", ["/chat/completions", "/conversations"])
def test_our_member_stands_once_and_says_one_thing(path: str, body: bytes) -> None:
    with pytest.raises(DuplicateKey):
        call_of(body, path=path)


@pytest.mark.parametrize("body", [b"tollkeeper", b'["tollkeeper"]', b'{"tollkeeper"', b'{"a":"tollkeeper"}'])
def test_what_is_no_object_passes_where_no_model_is_read(body: bytes) -> None:
    assert call_of(body, path="/conversations").body == body


@pytest.mark.parametrize("field", [b'name="tollkeeper"', b"name=tollkeeper[provider]"])
@pytest.mark.parametrize("path", ["/audio/transcriptions", "/files"])
def test_a_form_that_speaks_to_us_is_told_of_the_header(path: str, field: bytes) -> None:
    with pytest.raises(InvalidValue, match="in the header x-tollkeeper-route"):
        call_of(form(FILE, (field, b"openai")), path=path, content_type=FORM_TYPE)
    harmless = form((b'name="purpose"', b"tollkeeper"), FILE)
    assert call_of(harmless, path=path, content_type=FORM_TYPE).body == harmless
