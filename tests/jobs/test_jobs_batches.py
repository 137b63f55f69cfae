"""Batches by OpenAI's own SDK before the real daemon: results, refusals, cancelling, whose they are, what lies on disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from harness.daemon import Daemon
from harness.mock import Mock
from harness.setting import files_below
from harness.surroundings import PATIENCE_SECONDS
from openai import OpenAI
from openai.types import Batch

ALICE, BOB = "sk-alice-jobs-test", "sk-bob-jobs-test"
URL = "/v1/chat/completions"
CANARY = "canary-of-a-batch-81c2"
OVER = ("completed", "failed", "expired", "cancelled")


def config(mock: Mock) -> dict[str, Any]:
    return {
        "providers": {"openrouter": mock.provider()},
        "models": {
            "cent": {"target": "openrouter/mock/echo?cost=0.01", "price": {"input": 0, "output": 100}},
            "slow": "openrouter/mock/slow?ttft=1&interval=0.01&tokens=2",
        },
        "keys": {
            "alice": {"key": ALICE, "models": ["cent", "slow", "openai/*"]},
            "bob": {"key": BOB, "budgets": [{"usd": 0.035, "per": "total"}]},
        },
        "budgets": [{"usd": 0.025, "per": "total", "for": {"tag": "night"}}],
        "max_body": "64KiB",
        "jobs": {"concurrent": 1, "max_file": "1MiB"},
        "retries": {"first_wait": 0.01},
    }


def client(daemon: Daemon, key: str = ALICE) -> OpenAI:
    return OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key=key, max_retries=0)


def lines(number: int, model: str = "gpt-4o-mini", **members: Any) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": CANARY}], "max_tokens": 100, **members}
    return b"".join(
        json.dumps({"custom_id": f"c{at}", "method": "POST", "url": URL, "body": body}).encode() + b"\n"
        for at in range(number)
    )


def begin(user: OpenAI, content: bytes, **members: Any) -> Batch:
    file = user.files.create(file=("in.jsonl", content), purpose="batch")
    assert (file.bytes, file.filename, file.status) == (len(content), "in.jsonl", "processed")
    asked = {"endpoint": URL, "completion_window": "24h", "input_file_id": file.id, **members}
    return user.batches.create(**asked)


def ended(user: OpenAI, batch: Batch) -> Batch:
    until = time.monotonic() + PATIENCE_SECONDS
    while batch.status not in OVER:
        assert time.monotonic() < until, batch
        batch = user.batches.retrieve(batch.id)
    return batch


def results(user: OpenAI, file_id: str | None) -> dict[str, Any]:
    assert file_id is not None
    found = [json.loads(line) for line in user.files.content(file_id).text.splitlines()]
    assert len({line["id"] for line in found}) == len(found)
    return {line["custom_id"]: line for line in found}


def test_every_line_is_answered_and_counted_as_a_call_of_its_key(daemon: Daemon) -> None:
    user = client(daemon)
    batch = begin(user, lines(5) + lines(1, "no-such-model").replace(b"c0", b"bad"), metadata={"night": "1"})
    assert (batch.status, batch.metadata) == ("validating", {"night": "1"})
    batch = ended(user, batch)
    assert (batch.status, batch.errors) == ("completed", None)
    counts = batch.request_counts
    assert counts is not None and (counts.total, counts.completed, counts.failed) == (6, 5, 1)
    good, bad = results(user, batch.output_file_id), results(user, batch.error_file_id)
    assert list(good) == [f"c{at}" for at in range(5)]
    assert all(line["response"]["body"]["choices"][0]["message"]["content"] == CANARY for line in good.values())
    assert bad["bad"]["response"]["status_code"] == 404
    assert bad["bad"]["response"]["body"]["error"]["code"] == "model_not_found"
    line = daemon.wait_for_lines(lambda line: line.get("request_id") == good["c0"]["response"]["request_id"], 1)[0]
    assert (line["key"], line["endpoint"], line["status"]) == ("alice", "chat/completions", 200)
    assert user.batches.list(limit=1).data[0].id == batch.id


def test_what_is_no_batch_is_told_and_nothing_is_sent(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    user = client(daemon)
    batch = ended(user, begin(user, lines(2) + b"{\n"))
    assert batch.status == "failed" and batch.errors is not None
    (problem,) = batch.errors.data or []
    assert (problem.code, problem.line) == ("invalid_json_line", 3)
    assert mock.bill() == []
    with pytest.raises(openai.BadRequestError, match="A batch is of one of these"):
        begin(user, lines(1), endpoint="/v1/videos")
    with pytest.raises(openai.BadRequestError, match="'completion_window'|completion_window"):
        begin(user, lines(1), completion_window="1h")
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        begin(user, lines(1), input_file_id="file-tk-0123")


def test_a_spent_budget_is_the_answer_of_the_lines_it_did_not_reach(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    user = client(daemon, BOB)
    batch = ended(user, begin(user, lines(6, "cent")))
    good, bad = results(user, batch.output_file_id), results(user, batch.error_file_id)
    assert (len(good), len(bad), len(mock.bill())) == (3, 3, 3)
    assert {line["response"]["body"]["error"]["code"] for line in bad.values()} == {"budget_exceeded"}


def test_the_tags_and_the_session_of_a_batch_are_those_of_its_lines(daemon: Daemon) -> None:
    """Of the tag's budget two lines at a cent may be had."""
    user, marks = client(daemon), {"x-tollkeeper-tags": "night,shift", "x-session-id": "ses-batch"}
    batch = ended(user, begin(user, lines(5, "cent"), extra_headers=marks))
    assert batch.request_counts is not None and batch.request_counts.completed == 2
    for line in results(user, batch.error_file_id).values():
        assert line["response"]["body"]["error"]["code"] == "budget_exceeded"
    by_session = {row["session"]: row for row in daemon.asked("/analytics/usage?by=session")["rows"]}
    assert (by_session["ses-batch"]["calls"], by_session["ses-batch"]["cost_usd"]) == (2, "0.020000000000")
    with pytest.raises(openai.BadRequestError):
        begin(user, lines(1, "cent"), extra_headers={"x-tollkeeper-tags": "a" * 65})


