"""What a request to Anthropic says beside its conversation, as far as the model lets itself be told."""

from __future__ import annotations

from typing import Any

from proxy.translate.effort import draws_itself, is_claude, takes_one_sampler
from proxy.translate.losses import Field, Losses
from proxy.translate.media import is_breakpoint
from proxy.translate.values import Request

_SAMPLING: tuple[Field, ...] = ("temperature", "top_p", "top_k")


def sample(body: dict[str, Any], request: Request, losses: Losses) -> None:
    """Say how words are drawn, as far as this model lets itself be told: with thoughts only in the usual way."""
    asked = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.extra.get("top_k")}
    wanted: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if draws_itself(body["model"]) or body.get("thinking", {}).get("type") == "enabled":
        for name in _SAMPLING:
            if wanted.get(name, 1) != 1:
                losses.add(name)
        return
    if {"temperature", "top_p"} <= wanted.keys() and takes_one_sampler(body["model"]):
        unneeded: Field = "temperature" if wanted["temperature"] == 1 else "top_p"
        if wanted.pop(unneeded) != 1:
            losses.add(unneeded)
    if wanted.get("temperature", 0) > 1:
        losses.add("temperature", "changed")
        wanted["temperature"] = 1.0
    body |= wanted


def keep_prompt(body: dict[str, Any], request: Request, losses: Losses) -> None:
    """Where a client counts on its prompt being kept: OpenAI's models do so by themselves, Claude where it is asked to."""
    parts = [*request.tools, *(part for turn in request.turns for part in turn.parts)]
    if request.cache_key and is_claude(body["model"]) and not any(getattr(part, "cache", None) for part in parts):
        body["cache_control"] = {"type": "ephemeral"}
        losses.add("prompt_cache_key", "changed")
    else:
        losses.unless_empty("prompt_cache_key", request.cache_key)
    marks: list[Any] = [getattr(part, "cache", None) for part in parts]
    if any(is_breakpoint(mark) and mark.get("ttl") for mark in marks):
        losses.add("cache_control", "changed")
