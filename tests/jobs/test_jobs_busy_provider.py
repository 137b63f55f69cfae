"""A provider that takes no more batches for the moment: it is asked again when it says, and where that is long, line by line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anthropic
from anthropic import Anthropic
from harness.daemon import Daemon
from harness.setting import PATIENT
from harness.steps import json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream
from own_batches import held

KEY = "sk-alice-busy"
BATCH = {
    "id": "msgbatch_there",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-11-27T18:00:00Z",
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def config(upstream: Upstream) -> dict[str, Any]:
    there = {"kind": "anthropic", "base_url": f"{upstream.url}/there/v1", "api_key": "sk-up", "batches": True}
    return {
        "providers": {"anthropic": {**there, "timeouts": PATIENT}},
        "models": {"m": {"target": "anthropic/claude-x", "price": {"input": 1, "output": 1}}},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 5, "per": "total"}]}},
        "catalogue": {"refresh": "never"},
        "shutdown": {"drain": 1},
    }


def full(seconds: str) -> Any:
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "Too many batches."}}
    return json_reply(error, "429 Too Many Requests", [("Retry-After", seconds)])


def answered(daemon: Daemon) -> str:
    """What a batch of one request brings."""
    message: Any = {
        "custom_id": "a",
        "params": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
    }
    with Anthropic(base_url=daemon.url.removesuffix("/v1"), api_key=KEY, max_retries=0) as client:
        batch = client.messages.batches.create(requests=[message])
        give_up = time.monotonic() + PATIENCE_SECONDS
        while batch.processing_status != "ended":
            assert time.monotonic() < give_up, batch
            time.sleep(0.05)
            batch = client.messages.batches.retrieve(batch.id)
        (one,) = list(client.messages.batches.results(batch.id))
    assert isinstance(one.result, anthropic.types.messages.MessageBatchSucceededResult), one
    assert isinstance(one.result.message.content[0], anthropic.types.TextBlock)
    return one.result.message.content[0].text


def paths(upstream: Upstream) -> list[str]:
    return [f"{call.head.split()[0].decode()} {call.target.removeprefix('/there/v1')}" for call in upstream.calls]


def test_a_batch_that_is_one_too_many_is_made_when_the_provider_says(upstream: Upstream, tmp_path: Path) -> None:
    async def results(wire: Any) -> None:
        made = next(one for one in reversed(upstream.calls) if one.target.endswith("/batches"))
        line = {"custom_id": made.json["requests"][0]["custom_id"], "result": {"type": "succeeded", "message": MESSAGE}}
        await json_reply(line)(wire)

    upstream.expect(results, path="/results")
    upstream.expect(json_reply(BATCH), path="/batches/msgbatch_there", again=True)
    upstream.expect(full("0"), full("0"), json_reply(BATCH), path="/messages/batches")
    with Daemon(config(upstream), tmp_path, key=KEY) as daemon:
        assert answered(daemon) == "hi"
        assert "batch_declined" not in daemon.output and held(daemon) == 0
    assert paths(upstream)[:3] == ["POST /messages/batches"] * 3
    assert "POST /messages" not in paths(upstream)


def test_a_provider_that_is_busy_for_long_gets_the_lines_one_by_one(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(full("3600"), path="/messages/batches")
    upstream.expect(json_reply(MESSAGE), path="/messages")
    with Daemon(config(upstream), tmp_path, key=KEY) as daemon:
        assert answered(daemon) == "hi"
        daemon.wait_for_log(lambda line: line["event"] == "batch_declined")
        assert held(daemon) == 0
    assert paths(upstream) == ["POST /messages/batches", "POST /messages"]
