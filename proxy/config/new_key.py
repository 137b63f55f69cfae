"""The terms of a key made at run time: those of `keys:`, and how they are written on a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from proxy.config.fields import Flag, Name, Section, Uid, Word
from proxy.config.models_money import BudgetSection, LimitSection
from proxy.config.models_sharing import SharingSection
from proxy.policy.money.periods import LAST_START
from proxy.policy.values import Lossy

SectionT = TypeVar("SectionT", bound=Section)

_LIMIT = re.compile(r"(?:(requests|tokens|concurrent):)?([0-9]{1,15})(?:/([a-z]+))?")


# of these, none is a term as well: as elsewhere
_MAY_BE_NONE = ("tenant", "lossy", "coalesce", "cache", "uid")


class TermsSection(SharingSection):
    """The terms of a key; its secret is made here."""

    name: Name | None = Field(default=None, description="What the key is called; calls are counted under it.")
    models: list[Word] = Field(default=[], description="Patterns over aliases and author/slug; default: all models.")
    limits: list[LimitSection] = Field(default=[], description="Limits of this key.")
    budgets: list[BudgetSection] = Field(default=[], description="Budgets of this key.")
    expires_ms: int | None = Field(
        default=None, ge=0, le=1000 * LAST_START, description="When it ends, UTC epoch milliseconds; 0 is never."
    )
    timing: Flag = Field(default=False, description="Replies say where their time went, in a Server-Timing header.")
    tenant: Name | None = Field(default=None, description="The tenant it belongs to.")
    lossy: Lossy | None = Field(
        default=None,
        description="What becomes of its calls where a translation loses something; default: as elsewhere.",
    )
    uid: Uid | None = Field(default=None, description="A user of this machine, who needs no secret on a Unix socket.")


class NewKeySection(TermsSection):
    """A key somebody asks for."""

    name: Name = Field(description="What the key is called; calls are counted under it.")


class KeyChangesSection(TermsSection):
    """What is to be different of a key: the fields that are given, each replacing what was; no tenant is one, too."""

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any) -> Any:
        return {name: item for name, item in value.items() if item is not None or name in _MAY_BE_NONE}

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(
                "nothing is to be changed: give budgets, limits, models, an expiry, timing, a tenant, lossy, coalesce, cache, a uid or a name"
            )
        if self.name is None and "name" in self.model_fields_set:
            raise ValueError("a key must have a name")
        return self


def read_new_key(tree: Mapping[str, Any]) -> NewKeySection:
    """Check what was asked for. Raises ValueError with one sentence, which holds none of it."""
    return read_section(NewKeySection, tree)


def read_key_changes(tree: Mapping[str, Any]) -> KeyChangesSection:
    """The same for a key there is."""
    return read_section(KeyChangesSection, tree)


def read_section(section: type[SectionT], tree: Mapping[str, Any]) -> SectionT:
    """Any section by itself. Raises ValueError with one sentence, which holds nothing of it."""
    try:
        return section.model_validate(dict(tree))
    except ValidationError as error:
        from proxy.config.sentences import sentence_of  # brings all of the configuration along

        first = error.errors(include_url=False)[0]
        kind, place = first["type"], ".".join(str(step) for step in first["loc"])
        if kind == "extra_forbidden" or not place:  # a key of the configuration has other fields
            sentence = str(first["msg"]).removeprefix("Value error, ")
        else:
            sentence = sentence_of(kind, ("keys", "", *first["loc"]), first.get("ctx", {}), first["input"])
        raise ValueError(f"{place}: {sentence}" if place else sentence) from None


def budget_term(text: str) -> dict[str, object]:
    """Read `5/day`, or `shadow:5/day`, as a row of `budgets:`."""
    term, shadow = _in_shadow(text)
    usd, slash, per = term.removeprefix("$").partition("/")
    if not slash:
        raise ValueError("must be USD/PERIOD such as 5/day (minute, hour, day, week, month, total), or shadow:5/day")
    return {"usd": usd, "per": per, **shadow}


def limit_term(text: str) -> dict[str, object]:
    """Read `60/minute`, `tokens:100000/minute` or `concurrent:8`, each after `shadow:` or not, as a row of `limits:`."""
    written, shadow = _in_shadow(text)
    match = _LIMIT.fullmatch(written)
    if match is None:
        raise ValueError("must be such as 60/minute, tokens:100000/minute, concurrent:8 or shadow:60/minute")
    term: dict[str, object] = {match[1] or "requests": int(match[2]), **shadow}
    return {**term, "per": match[3]} if match[3] else term


def cache_term(text: str) -> bool | dict[str, object]:
    """Read `on`, `off`, or how long answers are kept such as `1h`, as `cache:` has it."""
    if text in ("on", "off"):
        return text == "on"
    return {"ttl": text}


def _in_shadow(text: str) -> tuple[str, dict[str, object]]:
    """What follows `shadow:`, and the field it stands for."""
    term = text.strip()
    rest = term.removeprefix("shadow:")
    return rest.strip(), {} if rest == term else {"shadow": True}
