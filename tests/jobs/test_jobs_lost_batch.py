"""A provider whose answer to the making of a batch is lost: what may have been made there is not made a second time."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import PATIENT
from harness.steps import Script, close, json_reply, plain_reply, say
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream
from openai import OpenAI
from openai.types import Batch

KEY = "sk-alice-lost"
URL = "/v1/chat/completions"
THERE = "/there/v1"
NONE = json_reply({"object": "list", "data": [], "has_more": False})
NO_LIST = json_reply({"error": {"message": "Not Found", "type": "x", "param": None, "code": None}}, 404)
FAILED = json_reply({"error": {"message": "The server had an error.", "type": "server_error"}}, 500)
CUT = say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def dropped(wire: Any) -> None:
    """The request was read, and nothing comes back."""
    await close(wire)


async def cut(wire: Any) -> None:
    """The answer breaks off."""
    await CUT(wire)
    await close(wire)


def ended(upstream: Upstream, folder: Path, created: Script, listed: Script) -> tuple[Batch, Decimal, list[str]]:
    """How a batch of two lines ends, what its key has spent then, and what the provider was asked."""
    there = {"kind": "openai", "base_url": upstream.url + THERE, "api_key": "sk-up", "batches": True}
    config = {
        "providers": {"there": {**there, "timeouts": PATIENT}},
        "models": {"m": {"target": "there/gpt-x", "price": {"input": 0, "output": 100}}},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 5, "per": "total"}]}},
        "catalogue": {"refresh": "never"},
    }
    upstream.expect(json_reply({"id": "file-there"}), path=f"{THERE}/files")
    upstream.expect(created, path=f"{THERE}/batches")
    upstream.expect(listed, path=f"{THERE}/batches?", again=True)
    upstream.expect(json_reply(chat_reply()), path=f"{THERE}/chat/completions", again=True)
    upstream.expect(json_reply({"id": "file-there", "deleted": True}), path=f"{THERE}/files/file-there")
    body = {"model": "m", "max_tokens": 10, "messages": []}
    lines = [{"custom_id": name, "method": "POST", "url": URL, "body": body} for name in "ab"]
    with Daemon(config, folder, key=KEY) as daemon, OpenAI(base_url=daemon.url, api_key=KEY, max_retries=0) as client:
        file = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h")
        give_up = time.monotonic() + PATIENCE_SECONDS
        while batch.status != "completed" or daemon.metric("tollkeeper_budget_held_usd"):
            assert time.monotonic() < give_up, batch
            time.sleep(0.05)
            batch = client.batches.retrieve(batch.id)
        used = daemon.ask("GET", "/tollkeeper/usage", [("Authorization", f"Bearer {KEY}")]).json["total"]
        if batch.error_file_id:
            told = client.files.content(batch.error_file_id).text.splitlines()
            assert {json.loads(line)["error"]["code"] for line in told} == {"interrupted"}
    return batch, Decimal(used["cost_usd"]), [call.target for call in upstream.calls]


@pytest.mark.parametrize("listed", [NONE, NO_LIST], ids=["not listed", "no list"])
@pytest.mark.parametrize("created", [dropped, cut, plain_reply(b"made")], ids=["dropped", "cut", "unreadable"])
def test_its_lines_are_not_sent_anew(upstream: Upstream, tmp_path: Path, created: Script, listed: Script) -> None:
    batch, spent, asked = ended(upstream, tmp_path, created, listed)
    counts = batch.request_counts
    assert counts is not None and (counts.completed, counts.failed) == (0, 2)
    assert spent == Decimal("0.002"), "the holds of both"
    assert f"{THERE}/chat/completions" not in asked


def test_one_that_failed_by_its_providers_word_is_answered_line_by_line(upstream: Upstream, tmp_path: Path) -> None:
    batch, _, asked = ended(upstream, tmp_path, FAILED, NONE)
    counts = batch.request_counts
    assert counts is not None and (counts.completed, counts.failed) == (2, 0)
    assert asked.count(f"{THERE}/chat/completions") == 2
