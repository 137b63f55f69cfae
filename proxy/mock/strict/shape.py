"""What the members of a request may be, as tables, and where a request differs from its table. No provider's words here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct, field

Kind = Literal["integer", "number", "string", "boolean", "array", "object"]
Wrong = Literal["unknown", "missing", "type", "below", "above", "word", "tag", "empty", "long"]
Path = tuple[str | int, ...]

_TYPES: dict[type, Kind] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class Want(Struct, frozen=True):
    """What one member may be. null stands for absent.

    `least` and `most` bound numbers, `words` are the texts allowed, `filled`: neither an empty text nor an empty
    list. `inside` describes an object; `each` the objects of a list, by their member `tag` ("" for all the others,
    without which no other tag is known).
    """

    kinds: tuple[Kind, ...]
    required: bool = False
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    filled: bool = False
    inside: Shape | None = None
    each: Mapping[str, Shape] | None = None
    tag: str = "type"
    named: bool = False


class Shape(Struct, frozen=True):
    """The members of an object; `closed`: no others are known."""

    members: dict[str, Want] = field(default_factory=dict)
    closed: bool = False


class Fault(Struct, frozen=True):
    """Where a request differs: `want` is what was due (None for a member nobody knows), `value` what came.

    `known` holds the words or tags that would have done.
    """

    wrong: Wrong
    path: Path
    want: Want | None = None
    value: object = None
    known: tuple[str, ...] = ()


def kind_of(value: object) -> str:
    """The JSON type of a decoded value."""
    return _TYPES.get(type(value), "null")


def faults(fields: Mapping[str, Any], shape: Shape, path: Path = ()) -> Iterator[Fault]:
    """Every difference, members that are missing first, then in the order of the request."""
    for name, want in shape.members.items():
        if want.required and fields.get(name) is None:
            yield Fault("missing", (*path, name), want)
    for name, value in fields.items():
        known = shape.members.get(name)
        if known is not None and value is not None:
            yield from _value(value, known, (*path, name))
        elif known is None and shape.closed:
            yield Fault("unknown", (*path, name), None, value)


def _value(value: Any, want: Want, path: Path) -> Iterator[Fault]:
    kind = kind_of(value)
    if kind not in want.kinds and not (kind == "integer" and "number" in want.kinds):
        yield Fault("type", path, want, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if want.least is not None and value < want.least:
            yield Fault("below", path, want, value)
        if want.most is not None and value > want.most:
            yield Fault("above", path, want, value)
    elif want.words and isinstance(value, str) and value not in want.words:
        yield Fault("word", path, want, value, want.words)
    elif want.filled and value in ("", []):
        yield Fault("empty", path, want, value)
    elif isinstance(value, list):
        yield from _items(value, want, path)
    elif isinstance(value, dict) and want.inside is not None:
        yield from faults(value, want.inside, path)


def _items(values: list[Any], want: Want, path: Path) -> Iterator[Fault]:
    if want.most is not None and len(values) > want.most:
        yield Fault("long", path, want, len(values))
    for at, item in enumerate(values if want.each is not None else ()):
        yield from _item(item, want, (*path, at))


def _item(item: Any, want: Want, path: Path) -> Iterator[Fault]:
    """One of a list of objects, by its tag; `named`: the tag is a step of the path, too."""
    rows = want.each or {}
    if not isinstance(item, dict):
        yield Fault("type", path, Want(("object",)), item)
        return
    tag = item.get(want.tag)
    shape = rows.get(tag) if isinstance(tag, str) else rows.get("")
    if shape is None:
        shape = rows.get("")
    if shape is None:
        wrong: Wrong = "missing" if tag is None else "tag"
        yield Fault(wrong, (*path, want.tag), Want(("string",)), tag, tuple(name for name in rows if name))
        return
    step: Path = (str(tag or "custom"),) if want.named else ()
    yield from faults(item, shape, (*path, *step))
