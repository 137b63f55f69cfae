"""Batches handed on to a provider's own batch: by OpenAI's SDK before the real daemon, before the strict mock."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from harness.daemon import Daemon
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS
from openai import OpenAI
from openai.types import Batch
from own_batches import PRICE, TOKEN_USD, handed, held, usage

ALICE, BOB, CAROL = "sk-alice-own-batch", "sk-bob-own-batch", "sk-carol-own-batch"
URL = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")


def config(mock: Mock) -> dict[str, Any]:
    return {
        "providers": {
            "openai": mock.provider("openai", batches=True),
            "plain": mock.provider("openai"),
            "nowhere": {**mock.provider("openai", batches=True), "base_url": f"{mock.root}/api/v1"},  # which has none
        },
        "models": {
            "cheap": {"target": "openai/mock/echo", "price": PRICE},
            "slow": {"target": "openai/mock/slow?ttft=600", "price": PRICE},
            "soon": {"target": "openai/mock/slow?ttft=1", "price": PRICE},
            "later": {"target": "openai/mock/slow?ttft=4", "price": PRICE},
            "plain": {"target": "plain/mock/echo", "price": PRICE},
            "declined": {"target": "nowhere/mock/echo", "price": PRICE},
        },
        "keys": {
            "alice": {"key": ALICE, "budgets": [{"usd": 100, "per": "total"}]},
            "bob": {"key": BOB, "budgets": [{"usd": "0.015", "per": "total"}]},
            "carol": {"key": CAROL, "limits": [{"requests": 2, "per": "hour"}]},
        },
        "retries": {"first_wait": 0.01},
    }


def user(daemon: Daemon, key: str = ALICE) -> OpenAI:
    return OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key=key, max_retries=0)


def provider(mock: Mock) -> OpenAI:
    return OpenAI(base_url=f"{mock.root}/openai/v1", api_key="sk-upstream", max_retries=0)


def lines(number: int, model: str, **members: Any) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 50, **members}
    return b"".join(
        json.dumps({"custom_id": f"c{at}", "method": "POST", "url": URL, "body": body}).encode() + b"\n"
        for at in range(number)
    )


def begin(client: OpenAI, content: bytes, **headers: str) -> Batch:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h", extra_headers=told)


def until(client: OpenAI, batch: Batch, *states: str) -> Batch:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while batch.status not in (states or OVER):
        assert time.monotonic() < give_up, batch
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    return batch


def answers(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    if file_id is None:
        return {}
    found = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    return {line["custom_id"]: line for line in found}


def files_there(mock: Mock) -> set[str]:
    """Those of batches that the provider has."""
    return {file.id for file in provider(mock).files.list() if file.purpose in ("batch", "batch_output")}


def test_a_batch_is_answered_by_the_provider_at_half_the_price(daemon: Daemon, mock: Mock) -> None:
    client, others = user(daemon), files_there(mock)
    before = len(mock.bill()), usage(daemon, ALICE)
    batch = until(client, begin(client, lines(5, "cheap"), x_session_id="ses-batch"))
    assert batch.status == "completed" and batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed) == (5, 5)
    found = answers(client, batch.output_file_id)
    assert sorted(found) == [f"c{at}" for at in range(5)]
    bodies = [line["response"]["body"] for line in found.values()]
    half = Decimal(sum(body["usage"]["completion_tokens"] for body in bodies)) * TOKEN_USD / 2
    told = handed(client.batches.retrieve, batch)
    assert told["provider"] == "openai" and Decimal(told["cost_usd"]) == Decimal(told["saved_usd"]) == half > 0
    assert len(mock.bill()) == before[0] + 5 and held(daemon) == 0
    after = usage(daemon, ALICE)
    assert after["calls"] == before[1]["calls"] + 5
    assert Decimal(after["cost_usd"]) - Decimal(before[1]["cost_usd"]) == half
    assert Decimal(after["saved_usd"]) - Decimal(before[1]["saved_usd"]) == half
    by_session = {row["session"]: row for row in daemon.asked("/analytics/usage?by=session")["rows"]}
    assert Decimal(by_session["ses-batch"]["cost_usd"]) == half
    assert provider(mock).batches.retrieve(told["provider_batch_id"]).status == "completed"
    assert files_there(mock) <= others, "what was put there for it is gone"


def test_lines_the_provider_refuses_cost_nothing_and_are_errors(daemon: Daemon) -> None:
    client = user(daemon)
    content = lines(1, "cheap") + lines(1, "cheap", temperature=3).replace(b'"c0"', b'"hot"')
    batch = until(client, begin(client, content))
    assert batch.status == "completed" and batch.request_counts is not None and batch.request_counts.failed == 1
    error = answers(client, batch.error_file_id)["hot"]["response"]
    assert error["status_code"] == 400 and "temperature" in error["body"]["error"]["message"]
    assert held(daemon) == 0


@pytest.mark.parametrize(
    ("key", "content", "why"),
    [
        (ALICE, lines(2, "plain"), "its provider has none"),
        (ALICE, lines(2, "declined"), "its provider declines it"),
        (ALICE, lines(1, "cheap") + lines(1, "plain").replace(b'"c0"', b'"c1"'), "two targets"),
        (BOB, lines(4, "cheap"), "the budget holds three at once"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_everything_else_is_answered_here(daemon: Daemon, key: str, content: bytes, why: str) -> None:
    client = user(daemon, key)
    batch = until(client, begin(client, content))
    assert batch.status == "completed" and "tollkeeper" not in (batch.model_extra or {}), why
    assert batch.request_counts is not None and batch.request_counts.completed == batch.request_counts.total
    assert held(daemon) == 0


def test_limits_of_requests_are_not_used_up_by_a_batch_that_does_not_fit(daemon: Daemon) -> None:
    client = user(daemon, CAROL)
    batch = begin(client, lines(3, "cheap"))
    until(client, batch, "in_progress")
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (batch := client.batches.retrieve(batch.id)).request_counts.completed < 2:  # type: ignore[union-attr]
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert until(client, client.batches.cancel(batch.id)).status == "cancelled"


def test_cancelling_is_passed_on_and_frees_what_was_held(daemon: Daemon, mock: Mock) -> None:
    client = user(daemon)
    batch = begin(client, lines(3, "slow"))
    there = handed(client.batches.retrieve, batch)["provider_batch_id"]
    assert held(daemon) > 0
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = until(client, batch)
    assert batch.status == "cancelled" and held(daemon) == 0
    assert {line["error"]["code"] for line in answers(client, batch.error_file_id).values()} == {"batch_cancelled"}
    assert provider(mock).batches.retrieve(there).status == "cancelled"


def test_a_kill_finds_the_batch_again_and_makes_no_second_one(mock: Mock, tmp_path: Path) -> None:
    """The second kill leaves what one leaves that comes between the making of a batch and the note of its id."""
    mock.forget()
    before = len(list(provider(mock).batches.list()))
    with Daemon(config(mock), tmp_path) as daemon:
        client = user(daemon)
        batch = begin(client, lines(4, "later"))
        there = handed(client.batches.retrieve, batch)["provider_batch_id"]
        assert held(daemon) > 0
        os.kill(daemon.pid, signal.SIGKILL)
    database = sqlite3.connect(tmp_path / "state" / "jobs" / "jobs.db")
    with database:
        change = "UPDATE jobs SET handed = json_set(handed, '$.state', 'creating', '$.batch', '') WHERE id = ?"
        assert database.execute(change, (batch.id,)).rowcount == 1
    database.close()
    with Daemon(config(mock), tmp_path) as daemon:
        client = user(daemon)
        batch = until(client, batch)
        assert batch.status == "completed" and handed(client.batches.retrieve, batch)["provider_batch_id"] == there
        assert len(answers(client, batch.output_file_id)) == 4 and held(daemon) == 0
        assert usage(daemon, ALICE)["calls"] == 4 == len(mock.bill())
        assert Decimal(usage(daemon, ALICE)["cost_usd"]) == Decimal(handed(client.batches.retrieve, batch)["cost_usd"])
        assert len(list(provider(mock).batches.list())) == before + 1


def test_one_that_was_never_made_is_made_after_a_kill(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path) as daemon:
        client = user(daemon)
        batch = begin(client, lines(4, "soon"))
        there = handed(client.batches.retrieve, batch)["provider_batch_id"]
        os.kill(daemon.pid, signal.SIGKILL)
    database = sqlite3.connect(tmp_path / "state" / "jobs" / "jobs.db")
    with database:  # under another name there, it is none of this batch
        change = "UPDATE jobs SET id = id || '0', handed = json_set(handed, '$.state', 'creating', '$.batch', '')"
        assert database.execute(change).rowcount == 1
        assert database.execute("UPDATE lines SET job = job || '0'").rowcount == 4
    database.close()
    with Daemon(config(mock), tmp_path) as daemon:
        client = user(daemon)
        batch = until(client, client.batches.retrieve(batch.id + "0"))
        assert batch.status == "completed" and handed(client.batches.retrieve, batch)["provider_batch_id"] != there
        assert held(daemon) == 0


def test_the_mock_refuses_what_openai_refuses(mock: Mock) -> None:
    client = provider(mock)
    with pytest.raises(openai.BadRequestError, match="jsonl"):
        client.files.create(file=("in.txt", b"{}"), purpose="batch")
    other = client.files.create(file=("in.jsonl", b"{}"), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.batches.create(input_file_id=other.id, endpoint=URL, completion_window="24h")
    client.files.delete(other.id)
    line = lines(1, "mock/a")
    for content, code in (
        (b"", "empty_file"),
        (b"{\n", "invalid_json_line"),
        (line + line, "duplicate_custom_id"),
        (line + lines(1, "mock/b").replace(b'"c0"', b'"c1"'), "mismatched_model"),
        (line.replace(b"POST", b"GET"), "invalid_method"),
        (line.replace(b"/v1/chat/completions", b"/v1/embeddings"), "mismatched_url"),
        (line.replace(b"/v1/chat/completions", b"/chat"), "invalid_url"),
        (lines(1, "mock/a", stream=True), "invalid_request"),
    ):
        file = client.files.create(file=("in.jsonl", content), purpose="batch")
        batch = until(client, client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h"))
        assert batch.status == "failed" and batch.errors is not None and batch.errors.data is not None
        assert [one.code for one in batch.errors.data] == [code]
        client.files.delete(file.id)
