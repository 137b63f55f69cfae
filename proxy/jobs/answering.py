"""How what is ours is answered: JSON, and lists a page at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from proxy.errors import InvalidValue
from proxy.exchange.client import Client

_MOST_LISTED = 100


def send(client: Client, value: Any, status: int = 200, also: Iterable[tuple[str, str]] = ()) -> None:
    """Answer with a value, and headers of its own."""
    headers = [("Content-Type", "application/json"), *also, *client.record.own_headers()]
    client.record.phase = "done"
    client.whole(status, headers, msgspec.json.encode(value))


def asked_of(query: str) -> dict[str, str]:
    """What a query asks, the last of each name."""
    return {name: values[-1] for name, values in parse_qs(query.removeprefix("?")).items()}


def limit_of(asked: dict[str, str]) -> int:
    """How many of a list are wanted. Raises `InvalidValue`."""
    text = asked.get("limit", "20")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_LISTED:
        raise InvalidValue(f"limit must be between 1 and {_MOST_LISTED}.", param="limit")
    return int(text)
