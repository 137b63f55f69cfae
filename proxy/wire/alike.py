"""Events known again: where one differs from another in nothing but its piece of text, nothing else has to be read.

Most of a stream is such events. One is read with all care, and what stands before and behind its text is kept; whoever
comes with the same before and behind says the same, but for the text.
"""

from __future__ import annotations

import re

from proxy.wire.events import text_alone

# As it stands in JSON without an escape, so that it ends where the next quote is; and in one line of an event.
_TEXT = re.compile(rb'[^"\\\x00-\x1f]+')
_MARKS = (b'"content":"', b'"content": "')
_PROBE = b"tollkeeper reads this"
_MOST_TRIES = 16  # with a stream whose events are all of them different


class Alike:
    """What events of one stream have in common; nothing before one was learnt."""

    __slots__ = ("_before", "_behind", "_tries")

    def __init__(self) -> None:
        self._before = self._behind = b""
        self._tries = 0

    def text_of(self, event: bytes) -> bytes | None:
        """The text of an event that differs in nothing else from the one learnt; None for any other."""
        before, behind = self._before, self._behind
        if not before or not event.startswith(before) or not event.endswith(behind):
            return None
        text = _TEXT.fullmatch(event, len(before), len(event) - len(behind))
        return None if text is None else text[0]

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
                    return
