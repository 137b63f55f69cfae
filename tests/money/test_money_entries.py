"""The price of an entry under `models:` is the price of every call that comes to its target through it: its hold and what it
costs, whichever name was called."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.events import chat_reply
from harness.steps import Script, json_reply
from harness.upstream import Upstream
from money_books import KEY, USD, ask, eventually

POOR = "sk-bob-money-test"
TOLD = json_reply(chat_reply(usage={"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}))
DOWN: Script = json_reply({"error": {"message": "down"}}, status=503)
DIME, DOLLAR = 10_000, 100_000  # USD per million tokens of output, nothing to read


def priced(target: str, dollars: int, **members: Any) -> dict[str, Any]:
    return {"target": target, "price": {"input": 0, "output": dollars}, **members}


def config(upstream: Upstream) -> dict[str, Any]:
    """A server of no list, so that nobody but the entries knows a price; gpt-5 at OpenAI, which the list has."""
    own = {"kind": "openai", "base_url": f"{upstream.url}/v1", "api_key": "sk-upstream"}
    arms = [{"target": "dime", "share": 100}, {"target": "dollar", "share": 0}]
    return {
        "providers": {"oai": own, "openai": own},
        "models": {
            "dime": priced("oai/house", DIME),
            "dollar": priced("oai/house", DOLLAR),
            "dear": priced("openai/gpt-5", DIME),
            "led": "dime",
            "twice": "led",
            "single": {"candidates": ["dollar"]},
            "several": {"candidates": ["dollar", {"target": "dear", "weight": 0}], "strategy": "weighted"},
            "listed": "dear",
            "behind": {"target": "openai/gpt-5-mini", "fallbacks": ["led"]},
            "other": {"target": "openai/gpt-5-mini", "fallbacks": ["dollar"]},
            "drawn": {"candidates": ["dear", {"target": "dollar", "weight": 0}], "strategy": "weighted"},
            "tried": "openai/gpt-5-mini",
        },
        "experiments": {"newer": {"model": "tried", "arms": arms}},
        "keys": {
            "alice": {"key": KEY, "budgets": [{"usd": 1000, "per": "total"}]},
            "bob": {"key": POOR, "budgets": [{"usd": 0.01, "per": "total"}]},
        },
        "retries": {"attempts": 1, "first_wait": 0.01},
        "budget_policy": {"wait": 0},
        "catalogue": {"refresh": "never"},
    }


@pytest.fixture(scope="module")
def toll(upstream_server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(config(upstream_server), tmp_path_factory.mktemp("toll"), key=KEY) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "before", "due"),
    [
        ("dime", [], DIME),
        ("led", [], DIME),
        ("twice", [], DIME),
        ("single", [], DOLLAR),
        ("several", [], DOLLAR),
        ("listed", [], DIME),
        ("tried", [], DIME),
        ("behind", [DOWN], DIME),
        ("other", [DOWN], DOLLAR),
        ("drawn", [DOWN], DOLLAR),
    ],
)
def test_an_entrys_price_goes_wherever_a_name_leads_through_it(
    toll: Daemon, upstream: Upstream, name: str, before: list[Script], due: int
) -> None:
    upstream.expect(*before, TOLD)
    reply = toll.post("/v1/chat/completions", ask(name))
    assert reply.status == 200, reply.body
    row = eventually(toll, lambda books: bool(books.of(reply.request_id))).of(reply.request_id)[-1]
    assert Decimal(row.cost_pusd) / USD == Decimal(10 * due) / 10**6
    assert not before or row.attempt == 2


@pytest.mark.parametrize(
    ("name", "due"), [("twice", "$1.00,"), ("single", "$10.00,"), ("tried", "$1.00,"), ("listed", "$1.0")]
)
def test_so_does_the_hold(toll: Daemon, name: str, due: str) -> None:
    reply = toll.post("/v1/chat/completions", ask(name), [("Authorization", f"Bearer {POOR}")])
    assert reply.status == 402, reply.body
    assert f"may cost up to {due}" in reply.body.decode()