def test_files_and_batches_are_their_key_s_alone(daemon: Daemon) -> None:
    alice, bob = client(daemon), client(daemon, BOB)
    batch = ended(alice, begin(alice, lines(1)))
    ended(bob, begin(bob, lines(1)))  # whose list is one of ours then, not the provider's
    output = batch.output_file_id
    assert output is not None
    for asked in (
        lambda: bob.batches.retrieve(batch.id),
        lambda: bob.batches.cancel(batch.id),
        lambda: bob.files.content(output),
        lambda: bob.files.delete(batch.input_file_id),
        lambda: begin(bob, lines(1), input_file_id=batch.input_file_id),
        lambda: alice.get(f"/batches/{batch.id}/cancel", cast_to=object),  # which is no way to cancel one
        lambda: alice.delete(f"/batches/{batch.id}", cast_to=object),
        lambda: alice.put(f"/files/{output}", body={}, cast_to=object),
    ):
        with pytest.raises(openai.NotFoundError):
            asked()
    assert batch.id not in [found.id for found in bob.batches.list().data]
    assert output in [found.id for found in alice.files.list(purpose="batch_output").data]
    assert output not in [found.id for found in bob.files.list(purpose="batch_output").data]
    listed = {found.id for found in alice.files.list()}  # whatever their purpose, as at OpenAI
    assert {batch.input_file_id, output} <= listed
    assert listed.isdisjoint(found.id for found in bob.files.list())
    assert len(alice.files.list(limit=1).data) == 1
    for limit in ("0", "-1", "10001", "few", "²", "9" * 5000, "000000001" * 2):
        with pytest.raises(openai.BadRequestError, match="limit must be between 1 and 10000"):
            alice.get("/files", options={"params": {"limit": limit}}, cast_to=object)
    assert alice.files.delete(batch.input_file_id).deleted
    with pytest.raises(openai.NotFoundError):
        alice.files.retrieve(batch.input_file_id)


