"""A call as its use case wants it: its system text, its defaults and overrides put in, named for the client."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from proxy.errors import CallerError, EndpointNotServed, InvalidValue
from proxy.policy.use_cases.template import fill, values_for
from proxy.policy.use_cases.values import Members, UseCase
from proxy.wire.call import MAX_FIELDS, Call, changed, fitted
from proxy.wire.json_object import edit_for, read_object
from proxy.wire.system import PLACES, system_edits

VARIABLES = "x-tollkeeper-variables"  # the header that fills a template
_LONGEST_SHOWN = 64  # of a value in a header


class Dressed(Struct, frozen=True):
    """The call as it is to be judged and sent, the defaults still to be put in, and what was changed, for people."""

    call: Call
    defaults: Members
    adjusted: tuple[str, ...]


def given_variables(call: Call, header: str | None) -> Mapping[str, object]:
    """What a call fills the template with, in its body or in a header. Raises `InvalidValue`."""
    if header is None:
        return call.ours.variables
    if call.ours.variables:
        raise InvalidValue(
            f"The header {VARIABLES} and 'tollkeeper.variables' both give variables; keep one.", param=VARIABLES
        )
    try:
        document = read_object(header.encode("utf-8", "surrogateescape"))
    except CallerError:
        raise InvalidValue(
            f'The header {VARIABLES} must be a JSON object such as {{"character": "Ada"}}, with each name once.',
            param=VARIABLES,
        ) from None
    return {name: document.value(name) for name in document.members}


def dress(call: Call, use: UseCase, given: Mapping[str, object], defaults: Members) -> Dressed:
    """Put in what the use case says, at once and before anything is judged. Raises `CallerError`s."""
    values = values_for(use.variables, given)
    adjusted: list[str] = []
    edits = []
    if use.system:
        edits = _system(call, use, fill(use.system, values))
        adjusted += [f"system={_DONE[use.system_mode]}"] if edits else []
    limits: Members = ()
    gone: tuple[str, ...] = ()
    if use.overrides and call.document is not None:
        limits = tuple(pair for pair in use.overrides if pair[0] in MAX_FIELDS)
        gone = MAX_FIELDS if limits else ()
        ours = [pair for pair in fitted(call, use.overrides) if pair[0] not in MAX_FIELDS]
        for name, text in ours:  # a later edit at the same place goes behind
            edits = [*edits, edit_for(call.document, name, text)]
            adjusted.append(_named(name, text))
    dressed = changed(call, _joined(edits, call), gone) if edits or gone else call
    rest = tuple(pair for pair in defaults if not limits or pair[0] not in MAX_FIELDS)
    return Dressed(dressed, (*limits, *rest), tuple(adjusted))


_DONE = {"prepend": "prepended", "replace": "replaced", "default": "default"}


def _system(call: Call, use: UseCase, text: str) -> list[tuple[int, int, bytes]]:
    if call.document is None or call.endpoint.name not in PLACES:
        raise EndpointNotServed(
            f"The model '{use.name}' has a system text, which a call to '{call.endpoint.name}' cannot carry; it works with "
            "chat/completions, messages and responses.",
            param="model",
        )
    return system_edits(call.document, call.endpoint.name, text, use.system_mode)


def _joined(edits: list[tuple[int, int, bytes]], call: Call) -> list[tuple[int, int, bytes]]:
    """What is added behind the last member, as one edit: each brings a comma of its own, in the order of the entry."""
    assert call.document is not None
    end, behind, rest = call.document.end, b"", []
    for start, stop, text in edits:
        if start == stop == end:
            behind += text if call.document.members or not behind else b"," + text
        else:
            rest.append((start, stop, text))
    return [*rest, (end, end, behind)] if behind else rest


def _named(name: str, text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return f"{name}={shown if len(shown) <= _LONGEST_SHOWN else '…'}"
