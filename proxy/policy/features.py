"""Parts that may be switched off, for everybody or for single keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Feature = Literal["routing", "experiments", "quality", "jobs", "dashboard", "reconciliation"]


class Features(Struct, frozen=True):
    """`off` for everybody; `keys` says otherwise, or the same, for single keys. All are on, usually."""

    off: frozenset[Feature] = frozenset()
    keys: Mapping[Feature, Mapping[str, bool]] = {}

    def is_on(self, feature: Feature, key: str | None = None) -> bool:
        """For a key by its name; None: for anybody at all."""
        own = self.keys.get(feature)
        if own is None:
            return feature not in self.off
        return any(own.values()) or feature not in self.off if key is None else own.get(key, feature not in self.off)


ALL_ON = Features()
