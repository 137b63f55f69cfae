"""Arrays of texts: what each of them may be read as, where a model reads them one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The quotes and the comma of a text in an array stand for the marks a model puts at its ends.
_MARKS = 3

# Endpoint -> the member that may be an array.
_ARRAYS = {"embeddings": "input", "completions": "prompt", "rerank": "documents"}


def item_tokens(endpoint: str, members: Mapping[str, Any]) -> tuple[int, ...]:
    """The most tokens of each text of an array: its bytes, or the tokens themselves where it is of tokens.

    Empty where the endpoint takes no array, or what it was sent is none of these: then the whole body bounds it.
    With documents goes the query they are ranked by, each time.
    """
    value = members.get(_ARRAYS.get(endpoint, ""))
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        return ()
    if all(_is_token(token) for token in value):
        return (len(value),)
    query = _bytes(members.get("query")) if endpoint == "rerank" else 0
    sizes = [_size(item) for item in value]
    return () if None in sizes else tuple(size + (query or 0) for size in sizes if size is not None)


def _size(item: Any) -> int | None:
    if isinstance(item, list):
        return len(item) if all(_is_token(token) for token in item) else None
    if isinstance(item, dict) and item.keys() == {"text"}:
        item = item["text"]
    return _bytes(item)


def _bytes(text: Any) -> int | None:
    return len(text.encode("utf-8", "surrogatepass")) + _MARKS if isinstance(text, str) else None


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
