"""The file of a batch that its provider declines does not stay there: its lines are answered one by one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.setting import PATIENT
from harness.steps import Script, json_reply
from harness.surroundings import PATIENCE_SECONDS
from harness.upstream import Upstream
from openai import OpenAI

KEY = "sk-alice-declined"
URL = "/v1/chat/completions"
REFUSAL = json_reply({"error": {"message": "No batches today.", "type": "x", "param": None, "code": None}}, 400)
FAILED = json_reply({"id": "batch_there", "status": "failed", "errors": {"data": [{"code": "token_limit_exceeded"}]}})


@pytest.mark.parametrize("created", [REFUSAL, FAILED], ids=["refused", "failed"])
def test_its_file_is_removed(upstream: Upstream, tmp_path: Path, created: Script) -> None:
    there = {"kind": "openai", "base_url": f"{upstream.url}/there/v1", "api_key": "sk-up", "batches": True}
    config = {
        "providers": {"there": {**there, "timeouts": PATIENT}},
        "models": {"m": {"target": "there/gpt-x", "price": {"input": 1, "output": 1}}},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 5, "per": "total"}]}},
        "catalogue": {"refresh": "never"},
    }
    upstream.expect(json_reply({"id": "file-there"}), path="/there/v1/files")
    upstream.expect(created, path="/there/v1/batches")
    upstream.expect(json_reply(chat_reply()), path="/there/v1/chat/completions")
    upstream.expect(json_reply({"id": "file-there", "deleted": True}), path="/there/v1/files/file-there")
    line = {"custom_id": "a", "method": "POST", "url": URL, "body": {"model": "m", "max_tokens": 9, "messages": []}}
    with Daemon(config, tmp_path, key=KEY) as daemon, OpenAI(base_url=daemon.url, api_key=KEY, max_retries=0) as client:
        file = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h")
        give_up = time.monotonic() + PATIENCE_SECONDS
        while batch.status != "completed":
            assert time.monotonic() < give_up, batch
            time.sleep(0.05)
            batch = client.batches.retrieve(batch.id)
        upstream.wait_for_calls(4)
        asked = [call.head.split()[0].decode() for call in upstream.calls if call.target.endswith("/files/file-there")]
        assert asked == ["DELETE"]
