"""Paths: their prefixes, their rows, and the spellings that escape them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidValue
from proxy.wire.endpoints import NAMES, Endpoint, endpoint_for, split_path

SPLIT = [
    ("/v1/chat/completions", ("/chat/completions", "", True)),
    ("/api/v1/chat/completions", ("/chat/completions", "", True)),
    ("/chat/completions", ("/chat/completions", "", False)),
    ("/v1/models?beta=true&x=%20a+b", ("/models", "?beta=true&x=%20a+b", True)),
    ("/v1/models?", ("/models", "?", True)),
    ("/v1/models?a=/../?b", ("/models", "?a=/../?b", True)),
    ("/v1", ("/", "", True)),
    ("/v1/", ("/", "", True)),
    ("/v12/models", ("/v12/models", "", False)),
    ("/api/v2/models", ("/api/v2/models", "", False)),
    ("/v1/v1/models", ("/v1/models", "", True)),
    ("//v1//models", ("/models", "", True)),
    ("/v1/./models", ("/models", "", True)),
    ("/v1/%2e/models/.", ("/models", "", True)),
    ("/v1/models//", ("/models", "", True)),
    ("/v1/chat//completions/?a=//x/./y/../%2f%63", ("/chat/completions", "?a=//x/./y/../%2f%63", True)),
    ("/v1/%63hat/completion%73", ("/chat/completions", "", True)),
    ("/%76%31/models", ("/models", "", True)),
    ("/v1/Chat/Completions", ("/Chat/Completions", "", True)),
    ("/V1/chat/completions", ("/V1/chat/completions", "", False)),
    ("/v1/files/a~b@c:d%20e%7E", ("/files/a~b@c:d%20e~", "", True)),
    ("/v1/files/caf%C3%A9", ("/files/caf%C3%A9", "", True)),
    ("/v1/files/100%25", ("/files/100%25", "", True)),
    ("/v1/.", ("/", "", True)),
    ("/", ("/", "", False)),
    ("*", ("/", "", False)),
    ("http://evil.example/v1/models?x=1", ("/models", "?x=1", True)),
    ("https://evil.example:8443/v1/models", ("/models", "", True)),
    ("http://evil.example", ("/", "", False)),
    ("evil.example:443", ("/", "", False)),
    ("/v1/models/openai%2Fgpt-4o:free/endpoints", ("/models/openai%2Fgpt-4o:free/endpoints", "", True)),
    ("/v1/models/~author/x@1.5", ("/models/~author/x@1.5", "", True)),
    ("/v1/files/report.v1..2.jsonl", ("/files/report.v1..2.jsonl", "", True)),
    ("/v1/.../x", ("/.../x", "", True)),
    ("/v1/.hidden", ("/.hidden", "", True)),
]  # fmt: skip


@pytest.mark.parametrize(("target", "expected"), SPLIT)
def test_a_target_is_split_and_loses_its_authority(target: str, expected: tuple[str, str, bool]) -> None:
    assert split_path(target) == expected


UNFIT = [
    "/v1/../admin",
    "/v1/..",
    "/..",
    "/v1/%2e%2e/x",
    "/v1/%2E%2E/x",
    "/v1/.%2e/x",
    "/v1/%2e%2e",
    "/v1/%252e%252e/x",
    "/v1/%25252e./x",
    "/v1/models/%25252525252e./x",
    "/v1/x%2f..%2fadmin",
    "/v1/x%2F%2e%2e%2Fadmin",
    "/v1/models/..%2f..%2fkey",
    "/v1/models/openai%2F..%2Fx",
    "/v1\\..\\admin",
    "/v1/chat\\completions",
    "/v1/%5c..%5cadmin",
    "/v1/chat%5Ccompletions",
    "/v1/chat%2fcompletions",
    "/v1%2Fchat/completions",
    "/%2fv1/chat/completions",
    "/v1/modelsx%2Fy",
    "/v1/chat/completions%00",
    "/v1/chat/completions%0d%0aX-A:%20b",
    "/v1/models/x%2500",
    "/v1/chat/completions%7f",
    "/v1/chat/completions%",
    "/v1/chat/completions%4",
    "/v1/chat/completions%zz",
    "/v1/%c0%ae%c0%ae/x",
    "/v1/files/caf%e9",
    "/v1/files/caf\xe9",
    "/v1/files/\udcff",
    "/v1/chat/completions#x",
    "/v1/chat/completions?a=b#c",
    "http://evil.example/v1/../admin",
]


@pytest.mark.parametrize("path", UNFIT)
def test_what_servers_read_in_more_ways_than_one_is_refused(path: str) -> None:
    with pytest.raises(InvalidValue):
        split_path(path)


@given(st.lists(st.sampled_from(["v1", "chat", "completions", "models", "%63", ".", "%2e", "", "a b", "%2E."])))
def test_a_plain_path_is_its_own_plain_path(segments: list[str]) -> None:
    """What was judged is what is sent: nothing is left to be made plain."""
    try:
        path, query, prefixed = split_path("/v1/" + "/".join(segments))
    except InvalidValue:
        return
    assert split_path("/v1" + path) == (path, query, prefixed)
    assert "//" not in path and "/./" not in path + "/"


PAID = [
    ("/chat/completions", "chat", True, "max_tokens"),
    ("/completions", "completions", True, "max_tokens"),
    ("/responses", "responses", True, "max_output_tokens"),
    ("/messages", "messages", True, "max_tokens"),
    ("/responses/compact", "other", True, None),
    ("/responses/input_tokens", "other", False, None),
    ("/messages/count_tokens", "other", False, None),
    ("/embeddings", "other", True, None),
    ("/moderations", "other", True, None),
    ("/rerank", "other", True, None),
    ("/images", "other", True, None),
    ("/images/generations", "other", True, None),
    ("/images/edits", "other", True, None),
    ("/images/variations", "other", True, None),
    ("/audio/speech", "other", True, None),
    ("/audio/transcriptions", "other", True, None),
    ("/audio/translations", "other", True, None),
]


@pytest.mark.parametrize(("path", "shape", "metered", "max_field"), PAID)
def test_every_row_that_carries_a_model(path: str, shape: str, metered: bool, max_field: str | None) -> None:
    row = endpoint_for("POST", path)
    assert row.name == path[1:]
    assert (row.shape, row.metered, row.max_field) == (shape, metered, max_field)
    assert row.carries_model
    assert row.listed


FREE = [
    ("GET", "/models", "models"),
    ("GET", "/models/openai/gpt-4o", "models"),
    ("GET", "/model/openai/gpt-4o", "model"),
    ("HEAD", "/models", "models"),
    ("POST", "/files", "files"),
    ("POST", "/uploads/u/parts", "uploads"),
    ("DELETE", "/models/ft:x", "models"),
    ("DELETE", "/chat/completions/chatcmpl-1", "chat/completions"),
    ("DELETE", "/responses/resp_1", "responses"),
    ("POST", "/responses/resp_1/cancel", "responses"),
    ("GET", "/chat/completions", "chat/completions"),
    ("POST", "/vector_stores/vs_1", "vector_stores"),
    ("POST", "/vector_stores/vs_1/file_batches/b/cancel", "vector_stores"),
    ("GET", "/batches/b", "batches"),
    ("GET", "/generation", "generation"),
    ("GET", "/key", "key"),
    ("GET", "/credits", "credits"),
    ("GET", "/providers", "providers"),
    ("GET", "/endpoints/zdr", "endpoints"),
    ("GET", "/embeddings/models", "embeddings/models"),
    ("GET", "/images/models", "images/models"),
]


@pytest.mark.parametrize(("method", "path", "name"), FREE)
def test_every_row_that_costs_nothing(method: str, path: str, name: str) -> None:
    shape = "responses" if name == "responses" else "other"
    assert endpoint_for(method, path) == Endpoint(name, shape)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_in_no_row_is_free(method: str) -> None:
    row = endpoint_for(method, "/nothing/of/the/kind")
    assert (row.name, row.listed, row.counts, row.carries_model) == ("other", False, False, False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/modelsx"),
        ("OPTIONS", "/nowhere"),
        ("TRACE", "/nowhere"),
        ("POST", "/Chat/Completions"),
        ("POST", "//chat/completions"),
        ("POST", "/"),
    ],
)
def test_what_is_in_no_row_is_not_listed(method: str, path: str) -> None:
    row = endpoint_for(method, path)
    assert (row.listed, row.unbounded, row.counts, row.carries_model) == (False, True, True, False)


@pytest.mark.parametrize("path", [path for path, *_ in PAID])
@pytest.mark.parametrize("suffix", ["/", "//", "//x", "/x", "/x/cancel", ";x", "%20", ".json"])
def test_nothing_behind_a_path_makes_a_paid_endpoint_free(path: str, suffix: str) -> None:
    if path + suffix != "/responses/x/cancel":
        assert endpoint_for("POST", path + suffix).counts


@pytest.mark.parametrize("path", [path for path, *_ in PAID])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "post", "PROPFIND"])
def test_no_other_method_makes_a_paid_endpoint_free(path: str, method: str) -> None:
    is_a_stored_reply = method == "DELETE" and path in ("/responses/compact", "/responses/input_tokens")
    assert endpoint_for(method, path).counts is not is_a_stored_reply


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/videos", "videos"),
        ("/videos/v1/remix", "videos"),
        ("/batches", "batches"),
        ("/fine_tuning/jobs", "fine_tuning"),
        ("/messages/batches", "messages/batches"),
        ("/realtime/client_secrets", "realtime"),
    ],
)
def test_work_whose_cost_no_request_bounds_has_a_name(path: str, name: str) -> None:
    """So that limits and budgets apply, and a key that may not have it is told what it is."""
    row = endpoint_for("POST", path)
    assert (row.name, row.listed, row.unbounded, row.counts) == (name, True, True, True)


def test_every_name_is_a_label() -> None:
    assert {row.name for row in (endpoint_for("POST", path) for path, *_ in PAID)} <= NAMES
    assert {name for *_, name in FREE} <= NAMES
