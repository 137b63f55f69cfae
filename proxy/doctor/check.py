"""One thing that was looked at: what was found, and what to do next."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Status = Literal["pass", "warn", "fail"]


class Check(Struct, frozen=True):
    """`found` is a sentence; `next` is a command or a setting, for warn and fail only."""

    group: str
    name: str
    status: Status
    found: str
    next: str | None = None


def passed(group: str, name: str, found: str) -> Check:
    """All is well."""
    return Check(group, name, "pass", found)


def warned(group: str, name: str, found: str, step: str) -> Check:
    """The daemon works; somebody should look all the same."""
    return Check(group, name, "warn", found, step)


def failed(group: str, name: str, found: str, step: str) -> Check:
    """Something does not work, or will not."""
    return Check(group, name, "fail", found, step)


def is_well(checks: list[Check]) -> bool:
    """Whether nothing failed; warnings do not count."""
    return all(check.status != "fail" for check in checks)
