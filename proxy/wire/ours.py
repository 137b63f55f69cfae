"""What a request says to us, in a member that is never sent on."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from proxy.errors import InvalidValue
from proxy.wire.form import FormField
from proxy.wire.json_object import JsonObject, read_object

OURS = "tollkeeper"
OURS_IN_FORM = frozenset({OURS, f"{OURS}[provider]"})
_MEMBERS: dict[str, tuple[type, str]] = {
    "provider": (str, "a string, the name of a provider"),
    "variables": (dict, 'an object such as {"character": "Ada"}'),
    "fallback": (bool, "true or false"),
}


class Ours(Struct, frozen=True):
    """What a call says to us: the provider it wants (None: any), what it fills the model's template with, and whether
    others may serve it where the first cannot."""

    provider: str | None = None
    variables: dict[str, Any] = {}
    fallback: bool = True


NOTHING_OURS = Ours()


def read_ours(document: JsonObject) -> Ours:
    """What the member `tollkeeper` says."""
    ours = document.value(OURS)
    if ours is None:
        return NOTHING_OURS
    if not isinstance(ours, dict):
        raise InvalidValue('\'tollkeeper\' must be an object such as {"provider": "openai"}.', param=OURS)
    inner = read_object(bytes(document.members[OURS].value))  # refuses a member that stands twice
    if ours.keys() - _MEMBERS.keys():
        known = ", ".join(_MEMBERS)
        raise InvalidValue(f"'tollkeeper' has a member that is not known; known are: {known}.", param=OURS)
    for name, (kind, words) in _MEMBERS.items():
        if not isinstance(ours.get(name), kind | None):
            raise InvalidValue(f"'tollkeeper.{name}' must be {words}.", param=f"tollkeeper.{name}")
    if "variables" in inner.members and ours["variables"]:
        read_object(bytes(inner.members["variables"].value))
    return Ours(ours.get("provider"), ours.get("variables") or {}, ours.get("fallback") is not False)


def refuse_ours(form: dict[str, FormField]) -> None:
    """A form has no such member. Raises `InvalidValue`."""
    if not OURS_IN_FORM.isdisjoint(form):
        raise InvalidValue("A form names its provider in the header x-tollkeeper-route, not in a field.", param=OURS)
