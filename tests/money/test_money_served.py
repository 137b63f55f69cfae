"""A reply is charged at the price of the model and tier that served it, by the shipped lists."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import DONE, chat_chunk, chat_reply, event
from harness.steps import LAST_CHUNK, chunk, json_reply, say_apart, sse, stream_head
from harness.upstream import Upstream
from money_books import KEY, ask, books_of, eventually, settled

TOLD = {"prompt_tokens": 300_000, "completion_tokens": 1000, "total_tokens": 301_000}
SMALL = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}


def config(upstream: Upstream) -> dict[str, Any]:
    """OpenAI by its name, at an address of ours."""
    return {
        "providers": {"openai": {"kind": "openai", "base_url": f"{upstream.url}/v1", "api_key": "sk-upstream"}},
        "models": {"own": {"target": "openai/gpt-5", "price": {"input": 100, "output": 100}}},
        "keys": {"alice": {"key": KEY, "budgets": [{"usd": 1000, "per": "total"}]}},
    }


@pytest.mark.parametrize(
    ("asked", "reply", "due"),
    [
        ("gpt-5", {"model": "gpt-5-2025-08-07", "usage": SMALL}, "0.01125"),
        ("gpt-5", {"model": "gpt-4o-mini-2024-07-18", "usage": SMALL}, "0.00075"),
        ("gpt-5", {"model": "never-heard-of", "usage": SMALL}, "0.01125"),
        ("gpt-5", {"model": "gpt-5", "usage": SMALL, "service_tier": "flex"}, "0.005625"),
        ("gpt-5", {"model": "gpt-5", "usage": SMALL, "service_tier": "unheard-of"}, "0.01125"),
        ("gpt-5.4", {"model": "gpt-5.4-2026-03-05", "usage": TOLD, "service_tier": "default"}, "1.5225"),
        ("own", {"model": "gpt-4o-mini-2024-07-18", "usage": SMALL}, "0.2"),
    ],
)
def test_a_call_costs_what_served_it(
    upstream: Upstream, tmp_path: Path, asked: str, reply: dict[str, Any], due: str
) -> None:
    upstream.expect(json_reply(chat_reply(**reply)))
    with Daemon(config(upstream), tmp_path, key=KEY) as daemon:
        assert daemon.post("/v1/chat/completions", ask(asked)).status == 200
        (row,) = settled(daemon).rows.values()
        assert (row.source, Decimal(row.cost_pusd) / 10**12) == ("computed", Decimal(due))
        assert daemon.stop() == 0


def test_a_stream_names_its_model_too(upstream: Upstream, tmp_path: Path) -> None:
    told = event({"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [], "usage": SMALL})
    upstream.expect(sse(chat_chunk("Hello", finish="stop", model="gpt-4o") + told + DONE))
    with Daemon(config(upstream), tmp_path, key=KEY) as daemon:
        assert daemon.post("/v1/chat/completions", ask("gpt-5", stream=True)).status == 200
        (row,) = settled(daemon).rows.values()
        assert Decimal(row.cost_pusd) / 10**12 == Decimal("0.0125")
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    "before", [b"", event({"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [], "usage": SMALL})]
)
def test_a_usage_behind_the_end_is_charged_at_that_price_too(upstream: Upstream, tmp_path: Path, before: bytes) -> None:
    told = event({"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [], "usage": SMALL})
    stream = [chat_chunk("Hello", finish="stop", model="gpt-4o") + before + DONE, told]
    upstream.expect(say_apart([stream_head(), *map(chunk, stream), LAST_CHUNK]))
    with Daemon(config(upstream), tmp_path, key=KEY) as daemon:
        assert daemon.post("/v1/chat/completions", ask("gpt-5", stream=True)).status == 200
        eventually(daemon, lambda books: [row.source for row in books.rows.values()] == ["computed"])
        assert daemon.stop() == 0
        (row,) = books_of(daemon).rows.values()
        assert Decimal(row.cost_pusd) / 10**12 == Decimal("0.0125")


def test_a_model_of_the_vendors_list_stands_by_its_name_in_the_metrics(upstream: Upstream, tmp_path: Path) -> None:
    """OpenRouter's list, from which names are offered, has no embeddings."""
    reply = {"object": "list", "model": "text-embedding-3-small", "data": [], "usage": {"prompt_tokens": 8}}
    upstream.expect(json_reply(reply))
    with Daemon(config(upstream), tmp_path, key=KEY) as daemon:
        asked = {"model": "text-embedding-3-small", "input": "hello"}
        assert daemon.post("/v1/embeddings", asked).status == 200
        settled(daemon)
        assert daemon.metric("tollkeeper_tokens_total", model="openai/text-embedding-3-small", type="input") == 8
        assert daemon.stop() == 0
