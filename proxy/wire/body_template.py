"""Bodies that differ from one read before in their messages only, as nearly all bodies of one client do; and in who its user is.

Its messages are the member that has the conversation: `messages`, or the `input` of the Responses API. What it says beside
them is known by its bytes before and behind them. That these are those of the body before, and that one JSON value stands
between them, proves that the whole is a JSON object with the same members. So does one plain value more, of a member behind
the messages that nobody here reads.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.wire.endpoints import Endpoint
from proxy.wire.json_object import JsonObject, Text

LONGEST_BEFORE = 64 * 1024
MOST_BYTES = 4 * 2**20  # of all that are known, before they are learnt anew
MOST_ENDS = 16  # of bodies that begin alike
USUAL_BYTES = 2048  # what one takes beside its text
MESSAGES = "messages"
# Of these one may differ: they say who a provider's user is, or what its chance begins with, and only pass.
_ONLY_PASSING = ("user", "safety_identifier", "seed")
_PLAIN_TEXT = re.compile(rb"[ !#-\[\]-~]*")  # of a JSON string, with nothing that is escaped
_WHOLE_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]{0,17})")
_NAMES = {member: f'"{member}":'.encode() for member in (MESSAGES, "input")}
_numbers = count()
_value = msgspec.json.Decoder(Raw).decode


class BodyTemplate(Struct, eq=False):
    """All of a body but its messages: what stands before and behind them, the `values` of its members (that of the messages
    is empty), and what a call `said` with it. `places`: where each value begins and ends, counted from the beginning of the body, the
    end of its messages, or its own end. `weighed` is what it asks for beside them, kept by whoever weighs.
    `number` is that of no other. What `begins` and `ends` a body is up to the brackets of its messages, or the quotes where they are a string.

    `member` is the name of the messages, and `messages` where these stand, if nothing may differ behind them. `hole`: the member that may differ, "" where there is none. What stands before it up to the messages, whose last bracket
    that has, is `middle`, and what `ends` the body begins behind it.
    """

    before: bytes
    behind: bytes
    values: dict[str, bytes | Raw]
    gap: bytes
    places: dict[str, tuple[int, int, int]]
    said: tuple[Any, ...]
    number: int
    begins: bytes
    ends: bytes
    messages: slice
    member: str = MESSAGES
    hole: str = ""
    middle: bytes = b""
    weighed: Any = None

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        return len(self.before) + 2 * len(self.behind) + USUAL_BYTES

    def fits(self, body: bytes) -> bool:
        """Whether a body is an object like this."""
        if not body.startswith(self.before) or not body.endswith(self.ends if self.hole else self.behind):
            return False
        text = self.messages_of(body)
        if text is None or text.strip() != text:  # white space is no part of a value
            return False
        try:
            _value(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        return True

    def messages_of(self, body: bytes) -> bytes | None:
        """The messages of a body that begins and ends like this; None where what stands behind them does not."""
        if not self.hole:
            return body[self.messages]
        at = self._hole_of(body)
        return None if at is None else body[len(self.before) : at - len(self.middle) + 1]

    def filled(self, body: bytes) -> JsonObject:
        """The object that a body is which fits."""
        values: dict[str, Text] = {**self.values, self.member: self.messages_of(body) or b""}
        if (at := self._hole_of(body) if self.hole else None) is not None:
            quotes = self.middle.endswith(b'"')
            values[self.hole] = body[at - quotes : len(body) - len(self.ends) + quotes]
        return JsonObject(body, values, 0, self.gap, template=self)

    def place_of(self, name: str, document: JsonObject) -> tuple[int, int]:
        """Where the value of a member stands that has a place, in an object that was `filled`."""
        start, end, anchor = self.places[name]
        at = (0, len(self.before) + len(document.values[self.member]), len(document.body))[anchor]
        return at + start, at + end

    def _hole_of(self, body: bytes) -> int | None:
        """Where the value begins that may differ. It has none of the byte before it, which stands there last, therefore."""
        middle, end = self.middle, len(body) - len(self.ends)
        at = body.rfind(middle[-1:], 0, end) + 1
        starts = at - len(middle)
        if starts <= len(self.before) or not body.startswith(middle, starts):
            return None
        kind = _PLAIN_TEXT if middle.endswith(b'"') else _WHOLE_NUMBER
        return at if kind.fullmatch(body, at, end) else None


def before_messages(body: bytes, member: str = MESSAGES) -> bytes:
    """What stands before the messages of a body, if it is one that can be known."""
    name = _NAMES[member]
    start = body.find(name, 0, LONGEST_BEFORE) + len(name)
    return body[: start + 1] if body.startswith(b" ", start) else body[:start]


class BodyTemplates:
    """Those that are known. From any thread: what two learn at once, one of them may forget."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], list[BodyTemplate]] = {}
        self._bytes = 0

    def find(self, endpoint: Endpoint, body: bytes) -> BodyTemplate | None:
        """What a body is but for its messages, where one like it came before."""
        for template in self._known.get((endpoint.name, before_messages(body, member_of(endpoint))), ()):
            if template.fits(body):
                return template
        return None

    def learn(self, endpoint: Endpoint, document: JsonObject, said: tuple[Any, ...]) -> None:
        """Know bodies like this one again, where it is spelled as encoders do. `said` is what a call says beside its
        messages."""
        member = member_of(endpoint)
        if document.placed is not None or document.start or member not in document.values:
            return
        body, messages = document.body, document.members[member]
        before, name = body[: messages.start], _NAMES[member]
        if body.find(name, 0, LONGEST_BEFORE) + len(name) + len(document.gap) != len(before):
            return
        found = _template_of(document, member, said)
        self._bytes += found.size_bytes
        if self._bytes > MOST_BYTES:
            self._known, self._bytes = {}, found.size_bytes
        others = [one for one in self._known.get((endpoint.name, before), ()) if one.behind != found.behind]
        others = others if len(others) < MOST_ENDS else []
        # the longest first: a shorter end may be part of it
        self._known[endpoint.name, before] = sorted([found, *others], key=lambda one: -len(one.behind))


