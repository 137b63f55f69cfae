"""Models that are switched off, for everybody or for one key, by patterns over their names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from proxy.policy.names.catalogue import split_variant
from proxy.policy.values import Switch, Target

_WILD = str.maketrans("", "", "*?[]")


class Switches:
    """All of them. The pattern that says most of a name decides (most letters that stand for themselves), whatever the
    order they were written in; a key's own word goes before everybody's of the same pattern."""

    def __init__(self, switches: Iterable[Switch] = ()) -> None:
        """Sort them once."""
        self._sorted = tuple(sorted(switches, key=lambda one: (-_said(one.pattern), one.pattern)))
        self.keys = frozenset(key for one in self._sorted for key in one.keys)

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def is_on(self, names: Iterable[str], key: str | None = None) -> bool:
        """Whether what goes by these names may be used, by everybody (`key` None) or by one key."""
        asked = tuple(names)
        for one in self._sorted:
            said = one.enabled if key is None else one.keys.get(key, one.enabled)
            if said is not None and any(fnmatchcase(name, one.pattern) for name in asked):
                return said
        return True


def names_of(target: Target, slug: str) -> tuple[str, ...]:
    """What a target is switched by: its `author/slug` with and without variant, and `provider/model`."""
    return tuple(dict.fromkeys((slug, split_variant(slug)[0], f"{target.provider}/{target.model}")))


def _said(pattern: str) -> int:
    return len(pattern.translate(_WILD))
