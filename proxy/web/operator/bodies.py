"""What is sent to the admin port: the bodies of its requests."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from proxy.policy.values import Lossy


class AdjustBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`usd` is added to what the budget's current period has spent; below zero it gives back."""

    usd: str
    reason: str


class NewKeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The terms of a key as under `keys:` in the configuration; `expires_ms` is UTC epoch milliseconds, 0 never."""

    name: str
    models: list[str] = []
    limits: list[dict[str, Any]] = []
    budgets: list[dict[str, Any]] = []
    expires_ms: int | None = None
    timing: bool = False
    tenant: str | None = None
    lossy: Lossy | None = None
    uid: int | None = None
    coalesce: bool | None = None
    cache: bool | dict[str, Any] | None = None


class KeyChangesBody(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be different of a key; what is left out stays. `expires_ms` 0 is never."""

    name: str | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    limits: list[dict[str, Any]] | UnsetType = UNSET
    budgets: list[dict[str, Any]] | UnsetType = UNSET
    expires_ms: int | UnsetType = UNSET
    timing: bool | UnsetType = UNSET
    tenant: str | None | UnsetType = UNSET
    lossy: Lossy | None | UnsetType = UNSET
    uid: int | None | UnsetType = UNSET
    coalesce: bool | None | UnsetType = UNSET
    cache: bool | dict[str, Any] | None | UnsetType = UNSET


class RotateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """For how long the present secret goes on."""

    grace_seconds: float = 0


class SettingBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the entry is to be, as the configuration would hold it; the value may also be the whole body. A secret that
    is given masked, as it was shown, stays what it is."""

    value: Any
    reason: str = ""


class EntriesBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What several entries of one section are to be, by name; they may also be the whole body."""

    entries: dict[str, Any]
    reason: str = ""


class RollbackBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version is to be in force again."""

    section: str
    name: str
    version: int
    reason: str = ""
