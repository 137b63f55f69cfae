"""The `usage` member of every API; OpenRouter's carries what the call cost."""

from __future__ import annotations

from typing import Any

from proxy.mock.answer import Turn, number


def chat_usage(turn: Turn) -> dict[str, Any]:
    """Usage of chat and completions."""
    answer = turn.answer
    usage: dict[str, Any] = {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
    if turn.asked.profile == "anthropic":
        return usage
    thoughts = len(answer.thoughts) * turn.asked.choices
    if turn.asked.profile == "openai":
        usage["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": 0}
        usage["completion_tokens_details"] = {
            "reasoning_tokens": thoughts,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
        return usage
    return {
        **usage,
        "cost": turn.cost,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0},
        "cost_details": cost_details(turn, "prompt", "completions"),
        "completion_tokens_details": {"reasoning_tokens": thoughts, "image_tokens": answer.image_tokens},
    }


def response_usage(turn: Turn) -> dict[str, Any]:
    """Usage of the Responses API."""
    answer = turn.answer
    usage: dict[str, Any] = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": len(answer.thoughts)},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
    if turn.asked.profile == "openrouter":
        usage |= {"cost": turn.cost, "is_byok": False, "cost_details": cost_details(turn, "input", "output")}
    return usage


def message_usage(turn: Turn, output_tokens: int) -> dict[str, Any]:
    """Usage of the Messages API; OpenRouter's cost belongs to the finished message only."""
    usage = {
        "input_tokens": turn.answer.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    return usage if turn.asked.profile == "openrouter" else {**usage, "inference_geo": "global"}


def message_cost(turn: Turn) -> dict[str, Any]:
    """What OpenRouter adds to the usage of the Messages API."""
    if turn.asked.profile != "openrouter":
        return {}
    return {"cost": turn.cost, "is_byok": False, "cost_details": cost_details(turn, "prompt", "completions")}


def cost_details(turn: Turn, given: str, said: str) -> dict[str, Any]:
    """The upstream's share; chat and Responses name the members differently."""
    style = turn.behaviour.cost_style
    return {
        "upstream_inference_cost": None,
        f"upstream_inference_{given}_cost": number(turn.answer.cost.prompt, style),
        f"upstream_inference_{said}_cost": number(turn.answer.cost.completion, style),
    }
