"""Paths: their prefixes, their rows, and the spellings that escape them."""

from __future__ import annotations

import pytest

from proxy.errors import InvalidValue
from proxy.wire.endpoints import Endpoint, endpoint_for, split_path

SPLIT = [
    ("/v1/chat/completions", ("/chat/completions", "", True)),
    ("/api/v1/chat/completions", ("/chat/completions", "", True)),
    ("/chat/completions", ("/chat/completions", "", False)),
    ("/v1/models?beta=true&x=%20a+b", ("/models", "?beta=true&x=%20a+b", True)),
    ("/v1/models?", ("/models", "?", True)),
    ("/v1/models?a=/../?b", ("/models", "?a=/../?b", True)),
    ("/v1", ("/v1", "", False)),
    ("/v1/", ("/", "", True)),
    ("/v12/models", ("/v12/models", "", False)),
    ("/api/v2/models", ("/api/v2/models", "", False)),
    ("/v1/v1/models", ("/v1/models", "", True)),
    ("//v1//models", ("//v1//models", "", False)),
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


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin",
        "/v1/./models",
        "/v1/..",
        "/v1/.",
        "/..",
        "/v1/%2e%2e/x",
        "/v1/%2E%2E/x",
        "/v1/.%2e/x",
        "/v1/%2e/x",
        "/v1/%2e%2e",
        "/v1/x%2f..%2fadmin",
        "/v1/x%2F%2e%2e%2Fadmin",
        "/v1\\..\\admin",
        "/v1/%5c..%5cadmin",
        "http://evil.example/v1/../admin",
    ],
)
def test_dot_segments_are_refused_however_they_are_spelled(path: str) -> None:
    with pytest.raises(InvalidValue):
        split_path(path)


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
    ("PUT", "/uploads/u/parts", "uploads"),
    ("DELETE", "/responses/resp_1", "responses"),
    ("POST", "/responses/resp_1/cancel", "responses"),
    ("GET", "/chat/completions", "chat/completions"),
    ("POST", "/chat/completions/chatcmpl-1", "chat/completions"),
    ("PATCH", "/vector_stores/vs_1", "vector_stores"),
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
    assert endpoint_for(method, path) == Endpoint(name)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/videos"),
        ("GET", "/embeddings"),
        ("POST", "/modelsx"),
        ("OPTIONS", "/models"),
        ("TRACE", "/models"),
        ("POST", "/Chat/Completions"),
        ("POST", "//chat/completions"),
        ("POST", "/"),
    ],
)
def test_what_is_in_no_row_is_not_listed(method: str, path: str) -> None:
    row = endpoint_for(method, path)
    assert row == Endpoint("other", listed=False)
    assert not row.carries_model


@pytest.mark.parametrize("path", [path for path, *_ in PAID])
@pytest.mark.parametrize("slash", ["/", "//", "//x"])
def test_a_slash_at_the_end_makes_no_paid_endpoint_free(path: str, slash: str) -> None:
    assert not endpoint_for("POST", path + slash).listed


@pytest.mark.parametrize(
    "path", ["/videos", "/videos/v1/content", "/batches", "/fine_tuning/jobs", "/messages/batches"]
)
def test_work_whose_cost_no_request_bounds_is_in_no_row(path: str) -> None:
    """So that limits and budgets apply, and a key under a budget is refused it."""
    row = endpoint_for("POST", path)
    assert (row.listed, row.counts) == (False, True)
