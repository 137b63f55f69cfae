"""Long conversations that were text and nothing else. An agent sends all of its own again with every turn: only what is new in it is
looked into."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from proxy.policy.money.weight import are_texts

MOST_KNOWN = 16
MOST_BYTES = 8 * 2**20
_MOST_CHANGED = 16  # messages at the end, as marks for a provider's cache move on with each turn
_PROBE_BYTES = 64
_messages = msgspec.json.Decoder(list[Raw]).decode


class _Known(Struct, frozen=True):
    """One of this `key`: its `text` up to the last bracket, and where in it each message ends."""

    key: str
    text: bytes
    ends: tuple[int, ...]


class Conversations:
    """Those of late, the newest first. What is known of one key's says nothing of another's. `look` looks into messages."""

    def __init__(self, look: Callable[[bytes], bool] = are_texts) -> None:
        self._look = look
        self._known: list[_Known] = []

    def are_texts(self, key: str, messages: bytes) -> bool:
        """Whether messages are text and nothing else, as `proxy.policy.money.weight.are_texts` has it."""
        before, shared = self._begun(key, messages)
        end = before.ends[shared - 1] if shared else 0
        if shared and messages[end:] == b"]":
            return True
        start = end + (2 if messages.startswith(b", ", end) else 1)
        new = b"[" + messages[start:] if shared else messages
        if not self._look(new):
            return False
        texts = [bytes(text) for text in _messages(new)] if new.startswith(b"[") else []
        separator = b", " if b", ".join(texts) == new[1:-1] else b","
        if not texts or separator.join(texts) != new[1:-1]:  # a comma too many, or spelled as no encoder does
            return not shared or self._look(messages)
        self._keep(before, _Known(key, messages[:-1], (*before.ends[:shared], *_ends(start, texts, separator))))
        return True

    def _begun(self, key: str, messages: bytes) -> tuple[_Known, int]:
        """The one that this goes on from, and how many of its messages begin this as well."""
        for known in self._known:
            if known.key == key and (shared := _shared(known, messages)):
                return known, shared
        return _Known(key, b"[", ()), 0

    def _keep(self, before: _Known, known: _Known) -> None:
        self._known = [known, *(one for one in self._known if one is not before)][:MOST_KNOWN]
        while self.size_bytes > MOST_BYTES:
            self._known.pop()

    @property
    def size_bytes(self) -> int:
        """What their texts take in memory."""
        return sum(len(one.text) for one in self._known)


def _shared(known: _Known, messages: bytes) -> int:
    """How many of its messages stand at the beginning of these, which end there or go on."""
    for count in range(len(known.ends), max(len(known.ends) - _MOST_CHANGED, 0), -1):
        end = known.ends[count - 1]
        start = max(end - _PROBE_BYTES, 0)
        if messages[start:end] == known.text[start:end]:
            goes_on = messages[end:] == b"]" or messages.startswith(b",", end)
            return count if goes_on and messages.startswith(known.text[:end]) else 0
    return 0


def _ends(start: int, texts: list[bytes], separator: bytes) -> list[int]:
    """Where each of these ends, of which the first begins at `start`."""
    ends = []
    for text in texts:
        ends.append(start + len(text))
        start = ends[-1] + len(separator)
    return ends
