"""What the shape of a configuration lacks, in plain words: pydantic finds it, we say it.

No sentence holds a value of the file, only names: a value may be a secret put in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from proxy.config.document import Document
from proxy.config.models import Config
from proxy.config.problems import Path, Problem, suggestion

Details = Mapping[str, Any]

_NUMBER = "must be a number, without quotes"
_MAPPING = "must be a mapping of `name: value` lines"
_WORDS: dict[str, str] = {
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number, without quotes",
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "list_type": "must be a list",
    "missing": "is missing",
}
_BOUNDS: dict[str, Callable[[Details], str]] = {
    "greater_than": lambda bounds: f"must be more than {_plain(bounds['gt'])}",
    "greater_than_equal": lambda bounds: f"must be at least {_plain(bounds['ge'])}",
    "less_than": lambda bounds: f"must be less than {_plain(bounds['lt'])}",
    "less_than_equal": lambda bounds: f"must be at most {_plain(bounds['le'])}",
    "value_error": lambda bounds: str(bounds["error"]),  # raised by our own validators: whole sentences
}


def shape_problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    """Yield one problem for each thing pydantic found."""
    for found in error.errors(include_url=False):
        path: Path = tuple(found["loc"])
        is_name = bool(path) and path[-1] == "[key]"
        if is_name:
            path = path[:-1]
        kind = "extra_forbidden" if is_name and found["type"] == "literal_error" else found["type"]
        sentence = sentence_of(kind, path, found.get("ctx", {}), found["input"])
        yield document.problem(path, sentence, at_name=is_name or kind == "extra_forbidden")


def sentence_of(kind: str, path: Path, details: Details, value: object) -> str:
    """What is wrong at a place of the configuration, in one of pydantic's kinds of errors."""
    if kind == "extra_forbidden":
        return _unknown_field(path)
    if kind == "literal_error" and (words := words_at(path)):
        return f"must be {_either(words)}{suggestion(value, words) if isinstance(value, str) else ''}"
    if kind == "missing" and path[0] == "providers" and path[-1] == "kind":
        near = suggestion(str(path[1]), ("openrouter", "openai", "anthropic", "mock"))
        return (
            f"is missing{near}: write kind: openrouter, openai, anthropic or mock (openai fits every compatible server)"
        )
    if kind == "model_type" and path[0] == "models" and path[-1] != "price":
        return "must be the model it goes to, or a mapping with target"
    if kind in _BOUNDS:
        return _BOUNDS[kind](details)
    return _WORDS.get(kind, "is not usable here")


def _unknown_field(path: Path) -> str:
    known = fields_at(path[:-1])
    near = suggestion(str(path[-1]), known)
    return f"unknown field{near}" if near else f"unknown field; known here: {', '.join(known)}"


def _plain(number: object) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _either(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def fields_at(path: Path) -> tuple[str, ...]:
    """Return the names of the fields of the section at `path`, or those that the mapping there may have."""
    section = type_at(path)
    if _is_section(section):
        return tuple(_fields(section))
    names = next((get_args(part)[0] for part in _parts(section) if get_origin(part) is dict), None)
    return tuple(word for word in flat_arguments(names) if isinstance(word, str))


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """As they are written."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def words_at(path: Path) -> tuple[str, ...]:
    """Return the words the field at `path` may have."""
    return tuple(word for word in flat_arguments(type_at(path)) if isinstance(word, str))


def type_at(path: Path) -> Any:
    """Walk from Config along `path`: a section leads to its field, a mapping or list to what it holds."""
    here: Any = Config
    for step in path:
        section = next((part for part in _parts(here) if _is_section(part)), None)
        if section is not None and step in (fields := _fields(section)):
            here = fields[str(step)].annotation
        else:
            here = next((get_args(part)[-1] for part in _parts(here) if get_origin(part) in _HOLDERS), None)
    return next((part for part in _parts(here) if _is_section(part)), here)


_HOLDERS = (dict, list, tuple)


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Return an annotation, and what it is a union of; what a mapping or list holds is another step away."""
    if get_origin(annotation) in _HOLDERS:
        return (annotation,)
    return (annotation, *(part for part in get_args(annotation) if part is not type(None)))


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def flat_arguments(annotation: Any) -> Iterator[Any]:
    """Whatever stands in the brackets of an annotation, and in those within."""
    for argument in get_args(annotation):
        yield from flat_arguments(argument) if get_args(argument) else (argument,)
