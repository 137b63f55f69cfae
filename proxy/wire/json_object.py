"""A JSON object read at its top level only, with the place of every member in the bytes.

Changing a member is *splicing*: the bytes before, the new value, the bytes after. Nothing
is ever encoded again, so number spelling, escapes, key order and white space survive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from proxy.errors import DuplicateKey, InvalidJson, JsonTooDeep
from proxy.wire.json_text import SMALL, check_parts, mended
from proxy.wire.media import LONG, Brief, Lacking, without_long_strings

if TYPE_CHECKING:
    from proxy.wire.body_template import BodyTemplate

_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_SPACE = b" \t\n\r"
_BEHIND_SPACE = re.compile(rb"[^ \t\n\r]")
_LONGEST_USUAL_KEY = 64
_KNOWN = frozenset(
    "model messages input prompt stream stream_options max_tokens max_completion_tokens max_output_tokens "
    "models fallbacks n tools temperature metadata user provider seed stop tollkeeper".split()
)
_NOTHING_LACKING: Lacking = {}
_members: msgspec.json.Decoder[dict[str, Text]] = msgspec.json.Decoder(dict[str, Raw])
_json = msgspec.json.Decoder().decode
_lenient = msgspec.json.Decoder(float_hook=float)


Text = bytes | Raw | memoryview


class Member(Struct, frozen=True):
    """One top-level member: its value's text and where it stands (byte offsets, end exclusive)."""

    start: int
    end: int
    value: Text


