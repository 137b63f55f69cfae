"""Templates: a text with `{{variables}}`, each replaced once by what a caller gives. What is filled in is never read again."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from proxy.errors import InvalidValue
from proxy.policy.use_cases.faults import MissingVariable, UnknownVariable
from proxy.policy.use_cases.values import Variable

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_OPENING = re.compile(r"\{\{")
_PLACE = re.compile(r"\{\{[ \t]*(" + VARIABLE_NAME.pattern + r")[ \t]*\}\}")
PARAM = "tollkeeper.variables"


def names_in(template: str) -> list[str]:
    """The variables of a template. Raises ValueError for a `{{` that begins none."""
    for opening in _OPENING.finditer(_PLACE.sub("", template)):
        raise ValueError(
            f"holds '{{{{' that begins no variable such as {{{{name}}}} (behind {opening.start()} characters)"
        )
    return list(dict.fromkeys(_PLACE.findall(template)))


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text, in one pass: a value that looks like a template stays what it is."""
    return _PLACE.sub(lambda place: values[place[1]], template)


def values_for(variables: Mapping[str, Variable], given: Mapping[str, object]) -> dict[str, str]:
    """The text of every variable. Raises `UnknownVariable`, `MissingVariable` or `InvalidValue`, each naming it."""
    for name in given:
        if name not in variables:
            raise _unknown(name, variables)
    return {name: _text(name, variable, given.get(name)) for name, variable in variables.items()}


def _text(name: str, variable: Variable, value: object) -> str:
    if value is None:
        if variable.required:
            raise MissingVariable(f"This model wants the variable '{name}'.", param=f"{PARAM}.{name}")
        return variable.default
    if isinstance(value, bool | int | float):
        value = msgspec.json.encode(value).decode()
    if not isinstance(value, str):
        raise InvalidValue(f"The variable '{name}' must be a text or a number.", param=f"{PARAM}.{name}")
    if len(value) > variable.max_length:
        sentence = f"The variable '{name}' may have {variable.max_length:,} characters at most; it has {len(value):,}."
        raise InvalidValue(sentence, param=f"{PARAM}.{name}")
    return value


def _unknown(name: str, variables: Mapping[str, Variable]) -> UnknownVariable:
    """Named where it has the shape of a name: errors repeat nothing else of a request."""
    known = f"known are: {', '.join(variables)}" if variables else "this model has none"
    if VARIABLE_NAME.fullmatch(name):
        return UnknownVariable(f"The variable '{name}' is not known; {known}.", param=f"{PARAM}.{name}")
    return UnknownVariable(f"One of the variables given is not known; {known}.", param=PARAM)
