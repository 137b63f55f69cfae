"""Budgets and limits as values: who they bind, how much, and in which periods.

A budget names its `scope`: "global", "key:NAME", "tenant:NAME" or "judge:NAME" (of who judges that name's replies). One that is
narrowed binds only some calls of its scope, or gives every session, key or tag a sum of its own. One in `shadow` counts as the
others do and refuses nothing.
"""

from __future__ import annotations

from datetime import tzinfo
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from msgspec import Struct

Per = Literal["minute", "hour", "day", "week", "month", "total"]
LimitOf = Literal["requests", "tokens", "concurrent"]
Each = Literal["session", "key", "tag"]

GLOBAL = "global"


def key_scope(name: str) -> str:
    """The scope of everything one key does."""
    return f"key:{name}"


def tenant_scope(name: str) -> str:
    """The scope of everything that the keys of a tenant do, and those of its children."""
    return f"tenant:{name}"


def provider_scope(name: str) -> str:
    """The scope of every attempt at a provider, by everybody's account there."""
    return f"provider:{name}"


def judge_scope(name: str) -> str:
    """The scope of whoever judges the replies of a name under `models:`."""
    return f"judge:{name}"


def shadow_scope(experiment: str, target: str) -> str:
    """The scope of the copies that a shadow arm of an experiment gets."""
    return f"shadow:{experiment}/{target}"


def key_of(scope: str) -> str | None:
    """The key a scope is of; None where it is another one."""
    prefix, colon, name = scope.partition(":")
    return name if colon and prefix == "key" else None


def tenant_of(scope: str) -> str | None:
    """The tenant a scope is of; None where it is another one."""
    prefix, colon, name = scope.partition(":")
    return name if colon and prefix == "tenant" else None


class Subject(NamedTuple):
    """An attempt, as narrowed budgets look at it. `models` are all names of all models that may serve it; `session` is the
    client's own id, "" where it sends none; `tenants` the key's and its parent."""

    key: str
    provider: str
    models: tuple[str, ...]
    tags: tuple[str, ...] = ()
    session: str = ""
    tenants: tuple[str, ...] = ()


class Only(Struct, frozen=True):
    """Which calls a budget binds: patterns as in `fnmatch`, of which those that are given must all fit."""

    model: str | None = None
    provider: str | None = None
    key: str | None = None
    tag: str | None = None
    tenant: str | None = None

    def fits(self, subject: Subject) -> bool:
        """Whether the attempt is one of these."""
        return (
            _fits(self.model, subject.models)
            and _fits(self.provider, (subject.provider,))
            and _fits(self.key, (subject.key,))
            and _fits(self.tag, subject.tags)
            and _fits(self.tenant, subject.tenants)
        )


def _fits(pattern: str | None, names: tuple[str, ...]) -> bool:
    return pattern is None or any(fnmatchcase(name, pattern) for name in names)


class Budget(Struct, frozen=True):
    """At most `cap_pusd` per period. `id` is unique and stable across restarts ("key:alice:day").

    Periods begin in `zone`. One key may hold at most `share` of the cap at once. `alerts` are the parts whose passing
    is told, in hundredths of a percent, each once and rising. `only` narrows it. With `each` it stands for as many
    budgets as there are sessions, keys or tags; `of` is whose one of them is.
    """

    id: str
    scope: str
    per: Per
    cap_pusd: int
    zone: tzinfo
    share: Decimal = Decimal(1)
    shadow: bool = False
    alerts: tuple[int, ...] = ()
    only: Only | None = None
    each: Each | None = None
    of: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether its scope alone does not say which calls it binds."""
        return self.only is not None or self.each is not None


class Limit(Struct, frozen=True):
    """At most `amount` requests or tokens per period, or `amount` calls at once (`per` None)."""

    id: str
    scope: str
    of: LimitOf
    amount: int
    per: Per | None = None
    shadow: bool = False


class BudgetRules(Struct, frozen=True):
    """`wait_seconds` in line for others' holds to settle; what happens to models without a price under a budget.

    `unknown_maximum` output tokens are held where nobody knows a model's largest output, and `tool_uses` runs of each
    of a provider's own tools where the request sets no limit.
    """

    unpriced: Literal["deny", "allow"] = "deny"
    wait_seconds: float = 15.0
    unknown_maximum: int = 32_768
    tool_uses: int = 5
