"""Calls through a real daemon before the scripted upstream, and what the books and the metrics say of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from harness.daemon import Daemon
from harness.http import Reply
from harness.setting import CLIENT_KEY, config_for
from harness.steps import Script
from harness.upstream import Upstream
from money_books import USD, eventually

from proxy.stores.journal.records import Row

BOUND_KEY = "sk-bob-canary"
PRICE = {"input": 1000, "output": 2000}
TOKENS = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
COMPUTED = Decimal("0.019")


def sources_config(upstream: Upstream) -> dict[str, Any]:
    """A key of no budget and one of a large budget; models at OpenRouter, at OpenAI's like, at Anthropic."""
    targets = {"chat": "openrouter/house/model", "direct": "oai/house-model", "claude": "anthropic/house-model"}
    usual = config_for(upstream)
    own = {"kind": "openai", "base_url": f"{upstream.url}/openai/v1", "api_key": "sk-upstream"}
    return config_for(
        upstream,
        providers={**usual["providers"], "openai": own},
        routes=[*usual["routes"], {"match": "openai/gpt-4.1-mini", "provider": "openai"}],
        keys={"alice": {"key": CLIENT_KEY}, "bob": {"key": BOUND_KEY, "budgets": [{"usd": 9000, "per": "total"}]}},
        models={name: {"target": target, "price": PRICE} for name, target in targets.items()},
        retries={"attempts": 1},
    )


class Calls:
    """Makes calls and reads what the books say of them."""

    def __init__(self, toll: Daemon, upstream: Upstream) -> None:
        self.toll = toll
        self.upstream = upstream

    def post(self, script: Script, path: str, body: dict[str, Any], *headers: tuple[str, str]) -> Reply:
        self.upstream.expect(script)
        return self.toll.post(f"/v1/{path}", body, headers)

    def chat(self, script: Script, model: str = "chat", **members: Any) -> Row:
        self.upstream.expect(script)
        return self.row(self.toll.chat(model, max_tokens=100_000, **members))

    def row(self, reply: Reply) -> Row:
        """The one attempt of a call, once it is settled."""
        (row,) = eventually(self.toll, lambda books: bool(books.of(reply.request_id))).of(reply.request_id)
        return row

    def doubts(self, row: Row) -> list[str]:
        """The anomalies told of an attempt, which come before the call's own line."""
        self.toll.wait_for_log(lambda line: line.get("request_id") == row.request_id)
        lines = (line for line in self.toll.log_lines() if line.get("event") == "cost_anomaly")
        return [line["reason"].split(" ")[0] for line in lines if row.id in line["reason"]]


def usd(row: Row) -> Decimal:
    return Decimal(row.cost_pusd) / USD
