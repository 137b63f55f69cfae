"""Heads of requests: told apart by what somebody here reads, whatever their other headers say.

Many clients, and proxies before us, give every request an id or a trace of its own. Such values pass, and decide nothing:
a head that has been read with all care says the same as one that differs in nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from proxy.wire.headers import HOP_BY_HOP
from proxy.wire.marks import SESSIONS

_CREDENTIALS = (
    b"\r\nAuthorization: ",
    b"\r\nauthorization: ",
    b"\r\nx-api-key: ",
    b"\r\nX-Api-Key: ",
    b"\r\nX-API-Key: ",
    b"\r\nX-api-key: ",
    b"\r\napi-key: ",
    b"\r\nApi-key: ",
)
# A line as no two readers can differ on it; where its value is longer, it is left as it is.
_LINE = re.compile(rb"(\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*)([\t -~]{0,4096})(?=\r\n)")
# What frames a request, says whose it is, or is asked for where requests are let in and calls are planned.
HEEDED = HOP_BY_HOP | {
    "anthropic-version",
    "api-key",
    "authorization",
    "cache-control",
    "cookie",
    "expect",
    "host",
    "idempotency-key",
    "origin",
    "prefer",
    "x-api-key",
    "x-stainless-read-timeout",
    *SESSIONS,
}
_HEEDED_PREFIXES = ("access-control-", "content-", "x-tollkeeper-")

HeaderPairs = Sequence[tuple[str, str]]


class HeadParts(NamedTuple):
    """Of a head: the line of its first credential, as these are usually spelled, b"" where it has none; the `values` of the
    headers that only pass, in turn; and its `outline`, which is all the rest."""

    outline: bytes
    credential: bytes
    values: tuple[bytes, ...]


def parted(head: bytes) -> HeadParts:
    """The parts of a head that ends with a blank line."""
    rest, credential = _split_credential(head)
    pieces, values = _LINE.split(rest), []
    for at in range(1, len(pieces), 3):
        if _only_passes(pieces[at]):
            values.append(pieces[at + 1])
            pieces[at + 1] = b""
    return HeadParts(b"".join(pieces), credential, tuple(values))


def places_of(headers: HeaderPairs, values: Sequence[bytes]) -> tuple[int, ...] | None:
    """Where these values stand among the headers, as they were read with all care; None where they are read otherwise."""
    places = tuple(at for at, (name, _) in enumerate(headers) if not is_heeded(name))
    return places if [headers[at][1] for at in places] == [_text(value) for value in values] else None


def with_values(headers: HeaderPairs, places: Sequence[int], values: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    """The headers, with other values at these places."""
    changed = list(headers)
    for at, value in zip(places, values, strict=True):
        changed[at] = headers[at][0], _text(value)
    return tuple(changed)


def is_heeded(name: str) -> bool:
    """Whether anything but whoever a request is passed on to reads this header."""
    low = name.lower()
    return low in HEEDED or low.startswith(_HEEDED_PREFIXES)


@lru_cache(maxsize=1024)
def _only_passes(beginning: bytes) -> bool:
    """The same of a line up to its value."""
    return not is_heeded(beginning.strip()[:-1].decode())


def _text(value: bytes) -> str:
    return value.strip(b" \t").decode()


def _split_credential(head: bytes) -> tuple[bytes, bytes]:
    for name in _CREDENTIALS:
        at = head.find(name)
        if at >= 0:
            line_end = head.find(b"\r\n", at + len(name))
            return head[:at] + head[line_end:], head[at + 2 : line_end]
    return head, b""
