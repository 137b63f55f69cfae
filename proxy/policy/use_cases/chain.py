"""What a name says of calls, where its target is a name of its own: the one that clients send has the first word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from proxy.policy.sharing import Sharing, first_said
from proxy.policy.use_cases.values import Members, UseCase

if TYPE_CHECKING:
    from proxy.policy.values import Alias


def defaults_of(aliases: Mapping[str, Alias], name: str) -> Members:
    """The defaults along the chain."""
    merged: dict[str, bytes] = {}
    for alias in reversed(_chain(aliases, name)):
        merged |= dict(alias.defaults)
    return tuple(merged.items())


def sharing_of(aliases: Mapping[str, Alias], name: str) -> Sharing | None:
    """What is said along the chain of calls that are alike."""
    return first_said(alias.sharing for alias in _chain(aliases, name))


def use_of(aliases: Mapping[str, Alias], name: str) -> UseCase | None:
    """The use case of a name: the first system text on the way to its model, the first word on fallbacks, and all
    overrides; None where there is nothing of the kind."""
    found = [alias.use for alias in _chain(aliases, name) if alias.use is not None]
    if not found:
        return None
    overrides: dict[str, bytes] = {}
    for use in reversed(found):
        overrides |= dict(use.overrides)
    spoken = next((use for use in found if use.system), found[0])
    first = found[0]
    return replace(
        spoken,
        name=first.name,
        digest=first.digest,
        number=first.number,
        overrides=tuple(overrides.items()),
        fallback_on=next((use.fallback_on for use in found if use.fallback_on is not None), None),
        at=next((use.at for use in found if use.at), ()),
        watch=next((use.watch for use in found if use.watch is not None), None),
    )


def _chain(aliases: Mapping[str, Alias], name: str) -> list[Alias]:
    """Every entry from the name on, to the first that chooses; one already met stands for the model of that name."""
    chain: list[Alias] = []
    seen: set[str] = set()
    while name not in seen and (alias := aliases.get(name)) is not None:
        seen.add(name)
        chain.append(alias)
        if alias.candidates:
            break
        name = alias.target
    return chain
