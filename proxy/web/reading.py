"""JSON that somebody sent, read as a type of ours; what does not fit is said in words, without a value of it."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from proxy.config.problems import suggestion

AskT = TypeVar("AskT", bound=msgspec.Struct)

_PLACE = re.compile(r"(.*) - at `\$\.([a-z_]+)([^`]*)`", re.DOTALL)
_KIND = re.compile(r"Expected `([a-z| ]+)`(?: of length)?(?: (>=|<=) ([-0-9.]+))?(?:, got `\w+`)?")
_NAMED = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_ANOTHER = re.compile(r"Expected `object`, got `(\w+)`")
_BROKEN = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")
_ABOUT = re.compile(r"(?:it has the unknown field `|')([a-z_]+)['`]|([a-z_]+(?:\.\w+)*): ")
_KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "array": "a list",
    "object": "an object",
}  # fmt: skip


def read_ask(params: Mapping[str, Any], ask: type[AskT], *, strict: bool = True) -> AskT:
    """Parameters as what an order takes; `strict` False: numbers and truths may be text, as in a query. Raises ValueError
    with one sentence."""
    try:
        return msgspec.convert(params, ask, strict=strict)
    except msgspec.ValidationError as error:
        raise ValueError(in_words(error, ask)) from None


def refuse_twice(raw: bytes) -> None:
    """Raise ValueError where an object of the text has a member twice, as the configuration refuses it: one of them would
    be lost without a word. What is no JSON passes here."""
    with suppress(json.JSONDecodeError, UnicodeDecodeError):
        json.loads(raw, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"it has the member {twice[:100]!r} twice")


def in_words(error: Exception, ask: type[msgspec.Struct]) -> str:
    """What msgspec found, with what it may be and the near word where there are words."""
    found = str(error).rstrip(".")
    place = _PLACE.fullmatch(found)
    if place is None:
        return _of_the_whole(found, ask)
    wrong, name, within = place.groups()
    words = [word for word in dict.fromkeys(_words(get_type_hints(ask).get(name))) if isinstance(word, str)]
    if words and (given := _NAMED.fullmatch(wrong)):
        return f"'{name}' must be {_either(words)}{suggestion(given[1], words)}"
    kind = _KIND.fullmatch(wrong)
    if kind is None or (kinds := [_KINDS.get(one) for one in kind[1].removesuffix(" | null").split(" | ")]) != list(
        filter(None, kinds)
    ):
        return f"'{name}': {wrong[0].lower()}{wrong[1:]}"
    bound = {">=": " of at least ", "<=": " of at most "}.get(kind[2], "") + (kind[3] or "").removesuffix(".0")
    each = "each of " if re.fullmatch(r"\[\d+\]", within) else ""
    return f"{each}'{name}' must be {_either(list(filter(None, kinds)))}{bound}"


def _of_the_whole(found: str, ask: type[msgspec.Struct]) -> str:
    """What is wrong with no member that is known, in our words."""
    if unknown := _UNKNOWN.fullmatch(found):
        return f"it has the unknown field `{unknown[1][:100]}`{suggestion(unknown[1], ask.__struct_encode_fields__)}"
    if another := _ANOTHER.fullmatch(found):
        return f"it is {_KINDS.get(another[1], another[1])}"
    if broken := _BROKEN.fullmatch(found):
        return f"it is no JSON from byte {broken[2]} on ({broken[1]})"
    if found == "Input data was truncated":
        return "it ends in the middle"
    return _MISSING.sub(r"'\1' is missing", found)


def member_of(sentence: str, among: Container[str] | None = None) -> str | None:
    """The member or parameter that a sentence about what was sent begins with, if it is one of these; else None."""
    found = _ABOUT.match(sentence.removeprefix("each of "))
    name = (found[1] or found[2]) if found else None
    return name if name and (among is None or name.partition(".")[0] in among) else None


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _words(annotation: Any) -> Iterator[Any]:
    for argument in get_args(annotation):
        yield from _words(argument) if get_args(argument) else (argument,)
