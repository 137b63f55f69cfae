"""Anthropic's batches: by its SDK before the real daemon, before the strict mock, answered here or by the provider's own."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types.messages import MessageBatch
from harness.daemon import Daemon
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS
from own_batches import PRICE, TOKEN_USD, handed, held, usage

ALICE, BOB = "sk-alice-messages", "sk-bob-messages"


def config(mock: Mock) -> dict[str, Any]:
    nowhere = {**mock.provider("anthropic", batches=True), "base_url": f"{mock.root}/api/v1"}
    targets = {
        "cheap": "anthropic/mock/echo",
        "slow": "anthropic/mock/slow?ttft=600",
        "soon": "anthropic/mock/slow?ttft=1",
        "plain": "plain/mock/echo",
        "plain-soon": "plain/mock/slow?ttft=1",
        "declined": "nowhere/mock/echo",
        "elsewhere": "openai/mock/echo",
    }
    return {
        "providers": {
            "anthropic": mock.provider("anthropic", batches=True),
            "plain": mock.provider("anthropic"),
            "nowhere": nowhere,  # which says it has batches, and has none
            "openai": mock.provider("openai"),
        },
        "models": {name: {"target": target, "price": PRICE} for name, target in targets.items()},
        "keys": {
            "alice": {"key": ALICE, "budgets": [{"usd": 100, "per": "total"}]},
            "bob": {"key": BOB, "budgets": [{"usd": "0.006", "per": "total"}]},
        },
        "retries": {"first_wait": 0.01},
    }


CLIENTS: dict[tuple[str, str], Anthropic] = {}


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    for one in CLIENTS.values():
        one.close()


def client_of(url: str, key: str) -> Anthropic:
    return CLIENTS.setdefault((url, key), Anthropic(base_url=url, api_key=key, max_retries=0))


def user(daemon: Daemon, key: str = ALICE) -> Anthropic:
    return client_of(f"http://127.0.0.1:{daemon.port}", key)


def provider(mock: Mock) -> Anthropic:
    return client_of(f"{mock.root}/anthropic", "sk-upstream")


def request(custom_id: str, model: str = "cheap", **members: Any) -> Any:
    messages = [{"role": "user", "content": "one\ntwo three"}]
    return {"custom_id": custom_id, "params": {"model": model, "max_tokens": 50, "messages": messages, **members}}


def ended(client: Anthropic, batch: MessageBatch) -> MessageBatch:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while batch.processing_status != "ended":
        assert time.monotonic() < give_up, batch
        time.sleep(0.05)
        batch = client.messages.batches.retrieve(batch.id)
    counts = batch.request_counts
    assert counts.processing == 0 and batch.ended_at is not None and batch.ended_at >= batch.created_at
    return batch


def results(client: Anthropic, batch: MessageBatch) -> dict[str, Any]:
    return {one.custom_id: one.result for one in client.messages.batches.results(batch.id)}


def test_every_provider_answers_and_each_request_has_its_end(daemon: Daemon) -> None:
    client = user(daemon)
    asked = [
        request("a", "plain"),
        request("b", "plain", temperature=3),
        request("c", "elsewhere"),
        request("d", "none"),
    ]
    begun = client.messages.batches.create(requests=asked)
    assert begun.request_counts.processing == 4 and begun.results_url is None and begun.id.startswith("msgbatch_tk_")
    batch = ended(client, begun)
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (2, 2)
    found = results(client, batch)
    assert sorted(found) == ["a", "b", "c", "d"] and found["a"].message.content[0].text.startswith("one")
    assert found["c"].type == "succeeded" and found["c"].message.stop_reason == "end_turn"
    assert [found[name].error.error.type for name in "bd"] == ["invalid_request_error", "not_found_error"]
    assert held(daemon) == 0 and "tollkeeper" not in (batch.model_extra or {})
    with pytest.raises(anthropic.NotFoundError):
        user(daemon, BOB).messages.batches.retrieve(batch.id)
    job = client.get(f"/tollkeeper/jobs/{batch.id}", cast_to=object)
    assert job["processing_status"] == "ended" and job["progress"] == 1  # type: ignore[index]


def test_a_spent_budget_is_an_error_of_the_requests_it_refused(daemon: Daemon) -> None:
    client = user(daemon, BOB)
    batch = ended(client, client.messages.batches.create(requests=[request(f"b{at}", "plain") for at in range(30)]))
    spent = [one.error.error.type for one in results(client, batch).values() if one.type == "errored"]
    assert batch.request_counts.succeeded >= 1 and spent == ["billing_error"] * batch.request_counts.errored != []
    assert Decimal(usage(daemon, BOB)["cost_usd"]) == batch.request_counts.succeeded * 3 * TOKEN_USD <= Decimal("0.006")


def test_lists_are_paged_both_ways_and_what_is_deleted_is_gone(daemon: Daemon) -> None:
    client = user(daemon)
    made = [client.messages.batches.create(requests=[request("a", "plain")]).id for _ in range(3)]
    assert [one.id for one in client.messages.batches.list(limit=2)][:3] == made[::-1]
    before = client.messages.batches.list(limit=1, before_id=made[0])
    assert [one.id for one in before.data] == [made[1]] and before.has_more
    for one in made:
        ended(client, client.messages.batches.retrieve(one))
        assert client.messages.batches.delete(one).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(one)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"requests": []}, "length >= 1"),
        ({"requests": [request("a"), request("a")]}, "stands twice"),
        ({"requests": [request("a b")]}, "custom_id"),
        ({"requests": [{"custom_id": "a", "params": []}]}, "requests.0.params"),
        ({"requests": [request("a", stream=True)]}, "comes whole"),
        ({"requests": [request("a")], "metadata": {}}, "metadata"),
        ([], "Expected `object`"),
    ],
)
def test_what_is_no_batch_is_refused_at_once(daemon: Daemon, body: Any, says: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=says) as refused:
        user(daemon).post("/v1/messages/batches", body=body, cast_to=object)
    told: Any = refused.value.body
    assert told["type"] == "error" and told["error"]["type"] == "invalid_request_error"


def test_the_provider_answers_several_models_at_half_the_price(daemon: Daemon, mock: Mock) -> None:
    client, billed, before = user(daemon), len(mock.bill()), usage(daemon, ALICE)
    asked = [request("a"), request("b", "soon"), request("hot", temperature=3)]
    batch = ended(client, client.messages.batches.create(requests=asked))
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (2, 1)
    found, told = results(client, batch), handed(client.messages.batches.retrieve, batch)
    half = sum(one.message.usage.output_tokens for one in found.values() if one.type == "succeeded") * TOKEN_USD / 2
    assert found["hot"].error.error.type == "invalid_request_error"
    assert told["provider"] == "anthropic" and Decimal(told["cost_usd"]) == Decimal(told["saved_usd"]) == half > 0
    assert len(mock.bill()) == billed + 2 and held(daemon) == 0
    after = usage(daemon, ALICE)
    assert Decimal(after["cost_usd"]) - Decimal(before["cost_usd"]) == half
    assert Decimal(after["saved_usd"]) - Decimal(before["saved_usd"]) == half
    assert told["provider_batch_id"] not in [one.id for one in provider(mock).messages.batches.list()]


def test_one_that_the_provider_declines_is_answered_here(daemon: Daemon) -> None:
    client = user(daemon)
    batch = ended(client, client.messages.batches.create(requests=[request("a", "declined")]))
    assert batch.request_counts.succeeded == 1 and "tollkeeper" not in (batch.model_extra or {})
    assert "batch_declined" in daemon.output and held(daemon) == 0


@pytest.mark.parametrize(("model", "lines"), [("slow", 12), ("plain-soon", 120)])
def test_cancelling_ends_it_early_there_and_here(daemon: Daemon, mock: Mock, model: str, lines: int) -> None:
    """Here eight are under way for a second each, and then the next: quarter of a minute for all of them."""
    client = user(daemon)
    batch = client.messages.batches.create(requests=[request(f"c{at}", model) for at in range(lines)])
    if model == "slow":
        handed(client.messages.batches.retrieve, batch)
        assert held(daemon) > 0
    with pytest.raises(anthropic.BadRequestError, match="In progress batches cannot be deleted"):
        client.messages.batches.delete(batch.id)
    with pytest.raises(anthropic.NotFoundError, match="has no available results: it is still being processed"):
        client.get(f"/v1/messages/batches/{batch.id}/results", cast_to=object)
    batch = client.messages.batches.cancel(batch.id)
    assert batch.processing_status == "canceling" and batch.cancel_initiated_at is not None
    batch = ended(client, batch)
    counts, kinds = batch.request_counts, [one.type for one in results(client, batch).values()]
    assert kinds.count("canceled") == counts.canceled and kinds.count("succeeded") == counts.succeeded
    assert counts.canceled + counts.succeeded == lines and held(daemon) == 0
    assert counts.canceled == lines if model == "slow" else counts.canceled >= 4  # what is under way here is awaited
    with pytest.raises(anthropic.BadRequestError, match="has ended"):
        client.messages.batches.cancel(batch.id)


def test_a_kill_in_the_making_finds_the_batch_by_its_results(mock: Mock, tmp_path: Path) -> None:
    """Anthropic's batches have no name: another one of that size is told from ours by what it has answered, once it has."""
    other = provider(mock).messages.batches.create(requests=[request(f"o{at}", "mock/echo") for at in range(4)])
    ended(provider(mock), other)
    with Daemon(config(mock), tmp_path) as daemon:
        client = user(daemon)
        batch = client.messages.batches.create(requests=[request(f"c{at}", "slow") for at in range(4)])
        there = handed(client.messages.batches.retrieve, batch)["provider_batch_id"]
        os.kill(daemon.pid, signal.SIGKILL)
    database = sqlite3.connect(tmp_path / "state" / "jobs" / "jobs.db")
    with database:
        change = "UPDATE jobs SET handed = json_set(handed, '$.state', 'creating', '$.batch', '') WHERE id = ?"
        assert database.execute(change, (batch.id,)).rowcount == 1
    database.close()
    billed = len(mock.bill())
    with Daemon(config(mock), tmp_path) as daemon:
        client = user(daemon)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while "their results will tell" not in daemon.output:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert held(daemon) > 0
        ended(provider(mock), provider(mock).messages.batches.cancel(there))
        batch = ended(client, batch)
        assert handed(client.messages.batches.retrieve, batch)["provider_batch_id"] == there and held(daemon) == 0
        assert batch.request_counts.canceled == 4 == len(results(client, batch))
        assert len(mock.bill()) == billed and Decimal(usage(daemon, ALICE)["cost_usd"]) == 0
    left = [one.id for one in provider(mock).messages.batches.list()]
    assert other.id in left and there not in left


def test_the_mock_refuses_what_anthropic_refuses(mock: Mock) -> None:
    client = provider(mock).messages.batches
    for asked in ([], [request("a"), request("a")], [request("a b")], [{"custom_id": "a", "params": 1}]):
        with pytest.raises(anthropic.BadRequestError, match=r"^Error code: 400.*requests"):
            client.create(requests=asked)
    with pytest.raises(anthropic.NotFoundError):
        client.retrieve("msgbatch_none")
    batch = client.create(requests=[request("a", "mock/slow?ttft=600")])
    with pytest.raises(anthropic.BadRequestError, match="In progress batches cannot be deleted"):
        client.delete(batch.id)
    assert client.cancel(batch.id).processing_status == "canceling"
    batch = ended(provider(mock), batch)
    assert [one.result.type for one in client.results(batch.id)] == ["canceled"]
    with pytest.raises(anthropic.BadRequestError, match="already ended"):
        client.cancel(batch.id)
    assert client.delete(batch.id).id == batch.id
