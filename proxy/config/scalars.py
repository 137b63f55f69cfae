"""Plain YAML scalars by the core schema of YAML 1.2: `no` is text, `017` is seventeen, `1e3` a number."""

from __future__ import annotations

import re

from proxy.config.units import WrittenFloat

Scalar = str | int | float | bool | None

LONGEST_NUMBER = 100

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+", re.ASCII)
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITY = re.compile(r"([-+]?)\.(?:inf|Inf|INF)", re.ASCII)
_NOT_A_NUMBER = frozenset((".nan", ".NaN", ".NAN"))
_FIRST_OF_NUMBERS = frozenset("+-.0123456789")


def plain_scalar(text: str) -> Scalar:
    """Resolve unquoted text; a number of more than a hundred digits stays text."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return _number(text) if text[0] in _FIRST_OF_NUMBERS and len(text) <= LONGEST_NUMBER else text


def _number(text: str) -> Scalar:
    number: Scalar = text
    if _DECIMAL.fullmatch(text):
        number = int(text)
    elif _PREFIXED.fullmatch(text):
        number = int(text[2:], 8 if text[1] == "o" else 16)
    elif _FLOAT.fullmatch(text):
        number = WrittenFloat(text)
    elif match := _INFINITY.fullmatch(text):
        number = float(f"{match[1]}inf")
    elif text in _NOT_A_NUMBER:
        number = float("nan")
    return number
