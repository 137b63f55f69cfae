"""OpenRouter's account endpoints: `/generation`, `/key`, `/credits`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from proxy.mock.answer import number
from proxy.mock.bill import Row

_CREDITS = 100
_NO_IDS = dict.fromkeys(
    ("session_id", "preset_id", "external_user", "workspace_id", "app_id", "response_cache_source_id")
)
_NO_COUNTS = dict.fromkeys(
    ("num_media_prompt", "num_media_completion", "num_input_audio_prompt", "num_search_results", "num_fetches")
)


def generation_body(row: Row) -> dict[str, Any]:
    """The statistics of one call. Amounts in USD, times in milliseconds."""
    turn, answer = row.turn, row.turn.answer
    cost = number(row.cost)
    thoughts = min(len(answer.thoughts), row.output_tokens_emitted)
    data: dict[str, Any] = {
        "id": row.id,
        "request_id": f"req-{turn.suffix}",
        "upstream_id": f"chatcmpl-{turn.suffix}",
        **_NO_IDS,
        "model": turn.served,
        "provider_name": "Mock",
        "api_type": _API_TYPES.get(turn.asked.endpoint, "completions"),
        **dict.fromkeys(("router", "service_tier")),
        "data_region": "global",
        "origin": "",
        **dict.fromkeys(("http_referer", "user_agent", "web_search_engine")),
        "streamed": row.streamed,
        "cancelled": row.cancelled,
        **dict.fromkeys(("finish_reason", "native_finish_reason"), row.finish_reason),
        "created_at": datetime.fromtimestamp(turn.created, UTC).isoformat(),
        "tokens_prompt": turn.asked.input_tokens,
        "tokens_completion": row.output_tokens_emitted,
        "native_tokens_prompt": turn.asked.input_tokens,
        "native_tokens_completion": row.output_tokens_emitted,
        "native_tokens_reasoning": thoughts,
        "native_tokens_cached": 0,
        "native_tokens_completion_images": answer.image_tokens if row.completed else 0,
        **_NO_COUNTS,
        "total_cost": cost,
        "usage": cost,
        "upstream_inference_cost": None,
        "cache_discount": number(row.discount) if row.discount else None,
        "is_byok": False,
        **dict.fromkeys(("latency", "generation_time"), 1),
        "moderation_latency": None,
        "provider_responses": [],
    }
    return {"data": data}


def key_body(total: Decimal, *, keyed: bool) -> dict[str, Any]:
    """Information on the presented key; `total` is what was spent."""
    spent = number(total)
    usage = {f"usage{period}": spent for period in ("", "_daily", "_weekly", "_monthly")}
    byok = {f"byok_usage{period}": 0 for period in ("", "_daily", "_weekly", "_monthly")}
    data: dict[str, Any] = {
        "label": "sk-or-v1-moc...key" if keyed else "mock",
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        **usage,
        **byok,
        "include_byok_in_limit": False,
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        **dict.fromkeys(("creator_user_id", "organization_id", "workspace_id", "expires_at", "effective_budget")),
        **dict.fromkeys(("allowed_data_regions", "budgets"), []),
        "free_model_daily_requests": {"limit": 1000, "remaining": 1000, "used": 0},
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
    }
    return {"data": data}


def credits_body(total: Decimal) -> dict[str, Any]:
    """The account's balance; `total` is what was spent."""
    return {"data": {"total_credits": _CREDITS, "total_usage": number(total)}}


_API_TYPES = {
    "embeddings": "embeddings",
    "rerank": "rerank",
    "audio/speech": "tts",
    "audio/transcriptions": "stt",
    "audio/translations": "stt",
    "images": "image",
}
