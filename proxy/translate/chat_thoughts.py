"""Thoughts in chat: where servers put them in a message."""

from __future__ import annotations

from typing import Any

from proxy.translate.values import Part, Reasoning, a_text

IN_CONTENT = "content"  # where thoughts came, and nobody takes them back


def read_thoughts(message: dict[str, Any]) -> list[Part]:
    """The thoughts of an assistant's message: OpenRouter's blocks, or the text under either of its names."""
    details = message.get("reasoning_details")
    if isinstance(details, list) and details:
        return _joined([thought for block in details if isinstance(block, dict) and (thought := read_detail(block))])
    for name in ("reasoning_content", "reasoning"):
        if text := a_text(message.get(name)):
            return [Reasoning(text, origin=name)]
    return []


def _joined(thoughts: list[Reasoning]) -> list[Part]:
    """Blocks with one id are one run of thoughts: what is told of it, and what only its maker can read."""
    parts: list[Part] = []
    last: Reasoning | None = None
    for thought in thoughts:
        if last is not None and thought.id and (thought.id, thought.origin) == (last.id, last.origin):
            last.text, last.data = last.text + thought.text, last.data + thought.data
            last.is_full = last.is_full or thought.is_full
            continue
        parts.append(thought)
        last = thought
    return parts


def read_detail(block: dict[str, Any]) -> Reasoning | None:
    """One block of `reasoning_details` (wire.md 1.5)."""
    made_by = a_text(block.get("format"))
    origin = (
        "anthropic" if made_by.startswith("anthropic") else "openai" if "openai" in made_by else "reasoning_details"
    )
    text = a_text(block.get("text")) or a_text(block.get("summary"))
    is_full = origin == "openai" and block.get("type") == "reasoning.text"
    thought = Reasoning(
        text, a_text(block.get("signature")), a_text(block.get("data")), a_text(block.get("id")), origin, is_full
    )
    return thought if thought.text or thought.signature or thought.data else None


def thought_in(part: dict[str, Any]) -> str:
    """The thoughts of a part of content, as Mistral has them: a list of texts."""
    said = part.get("thinking")
    texts = said if isinstance(said, list) else [{"text": said}]
    return "".join(a_text(inner.get("text")) for inner in texts if isinstance(inner, dict))
