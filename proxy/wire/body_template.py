"""Bodies that differ from one read before in their messages only, as nearly all bodies of one client do.

What such a body says beside its messages is known by its bytes before and behind them. That these are those of the body
before, and that one JSON value stands between them, proves that the whole is a JSON object with the same members.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.wire.json_object import JsonObject

LONGEST_BEFORE = 4096
MOST_BYTES = 4 * 2**20  # of all that are known, before they are learnt anew
MOST_ENDS = 16  # of bodies that begin alike
_USUAL_BYTES = 2048  # what one takes beside its text
_NAME = b'"messages":'
_numbers = count()
_value = msgspec.json.Decoder(Raw).decode


class BodyTemplate(Struct, eq=False):
    """All of a body but its messages: what stands before and behind them, the `values` of its members (that of the messages
    is empty), and what a call `said` with it. `places`: where each value begins and ends, counted from the end of the body for
    those behind the messages. `weighed` is what it asks for beside them, kept by whoever weighs.
    `number` is that of no other. Where messages are an array, what `begins` and `ends` a body is up to its brackets."""

    before: bytes
    behind: bytes
    values: dict[str, bytes | Raw]
    gap: bytes
    places: dict[str, tuple[int, int]]
    said: tuple[Any, ...]
    number: int
    begins: bytes
    ends: bytes
    messages: slice
    weighed: Any = None

    def fits(self, body: bytes) -> bool:
        """Whether a body is an object like this."""
        if not body.startswith(self.before) or not body.endswith(self.behind):
            return False
        text = body[self.messages]
        if text.strip() != text:  # white space is no part of a value
            return False
        try:
            _value(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        return True

    def filled(self, body: bytes) -> JsonObject:
        """The object that a body is which fits."""
        return JsonObject(body, {**self.values, "messages": body[self.messages]}, 0, self.gap, template=self)

    def place_of(self, name: str, size: int) -> tuple[int, int]:
        """Where the value of a member other than the messages stands in a body of so many bytes."""
        start, end = self.places[name]
        return (start, end) if start > 0 else (size + start, size + end)


def before_messages(body: bytes) -> bytes:
    """What stands before the messages of a body, if it is one that can be known."""
    start = body.find(_NAME, 0, LONGEST_BEFORE) + len(_NAME)
    return body[: start + 1] if body.startswith(b" ", start) else body[:start]


class BodyTemplates:
    """Those that are known. From any thread: what two learn at once, one of them may forget."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], list[BodyTemplate]] = {}
        self._bytes = 0

    def find(self, endpoint: str, body: bytes) -> BodyTemplate | None:
        """What a body is but for its messages, where one like it came before."""
        for template in self._known.get((endpoint, before_messages(body)), ()):
            if template.fits(body):
                return template
        return None

    def learn(self, endpoint: str, document: JsonObject, said: tuple[Any, ...]) -> None:
        """Know bodies like this one again, where it is spelled as encoders do. `said` is what a call says beside its
        messages."""
        if document.placed is not None or document.start or "messages" not in document.values:
            return
        body, places = document.body, document.members
        messages = places["messages"]
        before, behind = body[: messages.start], body[messages.end :]
        if body.find(_NAME, 0, LONGEST_BEFORE) + len(_NAME) + len(document.gap) != len(before):
            return
        self._bytes += len(before) + 2 * len(behind) + _USUAL_BYTES
        if self._bytes > MOST_BYTES:
            self._known, self._bytes = {}, 0
        far = {name: len(body) if place.start > messages.start else 0 for name, place in places.items()}
        found = BodyTemplate(
            before,
            behind,
            {name: b"" if name == "messages" else bytes(value) for name, value in document.values.items()},
            document.gap,
            {name: (place.start - far[name], place.end - far[name]) for name, place in places.items()},
            said,
            next(_numbers),
            before + b"[",
            b"]" + behind,
            slice(len(before), -len(behind)),
        )
        others = [one for one in self._known.get((endpoint, before), ()) if one.behind != behind]
        others = others if len(others) < MOST_ENDS else []
        # the longest first: a shorter end may be part of it
        self._known[endpoint, before] = sorted([found, *others], key=lambda one: -len(one.behind))
