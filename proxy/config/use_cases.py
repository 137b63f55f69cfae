"""What an entry of `models:` becomes, and the versions it had before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.config.units import hundredths
from proxy.policy.money.budgets import judge_scope
from proxy.policy.quality.values import Judge, Watch
from proxy.policy.sharing import CacheRules, Sharing, first_said
from proxy.policy.strategies import CandidateRule
from proxy.policy.use_cases.values import Members, UseCase, Variable
from proxy.policy.values import Alias, Settings

if TYPE_CHECKING:
    from proxy.config.models import ModelSection
    from proxy.config.models_sharing import SharingSection

# an entry that has one of these says more of a call than where it goes
_SAYING = ("system", "overrides", "fallback_on", "at", "quality", "on_flag")
_NOT_SAID = {"price", "coalesce", "cache"}  # what a call costs, and how often it is sent, changes nothing of it
_DIGEST_LENGTH = 12


class KeptVersion(Struct, frozen=True):
    """A version of an entry as it is remembered: `content` is what it said, in JSON; `at_ms` when it was first in force
    (UTC epoch milliseconds)."""

    name: str
    number: int
    digest: str
    content: bytes
    at_ms: int = 0


def alias_of(name: str, model: ModelSection) -> Alias:
    """What policy knows of an entry."""
    candidates = tuple(CandidateRule(one.target, one.weight, one.priority) for one in model.candidates)
    first = (model.target,) if model.target is not None else tuple(one.target for one in candidates)
    targets = (*first, *model.fallbacks)
    strategy = model.strategy if candidates else ""
    use, sharing = _use_of(name, model), sharing_of(f"models.{name}", model)
    return Alias(targets[0], targets[1:], _members(model.defaults), use, candidates, strategy, sharing)


def sharing_of(scope: str, section: SharingSection) -> Sharing | None:
    """What the entry at this place says of calls that are alike."""
    said = section.cache
    rules = None if said is None else CacheRules(said.ttl, said.when, said.max_bytes, scope)
    return first_said([Sharing(section.coalesce, rules)])


def _use_of(name: str, model: ModelSection) -> UseCase | None:
    if not any(getattr(model, field) not in (None, {}) for field in _SAYING):
        return None
    content = msgspec.json.encode(
        model.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_SAID), order="sorted"
    )
    return UseCase(
        name=name,
        digest=hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH],
        content=content,
        system=model.system or "",
        system_mode=model.system_mode,
        variables={
            variable: Variable(said.required, said.default, said.max_length)
            for variable, said in model.variables.items()
        },
        overrides=_members(model.overrides),
        fallback_on=None if model.fallback_on is None else frozenset(model.fallback_on),
        watch=_watch(name, model),
        at=tuple(sorted((hundredths(part), target) for part, target in model.at.items())),
    )


def _watch(name: str, model: ModelSection) -> Watch | None:
    """What is looked for; with an action on flags everything usual."""
    said = model.quality
    if said is None and not model.on_flag:
        return None
    from proxy.config.models_use_case import QualitySection

    said = said or QualitySection()
    looked_for = {
        name: getattr(said, name)
        for name in ("slow", "short", "empty", "cut_off", "refusal", "loop", "language", "tools")
    }
    judge = None if (j := said.judge) is None else Judge(j.model, j.rubric, hundredths(j.sample), judge_scope(name))
    watch = Watch(**looked_for, json=said.json_, judge=judge)
    return replace(watch, fallback_on=frozenset(model.on_flag), hold_tokens=model.hold_tokens or 0)


def _members(values: dict[str, Any]) -> Members:
    return tuple(
        (name, json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
        for name, value in values.items()
    )


def has_use_cases(settings: Settings) -> bool:
    """Whether any entry says more of a call than where it goes."""
    return any(alias.use is not None for alias in settings.aliases.values())


def numbered(settings: Settings, kept: Iterable[KeptVersion]) -> tuple[Settings, list[KeptVersion]]:
    """The settings with the number of every use case, and those before as names such as `roleplay@2`; and what is new, to
    be kept. An entry that says again what it said before has the number it had."""
    by_name: dict[str, list[KeptVersion]] = {}
    for version in kept:
        by_name.setdefault(version.name, []).append(version)
    aliases, fresh = dict(settings.aliases), []
    for name, alias in settings.aliases.items():
        if (use := alias.use) is None:
            continue
        former = by_name.get(name, [])
        number = next((version.number for version in former if version.digest == use.digest), 0)
        if not number:
            number = max((version.number for version in former), default=0) + 1
            fresh.append(KeptVersion(name, number, use.digest, use.content))
        aliases[name] = replace(alias, use=replace(use, number=number))
        for version in (*former, KeptVersion(name, number, use.digest, use.content)):
            pinned = _pinned(version)
            if pinned is not None:
                aliases.setdefault(f"{name}@{version.number}", pinned)
    return replace(settings, aliases=aliases), fresh


def _pinned(version: KeptVersion) -> Alias | None:
    """An entry as it was; None for one that this version of the program cannot read any more."""
    from pydantic import ValidationError

    from proxy.config.models import ModelSection  # only where there is one

    try:
        alias = alias_of(version.name, ModelSection.model_validate(msgspec.json.decode(version.content)))
    except (ValidationError, msgspec.DecodeError):
        return None
    return (
        replace(alias, use=replace(alias.use, number=version.number, digest=version.digest))
        if alias.use is not None
        else None
    )
