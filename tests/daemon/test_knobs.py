"""The fields that are put into a request go by what the endpoint and the server read, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply, chat_stream
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply, sse
from harness.upstream import Upstream

HELLO: list[Any] = [{"role": "user", "content": "hi"}]
MAXIMA = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def config(upstream: Upstream, **provider: Any) -> dict[str, Any]:
    """`own` is at a provider called openai, `like` at a server like it; both limit their output to 77 where silent."""
    usual = config_for(upstream)["providers"]
    silent = {"defaults": {"max_tokens": 77}, "price": {"input": 1, "output": 1}}
    return {
        "providers": {**usual, "openai": usual["oai"], "oai": {**usual["oai"], **provider}},
        "routes": [{"match": "openai/*", "provider": "openai"}],
        "models": {"own": {"target": "openai/own", **silent}, "like": {"target": "oai/like", **silent}},
        "keys": {"alice": {"key": CLIENT_KEY, "budgets": [{"usd": 5, "per": "month"}]}},
        "retries": {"attempts": 1},
    }


CASES: list[tuple[str, dict[str, Any], dict[str, Any], str | None]] = [
    ("chat/completions", {"model": "own", "messages": HELLO}, {"max_completion_tokens": 77}, "max_completion_tokens=77"),
    ("chat/completions", {"model": "like", "messages": HELLO}, {"max_tokens": 77}, "max_tokens=77"),
    ("completions", {"model": "own", "prompt": "hi"}, {"max_tokens": 77}, "max_tokens=77"),
    ("responses", {"model": "own", "input": "hi"}, {"max_output_tokens": 77}, "max_output_tokens=77"),
    ("responses", {"model": "own", "input": "hi", "max_output_tokens": 5}, {"max_output_tokens": 5}, None),
    ("responses", {"model": "own", "input": "hi", "max_output_tokens": None}, {"max_output_tokens": 77},
     "max_output_tokens=77"),
    ("responses/compact", {"model": "own", "input": "hi"}, {}, None),
    ("embeddings", {"model": "own", "input": "hi"}, {}, None),
    ("chat/completions", {"model": "own", "messages": HELLO, "max_tokens": 9}, {"max_tokens": 9}, None),
    ("chat/completions", {"model": "like", "messages": HELLO, "max_tokens": "100"}, {"max_tokens": "100"}, None),
    ("chat/completions", {"model": "like", "messages": HELLO, "max_tokens": 100.0}, {"max_tokens": 100.0}, None),
    ("chat/completions", {"model": "like", "messages": HELLO, "max_tokens": 0}, {"max_tokens": 0}, None),
    ("chat/completions", {"model": "like", "messages": HELLO, "max_tokens": -1}, {"max_tokens": -1}, None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "sent", "adjusted"), CASES)
def test_a_default_maximum_is_one_knob(
    start_daemon: Callable[..., Daemon],
    upstream: Upstream,
    path: str,
    body: dict[str, Any],
    sent: dict[str, Any],
    adjusted: str | None,
) -> None:
    daemon = start_daemon(**config(upstream))
    upstream.expect(json_reply(chat_reply()))
    reply = daemon.post(f"/v1/{path}", body)
    assert (reply.status, reply.header("x-tollkeeper-adjusted")) == (200, adjusted), reply.body
    assert {name: value for name, value in upstream.call.json.items() if name in MAXIMA} == sent


@pytest.mark.parametrize(
    ("field", "sent"),
    [("max_completion_tokens", {"max_completion_tokens": 77}), ("max_tokens", {"max_tokens": 77}), ("none", {})],
)
def test_a_provider_says_which_field_it_reads(
    start_daemon: Callable[..., Daemon], upstream: Upstream, field: str, sent: dict[str, int]
) -> None:
    daemon = start_daemon(**config(upstream, max_tokens_field=field))
    upstream.expect(json_reply(chat_reply()))
    assert daemon.chat("like").status == 200
    assert {name: value for name, value in upstream.call.json.items() if name in MAXIMA} == sent


@pytest.mark.parametrize("takes", [True, False])
def test_a_provider_says_whether_it_takes_stream_options(
    start_daemon: Callable[..., Daemon], upstream: Upstream, takes: bool
) -> None:
    daemon = start_daemon(**config(upstream, stream_options=takes))
    upstream.expect(sse(chat_stream()))
    assert daemon.chat("like", stream=True).complete
    assert ("stream_options" in upstream.call.json) is takes