def test_a_cancelled_batch_awaits_what_is_under_way_and_sends_no_more(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    user = client(daemon)
    batch = begin(user, lines(40, "slow"))
    until = time.monotonic() + PATIENCE_SECONDS
    while not mock.bill():
        assert time.monotonic() < until
    with pytest.raises(openai.BadRequestError, match="is being worked on by batch_tk_"):
        user.files.delete(batch.input_file_id)
    assert user.batches.cancel(batch.id).status == "cancelling"
    batch = ended(user, batch)
    assert batch.status == "cancelled" and batch.cancelled_at and batch.cancelling_at
    sent = len(mock.bill())
    assert 1 <= sent < 40
    assert list(results(user, batch.output_file_id)) == [f"c{at}" for at in range(sent)]
    never = results(user, batch.error_file_id)
    assert {line["error"]["code"] for line in never.values()} == {"batch_cancelled"}
    assert len(never) == 40 - sent
    with pytest.raises(openai.BadRequestError, match="that is cancelled cannot be cancelled"):
        user.batches.cancel(batch.id)


def test_a_file_may_be_larger_than_bodies_and_other_uploads_pass_as_before(daemon: Daemon) -> None:
    user = client(daemon)
    large = lines(1).rstrip(b"\n") + b" " * 300_000 + b"\n"
    assert user.files.create(file=("large.jsonl", large), purpose="batch").id.startswith("file-tk-")
    with pytest.raises(openai.APIStatusError, match="jobs.max_file") as refused:
        user.files.create(file=("huge.jsonl", b" " * 2**20 + b"x"), purpose="batch")
    assert refused.value.status_code == 413
    assert not user.files.create(file=("notes.txt", b"hello"), purpose="assistants").id.startswith("file-tk-")
    with pytest.raises(openai.APIStatusError, match="max_body") as refused:
        user.files.create(file=("notes.txt", large), purpose="assistants")
    assert refused.value.status_code == 413


def test_a_form_s_parts_may_stand_in_any_order(daemon: Daemon) -> None:
    part = b'--xyz\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    file, purpose = part % (b"file", b'; filename="f"', lines(1)), part % (b"purpose", b"", b"batch")
    headers = [("Content-Type", "multipart/form-data; boundary=xyz"), ("Authorization", f"Bearer {ALICE}")]
    for body, status in (
        (file + purpose + b"--xyz--\r\n", 200),
        (purpose + file + b"--xyz--\r\n", 200),
        (purpose + b"--xyz--\r\n", 400),
        (purpose + file + file + b"--xyz--\r\n", 400),
        (purpose + file, 400),
    ):
        assert daemon.ask("POST", "/v1/files", headers, body).status == status, body[:200]


def test_nothing_of_it_can_be_read_on_the_disk(daemon: Daemon) -> None:
    user = client(daemon)
    ended(user, begin(user, lines(1)))
    folder = daemon.folder / "state" / "jobs"
    files = files_below(folder)
    assert len(files) > 2
    assert [path for path, content in files.items() if CANARY.encode() in content] == []
    assert {path.stat().st_mode & 0o077 for path in files if path.exists()} == {0}


def test_what_a_client_asks_below_our_own_path_never_reaches_a_provider(daemon: Daemon, mock: Mock) -> None:
    mock.forget()
    headers = [("Authorization", f"Bearer {ALICE}")]
    assert daemon.ask("GET", "/v1/tollkeeper/nothing", headers).status == 404
    assert daemon.ask("POST", "/tollkeeper/nothing", headers, b"{}").status == 404


def test_a_daemon_without_batches_makes_no_place_for_them(mock: Mock, tmp_path: Path) -> None:
    with Daemon(config(mock), tmp_path) as daemon:
        user = client(daemon)
        assert user.files.list(purpose="batch").data == []
        with pytest.raises(openai.NotFoundError):
            user.batches.retrieve("batch_tk_0")
        assert not (tmp_path / "state" / "jobs").exists()