def member_of(endpoint: Endpoint) -> str:
    """Where the bodies of an endpoint have their messages."""
    return "input" if endpoint.shape == "responses" else MESSAGES


def _template_of(document: JsonObject, member: str, said: tuple[Any, ...]) -> BodyTemplate:
    """What is like this one. A member that may differ is a hole in it where its value is plain, and the messages are an array."""
    body, places = document.body, document.members
    messages = places[member]
    before, behind = body[: messages.start], body[messages.end :]
    opens, closes = (b'"', b'"') if body.startswith(b'"', messages.start) else (b"[", b"]")
    values = {name: b"" if name == member else bytes(value) for name, value in document.values.items()}
    hole = next((name for name in _ONLY_PASSING if name in places and places[name].start > messages.start), "")
    middle, ends, hole_ends = b"", closes + behind, messages.end
    if hole and body.startswith(b"[", messages.start) and (kind := _plain(values[hole])) is not None:
        quotes = kind is _PLAIN_TEXT
        middle = body[messages.end - 1 : places[hole].start + quotes]
        hole_ends, ends = places[hole].end, body[places[hole].end - quotes :]
        behind = middle + ends
    else:
        hole = ""
    from_where = {name: _anchor(place.start, messages.start, hole_ends) for name, place in places.items()}
    bases = 0, messages.end, len(body)
    kept = {
        name: (place.start - bases[from_where[name]], place.end - bases[from_where[name]], from_where[name])
        for name, place in places.items()
        if name not in (hole, member)
    }
    return BodyTemplate(
        before,
        behind,
        values,
        document.gap,
        kept,
        said,
        next(_numbers),
        before + opens,
        ends,
        slice(len(before), -len(behind)),
        member,
        hole,
        middle,
    )


def _plain(value: bytes) -> re.Pattern[bytes] | None:
    """What such a value is like, where it may differ."""
    if value[:1] == b'"':
        return _PLAIN_TEXT if _PLAIN_TEXT.fullmatch(value, 1, len(value) - 1) else None
    return _WHOLE_NUMBER if _WHOLE_NUMBER.fullmatch(value) else None


def _anchor(start: int, messages: int, hole_ends: int) -> int:
    """From where a place is counted: 0 the beginning, 1 the end of the messages, 2 that of the body."""
    if start < messages:
        return 0
    return 1 if start < hole_ends else 2