class JsonObject(Struct, eq=False):
    """The bytes as they came, and the text of every member's value. Where they stand is worked out when somebody asks.

    `gap` is what stands behind every colon and comma of a text spelled as encoders do, which begins at `start`; for any
    other its members are `placed` at once. `brief`: the same with a name in the place of every long string, where there
    are any; `lacking` is by how many bytes each name is shorter. `template` is there where all but its messages came before.
    """

    body: bytes
    values: dict[str, Text]
    start: int = 0
    gap: bytes = b""
    placed: dict[str, Member] | None = None
    brief: JsonObject | None = None
    lacking: Lacking = _NOTHING_LACKING
    template: BodyTemplate | None = None

    @property
    def members(self) -> dict[str, Member]:
        """Every member in its place."""
        if self.placed is None:
            self.placed = _place(self)
        return self.placed

    def place_of(self, name: str) -> tuple[int, int]:
        """Where the value of a member stands, which is there and is not the messages."""
        if self.template is not None and name in self.template.places:
            return self.template.place_of(name, self)
        member = self.members[name]
        return member.start, member.end

    @property
    def end(self) -> int:
        """Where the last member ends; behind the opening brace where there is none."""
        return max((member.end for member in self.members.values()), default=self.close)

    @property
    def close(self) -> int:
        """The offset of the final brace."""
        return self.body.rindex(b"}")

    def value(self, name: str) -> Any:
        """Decode one member; None when it is absent. Raises `InvalidJson` where it cannot be."""
        text = self.values.get(name)
        if text is None:
            return None
        try:
            return _json(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _odd_value(name, text)


def _odd_value(name: str, text: Text) -> Any:
    try:  # numbers of any size are JSON, and so are halves of characters
        return _lenient.decode(mended(bytes(text)))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidJson(f"The member {name!r} of the request body is not valid JSON.") from None


def read_object(body: bytes) -> JsonObject:
    """Read the top level of a JSON object.

    Raises `InvalidJson`, `DuplicateKey`, `JsonTooDeep` or `RequestTooLarge`; never anything else.
    """
    start = len(_BOM) if body.startswith(_BOM) else 0
    if len(body) > 2 * LONG and (brief := without_long_strings(body)) is not None:
        document = _read_brief(body, brief, start)
        if document is not None:
            return document
    if len(body) > SMALL:
        check_parts(body)
    try:
        return _read(body, body, start)
    except msgspec.DecodeError as error:
        if b"\\ud" not in body and b"\\uD" not in body:
            raise InvalidJson(f"The request body is not valid JSON: {_without_input(error)}.") from None
    try:  # halves of characters, as cut emoji leave them: read from a copy without them, whose offsets are the same
        return _read(body, mended(body), start)
    except msgspec.DecodeError as error:
        raise InvalidJson(f"The request body is not valid JSON: {_without_input(error)}.") from None


def _read_brief(body: bytes, brief: Brief, start: int) -> JsonObject | None:
    """Read `body` by what is short of it; None where that is no JSON by itself. Raises what `read_object` does."""
    if len(brief.text) > SMALL:
        check_parts(brief.text)
    try:
        short = _read(brief.text, brief.text, start)
    except msgspec.DecodeError:
        return None
    if not brief.lacking.keys().isdisjoint(short.values):  # two long names may be the same
        return None
    placed: dict[str, Member] = {}
    for name, member in short.members.items():
        begins, ends = brief.place(member.start), brief.place(member.end)
        is_whole = ends - begins == member.end - member.start
        placed[name] = Member(begins, ends, member.value if is_whole else memoryview(body)[begins:ends])
    values = {name: member.value for name, member in placed.items()}
    return JsonObject(body, values, start, placed=placed, brief=short, lacking=brief.lacking)


def _read(body: bytes, text: bytes, start: int) -> JsonObject:
    """Read `text`, which stands for `body` byte by byte. `DecodeError` passes."""
    try:
        found = _members.decode(memoryview(text)[start:] if start else text)
    except RecursionError:
        raise JsonTooDeep("The request body nests too deep to be read.") from None
    except (msgspec.ValidationError, UnicodeDecodeError):
        raise InvalidJson("The request body must be a JSON object in UTF-8.") from None
    if len(text) <= SMALL and (gap := _gap_of(text, start, found)) is not None:
        document = JsonObject(body, found, start, gap)
    else:
        document = JsonObject(body, found, start, placed=_walk(text, start, found))
    if text is not body:
        places = document.members.items()
        document.placed = {name: Member(m.start, m.end, body[m.start : m.end]) for name, m in places}
        document.values = {name: member.value for name, member in document.placed.items()}
    return document


def splice(body: bytes, edits: Iterable[tuple[int, int, bytes]]) -> list[bytes | memoryview]:
    """Return the pieces of `body` with each (start, end, new) range replaced; the rest is not copied."""
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += (view[at:start], new)
        at = end
    pieces.append(view[at:])
    return pieces


def edit_for(document: JsonObject, name: str, text: bytes) -> tuple[int, int, bytes]:
    """The edit that gives member `name` the JSON `text`: in its place, or after the last member."""
    member = document.members.get(name)
    if member is not None:
        return member.start, member.end, text
    comma = b"," if document.members else b""
    at = document.end
    return at, at, comma + b'"' + name.encode() + b'":' + text


def without(document: JsonObject, name: str) -> bytes:
    """The bytes less the member `name`, and less the comma before it; the first member's is the one behind it."""
    body, names, member = document.body, list(document.members), document.members[name]
    at = names.index(name)
    if at:
        return body[: document.members[names[at - 1]].end] + body[member.end :]
    end = member.end if len(names) == 1 else body.index(b",", member.end) + 1
    return body[: body.index(b"{") + 1] + body[end:]


def _gap_of(text: bytes, start: int, found: dict[str, Text]) -> bytes | None:
    """What stands behind every colon and comma of a text spelled as encoders do; None for any other.

    That the members put together again are the text proves that none was there twice.
    """
    after_colon = text.find(b":", start, start + _LONGEST_USUAL_KEY) + 1
    gap = b" " if after_colon and text[after_colon : after_colon + 1] == b" " else b""
    before, behind = b"," + gap + b'"', b'":' + gap
    pieces: list[Text] = []
    for key, value in found.items():
        pieces += (before, key.encode("utf-8", "surrogatepass"), behind, value)
    if not pieces:
        return None
    pieces[0] = b'{"'
    pieces.append(b"}")
    return gap if text.startswith(b"".join(pieces), start) else None


def _place(document: JsonObject) -> dict[str, Member]:
    """Where every member of a text spelled as encoders do stands."""
    members: dict[str, Member] = {}
    at, quotes = document.start - len(document.gap), len(document.gap) * 2 + 4  # and brace or comma, colon
    for key, value in document.values.items():
        at += quotes + len(key.encode("utf-8", "surrogatepass"))
        end = at + len(memoryview(value))
        members[key] = Member(at, end, value)
        at = end
    return members


def _walk(body: bytes, start: int, found: dict[str, Text]) -> dict[str, Member]:
    """Walk `{ key : value ,` with the known length of each value.

    A repeated key is collapsed by the decoder, so the walk meets a member too many, or a value
    whose bytes are not the ones the decoder kept: both mean a duplicate.
    """
    members: dict[str, Member] = {}
    at = _skip_space(body, start) + 1
    at = _skip_space(body, at)
    while body[at] != 0x7D:
        key, at = _key(body, at)
        at = _skip_space(body, at)
        raw = found[key]
        end = at + len(memoryview(raw))
        if key in members or not body.startswith(raw, at):
            raise _twice(key)
        members[key] = Member(at, end, raw)
        at = _skip_space(body, end)
        if body[at] == 0x2C:
            at = _skip_space(body, at + 1)
        elif body[at] != 0x7D:
            raise _twice(key)
    return members


def _key(body: bytes, at: int) -> tuple[str, int]:
    """Read the key whose opening quote is at `at`; return it and the offset behind its colon."""
    end = body.index(b'"', at + 1)
    if body.find(b"\\", at, end) < 0:
        return body[at + 1 : end].decode(), body.index(b":", end) + 1
    match = _STRING.match(body, at)
    if match is None:  # cannot be: the decoder read it as a string
        raise InvalidJson("The request body is not valid JSON.")
    return json.loads(match.group()), body.index(b":", match.end()) + 1


def _skip_space(body: bytes, at: int) -> int:
    behind = _BEHIND_SPACE.search(body, at) if body[at] in _SPACE else None
    return behind.start() if behind else at


def _twice(key: str) -> DuplicateKey:
    """Name the member only where its name is ours too: an error repeats no bytes of the request."""
    if key in _KNOWN:
        return DuplicateKey(f"The member {key!r} stands twice in the request body.", param=key)
    return DuplicateKey("A member stands twice in the request body; parsers disagree on which one counts.")


def _without_input(error: Exception) -> str:
    """msgspec names a position and never quotes the input; keep its words, lower-cased."""
    words = str(error).removeprefix("JSON is malformed: ")
    return words[:1].lower() + words[1:]
