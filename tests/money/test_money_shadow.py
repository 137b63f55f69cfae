"""Budgets in shadow and what they have no part in: nobody waits for one, is lowered, cut off or refused for it."""

from __future__ import annotations

import json
from typing import Any

from harness.events import DONE, chat_chunk, chat_reply, usage_chunk
from harness.mock import Mock
from harness.setting import CLIENT_KEY, config_for
from harness.steps import LAST_CHUNK, chunk, json_reply, say, stream_head, then, wait_at
from harness.upstream import Upstream
from money_books import StartToll, eventually, settled


def tried(upstream: Upstream, usd: float) -> dict[str, Any]:
    """An answer costs $0.001 a token, so that a maximum of 100 holds $0.10."""
    return config_for(
        upstream,
        keys={"alice": {"key": CLIENT_KEY, "budgets": [{"usd": usd, "per": "total", "shadow": True}]}},
        models={"m": {"target": "oai/house-model", "price": {"input": 0, "output": 1000}}},
        budget_policy={"wait": 600},
    )


def test_nobody_waits_for_a_budget_in_shadow_nor_is_lowered_for_it(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon, gate = start_daemon(**tried(upstream, 0.15)), upstream.gate()
    upstream.expect(then(wait_at(gate), json_reply(chat_reply())))
    upstream.expect(json_reply(chat_reply()), again=True)
    with daemon.open_chat("m", max_tokens=100) as first:
        eventually(daemon, lambda books: bool(books.held))
        reply, unlimited = daemon.chat("m", max_tokens=100), daemon.chat("m")
        gate.open()
        assert first.read_reply("POST").status == 200
    assert (reply.status, unlimited.status) == (200, 200)
    assert daemon.line_of(reply)["shadow_rejections"] == ["budget_in_flight by key:alice:total"]
    assert unlimited.header("x-tollkeeper-adjusted") is None
    assert "max_tokens" not in json.loads(upstream.calls[-1].body)


def test_a_stream_that_outgrows_it_goes_on_and_is_told_of(start_daemon: StartToll, upstream: Upstream) -> None:
    daemon = start_daemon(**tried(upstream, 0.25))
    usage = {"prompt_tokens": 1, "completion_tokens": 350, "total_tokens": 351}
    end = chunk(chat_chunk(finish="stop") + usage_chunk(usage) + DONE) + LAST_CHUNK
    gate = upstream.gate()
    upstream.expect(then(say(stream_head() + chunk(chat_chunk(" word")) * 350), wait_at(gate), say(end)))
    with daemon.open_chat("m", max_tokens=100, stream=True) as call:
        eventually(daemon, lambda books: [hold.amount_pusd for hold in books.held] == [4 * 10**11])
        gate.open()
        reply = call.read_reply()
    assert (reply.status, reply.complete) == (200, True)
    assert daemon.line_of(reply)["shadow_rejections"] == ["budget_exceeded by key:alice:total"]
    (row,) = settled(daemon).of(reply.request_id)
    assert (row.cost_pusd, row.message) == (350 * 10**9, "budget_exceeded by key:alice:total")


def test_a_model_without_a_price_goes_under_a_budget_in_shadow(start_toll: StartToll, mock: Mock) -> None:
    daemon = start_toll(
        alice={"budgets": [{"usd": 5, "per": "total", "shadow": True}]},
        providers={"own": mock.provider("openai", stream_options=True)},
    )
    reply = daemon.chat("own/echo")
    assert reply.status == 200
    assert daemon.line_of(reply)["shadow_rejections"] == ["model_not_priced by key:alice:total"]
