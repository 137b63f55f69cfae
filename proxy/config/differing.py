"""What differs between two configurations, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from proxy.policy.money.budgets import GLOBAL, judge_scope
from proxy.policy.values import Settings

# what is opened once at start
_NEED_RESTART = ("listen", "admin", "state_dir", "gen_ai", "log_level", "log_format", "master_key_file")
_NOT_SETTINGS = ("source", "written", "environment", "unused", "warnings")


def lost_sections(old: Settings, new: Settings) -> str:
    """In a sentence, which section with something in it is gone, though nobody wrote it empty; "" where none is."""
    lost = []
    if old.providers != new.providers and "providers" not in new.written:
        if "providers" in old.written or not new.providers:
            lost.append(("provider", "providers: {}"))
    if _has_lost_budgets(old, new) and "budgets" not in new.written:
        lost.append(("budget", "budgets: []"))
    if not lost:
        return ""
    what, empty = (" and ".join(words) for words in zip(*lost, strict=True))
    return (
        f"every {what} would be dropped, as by a file that was cut; if that is meant, write `{empty}`, or use "
        "`tollkeeper reload --yes`"
    )


def _has_lost_budgets(old: Settings, new: Settings) -> bool:
    """Whether those of everything together are gone, or with those of the keys all there were; nothing is lost with one
    in shadow, and where one is put there, that is written."""
    before = {b.scope for b in old.money.budgets if not b.shadow and not b.scope.startswith(judge_scope(""))}
    after = {budget.scope for budget in new.money.budgets}
    return bool(before) and (not after or (GLOBAL in before and GLOBAL not in after))


def in_words(old: Settings, new: Settings) -> list[str]:
    """What differs, a line each, and what is doubtful of it; secrets are named, never shown."""
    lines: list[str] = []
    for field in Settings.__struct_fields__:
        if field in _NOT_SETTINGS:
            continue
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        needs = " (takes effect after a restart)" if field in _NEED_RESTART else ""
        lines += [line + needs for line in _field_in_words(field, before, after)]
    return lines + [f"warning: {warning}" for warning in new.warnings if warning not in old.warnings]


def _field_in_words(field: str, before: Any, after: Any) -> Iterator[str]:
    if field == "callers":
        before, after = ({caller.name: caller for caller in callers} for callers in (before, after))
        field = "keys"
    if field == "aliases":
        field = "models"  # as the file has it
    if field == "login":
        field = "auth"
    if field == "money":
        for name in type(before).__struct_fields__:
            if getattr(before, name) != getattr(after, name):
                yield from _field_in_words(name, getattr(before, name), getattr(after, name))
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _names_in_words(field, before, after)
    elif isinstance(before, str | int | float | None) and isinstance(after, str | int | float | None):
        yield f"{field}: {before} -> {after}"
    else:
        yield f"{field}: changed"


def _names_in_words(field: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in before.keys() - after.keys():
        yield f"{field}: {name} removed"
    for name in after.keys() - before.keys():
        yield f"{field}: {name} added"
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            yield f"{field}: {name} changed ({', '.join(_differing(before[name], after[name]))})"


def _differing(before: Any, after: Any) -> list[str]:
    if isinstance(before, msgspec.Struct):
        return [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    return ["value"]
