"""What providers report of an account's costs by day, to an admin key alone: OpenRouter's `/activity`, OpenAI's and Anthropic's cost
reports. A key with `admin` in it is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from proxy.mock.answer import number
from proxy.mock.asked import Profile
from proxy.mock.bill import Row
from proxy.mock.calls import failed, json_reply
from proxy.mock.envelopes import Failure
from proxy.mock.state import State

_REFUSED: dict[Profile, Failure] = {
    "openrouter": Failure(403, "Only management keys can perform this operation"),
    "openai": Failure(403, "You have insufficient permissions for this operation. Missing scopes: api.usage.read."),
    "anthropic": Failure(401, "invalid x-api-key"),
}


async def serve(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """The report of every call so far; OpenRouter's of days that are over."""
    offered = request.headers.get("x-api-key", "") + request.headers.get("Authorization", "")
    if "admin" not in offered:
        return failed(state, profile, "reports", _REFUSED[profile])
    rows = state.bill.rows
    if profile == "openai":
        body = openai_costs_body(rows)
    elif profile == "anthropic":
        body = anthropic_costs_body(rows)
    else:
        today = datetime.fromtimestamp(state.now(), UTC).strftime("%Y-%m-%d")
        body = activity_body(rows, request.query.get("date"), today)
    return json_reply(state, profile, body)


def activity_body(rows: Iterable[Row], day: str | None, today: str) -> dict[str, Any]:
    """What was used by day and model, of days that are over (OpenRouter)."""
    found = [
        {
            "date": own_day,
            "model": model,
            "model_permaslug": model,
            "endpoint_id": "mock",
            "provider_name": "Mock",
            "usage": number(cost),
            "byok_usage_inference": 0,
            "requests": len(same),
            "prompt_tokens": sum(row.turn.asked.input_tokens for row in same),
            "completion_tokens": sum(row.output_tokens_emitted for row in same),
            "reasoning_tokens": 0,
        }
        for own_day, model, cost, same in _by_day(rows)
        if own_day < today and day in (None, own_day)
    ]
    return {"data": found}


def openai_costs_body(rows: Iterable[Row]) -> dict[str, Any]:
    """The organization's costs, a bucket a day."""
    results: dict[str, list[dict[str, Any]]] = {}
    for day, model, cost, _ in _by_day(rows):
        amount = {"value": number(cost), "currency": "usd"}
        result = {"object": "organization.costs.result", "amount": amount, "line_item": model, "project_id": None}
        results.setdefault(day, []).append(result)
    buckets = [
        {"object": "bucket", "start_time": begin, "end_time": begin + 86_400, "results": results[day]}
        for day in sorted(results)
        for begin in [int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())]
    ]
    return {"object": "page", "data": buckets, "has_more": False, "next_page": None}


def anthropic_costs_body(rows: Iterable[Row]) -> dict[str, Any]:
    """The organization's costs, a bucket a day; amounts are texts, in cents."""
    results: dict[str, list[dict[str, Any]]] = {}
    for day, model, cost, _ in _by_day(rows):
        results.setdefault(day, []).append(
            {
                "currency": "USD",
                "amount": f"{cost * 100:f}",
                "workspace_id": None,
                "description": f"{model} Usage - Output Tokens",
                "cost_type": "tokens",
                "context_window": "0-200k",
                "model": model,
                "service_tier": "standard",
                "token_type": "output_tokens",
            }
        )
    buckets = [
        {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{_after(day)}T00:00:00Z", "results": results[day]}
        for day in sorted(results)
    ]
    return {"data": buckets, "has_more": False, "next_page": None}


def _by_day(rows: Iterable[Row]) -> list[tuple[str, str, Decimal, list[Row]]]:
    """UTC day, model, USD, calls."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        day = datetime.fromtimestamp(row.turn.created, UTC).strftime("%Y-%m-%d")
        found.setdefault((day, row.turn.asked.model), []).append(row)
    return [(*key, sum((row.cost for row in same), Decimal(0)), same) for key, same in sorted(found.items())]


def _after(day: str) -> str:
    return (datetime.fromisoformat(day) + timedelta(days=1)).strftime("%Y-%m-%d")


ROUTES: tuple[tuple[str, Profile], ...] = (
    ("/api/v1/activity", "openrouter"),
    ("/openai/v1/organization/costs", "openai"),
    ("/anthropic/v1/organizations/cost_report", "anthropic"),
)
