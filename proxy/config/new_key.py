"""The terms of a key made at run time: those of `keys:`, and how they are written on a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from proxy.config.fields import Name, Section, Word
from proxy.config.models_money import BudgetSection, LimitSection
from proxy.policy.money.periods import LAST_START

_LIMIT = re.compile(r"(?:(requests|tokens|concurrent):)?([0-9]{1,15})(?:/([a-z]+))?")


class NewKeySection(Section):
    """A key somebody asks for; its secret is made here."""

    name: Name = Field(description="What the key is called; calls are counted under it.")
    models: list[Word] = Field(default=[], description="Patterns over aliases and author/slug; default: all models.")
    limits: list[LimitSection] = Field(default=[], description="Limits of this key.")
    budgets: list[BudgetSection] = Field(default=[], description="Budgets of this key.")
    expires_ms: int | None = Field(
        default=None, gt=0, le=1000 * LAST_START, description="When it ends, UTC epoch milliseconds."
    )


def read_new_key(tree: Mapping[str, Any]) -> NewKeySection:
    """Check what was asked for. Raises ValueError with one sentence, which holds none of it."""
    try:
        return NewKeySection.model_validate(dict(tree))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


def budget_term(text: str) -> dict[str, object]:
    """Read `5/day` as a row of `budgets:`."""
    usd, slash, per = text.strip().removeprefix("$").partition("/")
    if not slash:
        raise ValueError("must be USD/PERIOD such as 5/day (minute, hour, day, week, month, total)")
    return {"usd": usd, "per": per}


def limit_term(text: str) -> dict[str, object]:
    """Read `60/minute`, `tokens:100000/minute` or `concurrent:8` as a row of `limits:`."""
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be such as 60/minute, tokens:100000/minute or concurrent:8")
    term: dict[str, object] = {match[1] or "requests": int(match[2])}
    return {**term, "per": match[3]} if match[3] else term
