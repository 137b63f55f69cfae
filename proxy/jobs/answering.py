"""How what is ours is answered: JSON, and lists a page at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from proxy.errors import InvalidValue
from proxy.exchange.client import Client
from proxy.jobs.work import Work
from proxy.stores.jobs.job_rows import KeptFile

_MOST_LISTED = 100


def send(client: Client, value: Any, status: int = 200, also: Iterable[tuple[str, str]] = ()) -> None:
    """Answer with a value, and headers of its own."""
    headers = [("Content-Type", "application/json"), *also, *client.own_headers()]
    client.record.phase = "done"
    client.whole(status, headers, msgspec.json.encode(value))


async def send_file(client: Client, work: Work, file: KeptFile, content_type: str) -> None:
    """Answer with a file, as it is read. Raises `StoreError`."""
    headers = [("Content-Type", content_type), ("Content-Length", str(file.size))]
    client.begin(200, [*headers, *client.own_headers(is_whole=False)])
    chunks = iter(work.chunks(file))
    while (chunk := await work.ask(next, chunks, None)) is not None:
        client.say(chunk)
        await client.room()
    client.record.phase = "done"
    client.end()


def asked_of(query: str) -> dict[str, str]:
    """What a query asks, the last of each name."""
    return {name: values[-1] for name, values in parse_qs(query.removeprefix("?")).items()}


def limit_of(asked: dict[str, str], most: int = _MOST_LISTED) -> int:
    """How many of a list are wanted. Raises `InvalidValue`."""
    text = asked.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise InvalidValue(f"limit must be between 1 and {most}.", param="limit")
    return int(text)
