"""What is asked of an order, read as its type; what does not fit is said in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from proxy.config.problems import suggestion
from proxy.web.operator.admin_api import Declined

AskT = TypeVar("AskT", bound=msgspec.Struct)

_PLACE = re.compile(r"(.*) - at `\$\.([a-z_]+)[^`]*`")
_KIND = re.compile(r"Expected `(\w+)`(?: >= (\d+))?(?: <= (\d+))?(?:, got `\w+`)?")
_NAMED = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "array": "a list"}


def read_ask(params: Mapping[str, Any], ask: type[AskT], *, strict: bool = True) -> AskT:
    """The parameters as what an order takes; `strict` False: numbers and truths may be text, as in a query. Raises ValueError
    with one sentence."""
    try:
        return msgspec.convert(params, ask, strict=strict)
    except msgspec.ValidationError as error:
        raise ValueError(_in_words(str(error), ask)) from None


def refuse_twice(raw: bytes) -> None:
    """Raise `Declined` where an object of the text has a member twice, as the configuration refuses it: one of them would be
    lost without a word. What is no JSON passes here."""
    with suppress(ValueError):
        json.loads(raw, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Declined(f"it has the member {twice[:100]!r} twice")


def _in_words(found: str, ask: type[msgspec.Struct]) -> str:
    place = _PLACE.fullmatch(found)
    if place is None:
        return _MISSING.sub(r"'\1' is missing", found)
    wrong, name = place.groups()
    words = [word for word in dict.fromkeys(_words(get_type_hints(ask).get(name))) if isinstance(word, str)]
    if words and (given := _NAMED.fullmatch(wrong)):
        return f"'{name}' must be {', '.join(words[:-1])} or {words[-1]}{suggestion(given[1], words)}"
    kind = _KIND.fullmatch(wrong)
    if kind is None or kind[1] not in _KINDS:
        return f"'{name}': {wrong[0].lower()}{wrong[1:]}"
    bounds = f" of at least {kind[2]}" if kind[2] else f" of at most {kind[3]}" if kind[3] else ""
    return f"'{name}' must be {_KINDS[kind[1]]}{bounds}"


def _words(annotation: Any) -> Iterator[Any]:
    for argument in get_args(annotation):
        yield from _words(argument) if get_args(argument) else (argument,)
