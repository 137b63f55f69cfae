"""Events known again: where one differs from another in nothing but its piece of text, nothing else has to be read.

Most of a stream is such events. One is read with all care, and what stands before and behind its text is kept; whoever
comes with the same before and behind says the same, but for the text.
"""

from __future__ import annotations

import re

from msgspec import Struct

from proxy.wire.events import text_alone
from proxy.wire.json_text import is_utf_8
from proxy.wire.structs import often_set

# As it stands in JSON without an escape, so that it ends where the next quote is; and in one line of an event.
_TEXT = re.compile(rb'[^"\\\x00-\x1f]+')
_FIRST = frozenset(bytes([code]) for code in range(0x20, 0x7F) if code not in b'"\\')
_MARKS = (b'"content":"', b'"content": "')
_PROBE = b"tollkeeper reads this"
_MOST_TRIES = 16  # with a stream whose events are all of them different


@often_set
class Alike(Struct, eq=False, gc=False):
    """What events of one stream have in common; nothing before one was learnt."""

    _before: bytes = b""
    _behind: bytes = b""
    _start: int = 0  # of the text, and its end from the event's
    _end: int = 0
    _tries: int = 0

    def text_of(self, event: bytes) -> bytes | None:
        """The text, UTF-8, of an event that differs in nothing else from the one learnt; None for any other."""
        start = self._start
        if not start or not event.startswith(self._before) or not event.endswith(self._behind):
            return None
        text = event[start : self._end]
        if text[1:].isalnum() and text[:1] in _FIRST:  # a word, as nearly all of them
            return text
        return text if _TEXT.fullmatch(text) and is_utf_8(text) else None

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
                    self._before, self._behind = before, behind
                    self._start, self._end = start, -len(behind)
                    return
