"""Events known again: where one differs from another in nothing but its piece of text, nothing else has to be read.

Most of a stream is such events. One is read with all care, and what stands before and behind its text is kept; whoever
comes with the same before and behind says the same, but for the text.
"""

from __future__ import annotations

import re

from msgspec import Struct

from proxy.wire.chunks import END
from proxy.wire.counting import BYTES_A_TOKEN, LONGEST_TOKEN, tokens_in
from proxy.wire.events import text_alone
from proxy.wire.json_text import is_utf_8
from proxy.wire.structs import often_set

# As it stands in JSON without an escape, so that it ends where the next quote is; and in one line of an event.
_TEXT = re.compile(rb'[^"\\\x00-\x1f]+')
# A small letter for letters and digits, a capital for other signs; no letter for what may not stand there, and for what is not ASCII.
_KINDS = (
    bytes(
        ord("a") if chr(code).isalnum() else ord("0") if code in b'"\\' or code < 0x20 else ord("A")
        for code in range(0x7F)
    )
    + b"0" * 0x81
)
_MARKS = (b'"content":"', b'"content": "')
_PROBE = b"tollkeeper reads this"
_MOST_TRIES = 16  # with a stream whose events are all of them different


@often_set
class Alike(Struct, eq=False, gc=False):
    """What events of one stream have in common; nothing before one was learnt, and no event is like that."""

    _before: bytes = b"\n"
    _behind: bytes = b""  # with what ends a chunk
    _start: int = 0  # of the text, and its end from the chunk's
    _end: int = 0
    _tries: int = 0

    @property
    def knows(self) -> bool:
        """Whether an event was learnt."""
        return self._start > 0

    def text_of(self, event: bytes) -> bytes | None:
        """The text, UTF-8, of an event that differs in nothing else from the one learnt; None for any other."""
        start, chunk = self._start, event + END
        if not start or not chunk.startswith(self._before) or not chunk.endswith(self._behind):
            return None
        text = chunk[start : self._end]
        return text if text.translate(_KINDS).isalpha() or (_TEXT.fullmatch(text) and is_utf_8(text)) else None

    def tokens_in(self, event: bytes) -> int:
        """About how many tokens that text comes to; 0 for any other event."""
        text = self.text_of(event)
        return 0 if text is None else tokens_in(text)

    def tokens_in_chunk(self, chunk: bytes, beginning: bytes) -> int:
        """The same of a chunk with such an event alone, which begins so where it is one."""
        text = chunk[len(beginning) + self._start : self._end]
        if chunk != b"".join((beginning, self._before, text, self._behind)):
            return 0
        kinds, size = text.translate(_KINDS), len(text)
        if not kinds.isalpha():
            return tokens_in(text) if _TEXT.fullmatch(text) and is_utf_8(text) else 0
        if size <= LONGEST_TOKEN and (kinds.istitle() or kinds.islower()):  # a word, with a sign before it at most
            return 1
        return -(-size // BYTES_A_TOKEN)

    def learn(self, event: bytes) -> None:
        """Take an event that was read: all of it, its `data: ` and its blank line included."""
        if self._tries == _MOST_TRIES:
            return
        self._tries += 1
        text = text_alone(event[6:-2])
        for mark in _MARKS if text else ():
            start = event.find(mark) + len(mark)
            found = None if start < len(mark) else _TEXT.match(event, start)
            if found is not None and found[0].decode("utf-8", "replace") == text:
                before, behind = event[:start], event[found.end() :]
                if text_alone(before[6:] + _PROBE + behind[:-2]) == _PROBE.decode():
                    self._before, self._behind = before, behind + END
                    self._start, self._end = start, -len(self._behind)
                    return


NOTHING_ALIKE = Alike()
