"""Answers of a daemon, as the tests of `tail` and `top` want them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from proxy.cli.screen.forecast import Burn
from proxy.cli.screen.snapshot import Snapshot
from proxy.exchange.entry import Entry
from proxy.web.operator.answers import BudgetAnswer, LiveAnswer, LiveCall, ProviderAnswer

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def live_call(number: int = 1, **fields: Any) -> LiveCall:
    """A stream of alice's, half a minute old."""
    usual: dict[str, Any] = {
        "request_id": f"req_{number:024}",
        "at": "2026-11-21T11:59:30.000Z",
        "age_seconds": 30.0,
        "phase": "streaming",
        "key": "alice",
        "endpoint": "chat/completions",
        "model": "openai/gpt-4o",
        "provider": "openrouter",
        "upstream_model": "openai/gpt-4o",
        "stream": True,
        "attempts": 1,
        "first_byte_seconds": 0.3,
        "first_token_seconds": 0.4,
        "output_tokens": 100,
        "tokens_per_second": 12.5,
        "cost_usd": "0.001000000000",
        "client_left": False,
    }
    return LiveCall(**{**usual, **fields})


def entry(number: int = 1, **fields: Any) -> Entry:
    """A call of alice's that ended well half a minute ago."""
    usual: dict[str, Any] = {
        **dict.fromkeys(Entry.__struct_fields__),
        "request_id": f"req_{number:024}",
        "at": "2026-11-21T11:59:29.000Z",
        "key": "alice",
        "endpoint": "chat/completions",
        "model": "openai/gpt-4o",
        "target": "openai/gpt-4o",
        "provider": "openrouter",
        "stream": True,
        "status": 200,
        "attempts": 1,
        "tried": (),
        "adjusted": (),
        "input_tokens": 15,
        "output_tokens": 1200,
        "cost_usd": "0.030000000000",
        "first_byte_seconds": 0.1,
        "first_token_seconds": 0.2,
        "total_seconds": 1.0,
        "overhead_seconds": 0.001,
        "shadow_rejections": (),
    }
    return Entry(**{**usual, **fields})


def budget(spent: str = "0", held: str = "0", *, cap: str = "10", resets_at: str | None = None, **fields: Any) -> Any:
    """A budget of alice's."""
    left = str(Decimal(cap) - Decimal(spent) - Decimal(held))
    usual = {"budget": "key:alice:day", "scope": "key:alice", "per": "day"}
    return BudgetAnswer(
        **{**usual, **fields}, cap_usd=cap, spent_usd=spent, held_usd=held, left_usd=left, resets_at=resets_at
    )


def provider(name: str = "openrouter", **fields: Any) -> ProviderAnswer:
    """A provider that answers."""
    usual = {"kind": "openai", "base_url": "", "key_source": "", "in_flight": 0, "breaker": "closed", "failures": 0}
    return ProviderAnswer(**{"provider": name, **usual, "retry_in_seconds": None, **fields})


def snapshot_of(
    calls: list[LiveCall] | None = None,
    recent: list[Entry] | None = None,
    budgets: list[BudgetAnswer] | None = None,
    providers: list[ProviderAnswer] | None = None,
) -> Snapshot:
    """A moment of a daemon that spends two dollars an hour, half of them alice's."""
    return Snapshot(
        now=NOW,
        live=LiveAnswer("2026-11-21T12:00:00.000Z", calls or [], recent or []),
        providers=providers or [provider()],
        budgets=budgets or [],
        burn=Burn(3600, Decimal(2), {"key:alice": Decimal(1)}),
        today_usd=Decimal("3.20"),
        up_seconds=12_000.0,
    )
