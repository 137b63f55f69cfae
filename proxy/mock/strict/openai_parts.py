"""OpenAI: the parts of messages and items, and what a model takes of them (recorded refusals of api.openai.com)."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.mock.envelopes import Failure
from proxy.mock.strict.facts import Facts
from proxy.mock.strict.shape import Shape, Want

_THING = Want(("object",), required=True)
_TEXT = Want(("string",), required=True)
CHAT_PARTS = {
    "text": Shape({"text": _TEXT}),
    "image_url": Shape({"image_url": Want(("object",), True, inside=Shape({"url": _TEXT}))}),
    "input_audio": Shape({"input_audio": _THING}),
    "refusal": Shape({"refusal": _TEXT}),
    "file": Shape({"file": _THING}),
}
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_LARGEST_TOKEN = 100_257  # of the models that complete a prompt


def refused_parts(endpoint: str, fields: Mapping[str, Any], facts: Facts | None) -> Iterator[Failure]:
    """What the parts of a request that is in shape say and cannot: to any model, and to the one asked."""
    if endpoint == "responses":
        yield from _of_items(fields.get("input"), is_stored=fields.get("store") is not False)
    if endpoint == "embeddings" and fields["input"] == []:  # an empty text has a vector
        yield Failure(400, "Invalid 'input': empty array. At least one is expected.", "empty_array", "input")
    if facts is None:
        return
    if endpoint == "chat/completions":
        yield from _of_messages(fields["messages"], hears=facts.hears)
        if fields.get("web_search_options") is not None and "search" not in facts.name:
            yield Failure(400, "This model does not take web search options.", None, "web_search_options")
    if endpoint == "completions":
        yield from _of_tokens(fields.get("prompt"))


def _of_messages(messages: list[Any], *, hears: bool) -> Iterator[Failure]:
    for at, message in enumerate(messages):
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if not hears and any(part["type"] == "input_audio" for part in parts):
            text = f"Invalid 'messages[{at}]'. Content blocks of this model are of type text or image_url."
            yield Failure(400, text, "invalid_value", f"messages[{at}]")
        if any(part["type"] == "image_url" and _is_no_picture(part["image_url"]["url"]) for part in parts):
            text = "The image is in no format that is supported: ['png', 'jpeg', 'gif', 'webp']."
            yield Failure(400, text, "invalid_image_format")


def _is_no_picture(url: str) -> bool:
    """Whether a data URL holds bytes that begin as no picture does."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return False
    try:
        return not binascii.a2b_base64(data[:64]).startswith(_PICTURES)
    except binascii.Error:
        return True


def _of_items(items: Any, *, is_stored: bool) -> Iterator[Failure]:
    items = items if isinstance(items, list) else []
    for at, item in enumerate(items):
        for name in ("content", "output"):
            yield from _of_files(item.get(name), f"input[{at}].{name}")
        if is_stored and item.get("type") == "reasoning" and item.get("id") and _is_alone(items[at + 1 : at + 2]):
            text = f"Item '{str(item['id'])[:100]}' of type 'reasoning' needs the item that followed it."
            yield Failure(400, text, None, "input")


def _is_alone(following: list[Any]) -> bool:
    """Whether what comes next is none of the model's own items; one of those that it remembers has an id."""
    item = following[0] if following else {}
    kind = item.get("type") or "message"
    return kind.endswith("_output") or (kind == "message" and not item.get("id"))


def _of_files(parts: Any, path: str) -> Iterator[Failure]:
    for at, part in enumerate(parts if isinstance(parts, list) else ()):
        data = part.get("file_data") if isinstance(part, dict) else None
        kind = data[5:].partition(";")[0] if isinstance(data, str) and data.startswith("data:") else ""
        if kind.startswith(("audio/", "video/")):
            where = f"{path}[{at}].file_data"
            text = f"Invalid file data: '{where}'. The MIME type '{kind[:100]}' is not supported."
            yield Failure(400, text, "invalid_value", where)


def _of_tokens(prompt: Any) -> Iterator[Failure]:
    prompts = prompt if isinstance(prompt, list) else []
    tokens = [token for one in prompts for token in (one if isinstance(one, list) else [one])]
    for token in tokens:
        if isinstance(token, int) and not 0 <= token <= _LARGEST_TOKEN:
            text = f"Invalid token in prompt: {token}. The least is 0, the largest {_LARGEST_TOKEN}."
            yield Failure(400, text, None)
