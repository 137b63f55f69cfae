"""Where sessions are, and what tells calls of one conversation where the client names none."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import msgspec

from proxy.policy.routing.values import Stuck
from proxy.policy.values import Target
from proxy.wire.call import Call

_MOST = 10_000


class Sessions:
    """Where each session was answered last, and when; the longest unused are forgotten first."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, tuple[Stuck, float]] = OrderedDict()

    def stick(self, session: bytes, target: Target, input_tokens: int, now: float) -> None:
        """One has been answered there; what was read is likely cached."""
        self._found[session] = (Stuck(target, input_tokens), now)
        self._found.move_to_end(session)
        if len(self._found) > _MOST:
            self._found.popitem(last=False)

    def find(self, session: bytes, seconds: float, now: float) -> Stuck | None:
        """Where it is, if it was there within so many seconds."""
        found = self._found.get(session)
        return None if found is None or now - found[1] > seconds else found[0]


def prefix_of(call: Call) -> bytes:
    """What the calls of a conversation have in common: system text, tools, and its first message."""
    if call.document is None:
        return b""
    values = call.document.values
    told = [bytes(values[name]) for name in ("system", "instructions", "tools") if name in values]
    for name in ("messages", "input"):
        if name in values:
            told.append(_first_words(bytes(values[name])))
    return hashlib.blake2b(b"\0".join(told), digest_size=16).digest() if told else b""


def _first_words(messages: bytes) -> bytes:
    """Up to the first message of a user; all of it, where that is no list."""
    try:
        each = msgspec.json.decode(messages, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        return messages
    kept: list[bytes] = []
    for raw in each:
        kept.append(bytes(raw))
        if b'"user"' in kept[-1]:
            break
    return b"".join(kept)
