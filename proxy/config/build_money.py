"""The sections on money, resolved into the values `policy` works with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from proxy.config.discover import machine_zone
from proxy.config.problems import suggestion
from proxy.policy.loops import Loops
from proxy.policy.money.amounts import to_pusd
from proxy.policy.money.budgets import (
    GLOBAL,
    Budget,
    BudgetRules,
    Limit,
    LimitOf,
    Only,
    judge_scope,
    key_scope,
    provider_scope,
    shadow_scope,
    tenant_scope,
)
from proxy.policy.values import MoneySettings, OwnPrice

if TYPE_CHECKING:
    from proxy.config.models import Config
    from proxy.config.models_money import BudgetSection, LimitSection, LoopsSection
    from proxy.config.terms import BudgetTerm, LimitTerm

SESSIONS = "sessions"  # what the budgets of `sessions.budget` are called, before whose it is
_UNUSUAL = re.compile(r"[^A-Za-z0-9./_:*?=,-]")  # in what a budget is called: @ parts it from whose own it is


def build_money(config: Config, env: Mapping[str, str]) -> MoneySettings:
    """Resolve budgets, limits, own prices and where they are written down."""
    zone, alerts = machine_zone(env), _hundredths(config.budget_alerts)
    budgets = list(budgets_for(GLOBAL, config.budgets, zone, alerts))
    if config.sessions.budget is not None:
        budgets.append(Budget(SESSIONS, GLOBAL, "total", to_pusd(config.sessions.budget), zone, each="session"))
    limits = list(limits_for(GLOBAL, config.limits))
    for name, key in config.keys.items():
        budgets += budgets_for(key_scope(name), key.budgets, zone, alerts)
        limits += limits_for(key_scope(name), key.limits)
    for name, tenant in config.tenants.items():
        budgets += budgets_for(tenant_scope(name), tenant.budgets, zone, alerts)
        limits += limits_for(tenant_scope(name), tenant.limits)
    for name, provider in config.providers.items():
        limits += limits_for(provider_scope(name), provider.limits)
    budgets += [*_of_judges(config, zone), *_of_shadows(config, zone)]
    prices = {
        name: OwnPrice(
            model.price.input,
            model.price.output,
            model.price.cached_input,
            model.price.web_search,
            model.price.file_search,
        )
        for name, model in config.models.items()
        if model.price is not None
    }
    policy = config.budget_policy
    return MoneySettings(
        budgets=tuple(budgets),
        limits=tuple(limits),
        rules=BudgetRules(policy.unpriced, policy.wait, policy.unknown_maximum, policy.tool_uses),
        prices=prices,
        fsync=config.journal.fsync,
        journal_max_bytes=config.journal.max_bytes,
        keep_seconds=config.ledger.keep,
        zone=zone,
        alerts=alerts,
    )


def _of_judges(config: Config, zone: tzinfo) -> Iterable[Budget]:
    for name, model in config.models.items():
        if model.quality is not None and (judge := model.quality.judge) is not None:
            scope, its = judge_scope(name), judge.budget
            yield Budget(f"{scope}:{its.per}", scope, its.per, to_pusd(its.usd), zone)


def _of_shadows(config: Config, zone: tzinfo) -> Iterable[Budget]:
    for name, experiment in config.experiments.items():
        for shadow in experiment.shadows:
            scope, its = shadow_scope(name, shadow.target), shadow.budget
            yield Budget(f"{scope}:{its.per}", scope, its.per, to_pusd(its.usd), zone)


def build_loops(section: LoopsSection | None) -> Loops | None:
    """When agents are stopped."""
    if section is None:
        return None
    return Loops(section.same_tool_call, None if section.usd_per_minute is None else to_pusd(section.usd_per_minute))


def budgets_for(
    scope: str, sections: Iterable[BudgetSection | BudgetTerm], zone: tzinfo, alerts: tuple[int, ...]
) -> Iterable[Budget]:
    """The budgets of one scope; `zone` and `alerts` are for those that name none. Nobody is told of one that is tried out
    in shadow unless it says so itself."""
    sections = list(sections)
    identities = _identities(scope, [(section.name or _usual_name(section), section.shadow) for section in sections])
    for identity, section in zip(identities, sections, strict=True):
        zone_of, cap = ZoneInfo(section.tz) if section.tz else zone, to_pusd(section.usd)
        usual = () if section.shadow or section.each else alerts
        told = usual if section.alerts is None else _hundredths(section.alerts)
        only = None if (its := section.only) is None else Only(its.model, its.provider, its.key, its.tag, its.tenant)
        yield Budget(
            identity, scope, section.per, cap, zone_of, section.share, section.shadow, told, only, section.each
        )


def _usual_name(section: BudgetSection | BudgetTerm) -> str:
    """Its period and what it is for: `day:model=openai/*`, `total:each-session`."""
    chosen = ((name, getattr(section.only, name, None)) for name in Only.__struct_fields__)
    words = [f"{name}={pattern}" for name, pattern in chosen if pattern is not None]
    what = ",".join([*words, *([f"each-{section.each}"] if section.each else [])])
    return f"{section.per}:{_UNUSUAL.sub('_', what)}" if what else section.per


def limits_for(scope: str, sections: Iterable[LimitSection | LimitTerm]) -> Iterable[Limit]:
    """The limits of one scope."""
    sections = list(sections)
    names = [(one.name or _kind(one) + (f":{one.per}" if one.per else ""), one.shadow) for one in sections]
    for identity, section in zip(_identities(scope, names), sections, strict=True):
        amount = section.requests or section.tokens or section.concurrent or 0
        yield Limit(identity, scope, _kind(section), amount, section.per, section.shadow)


def _hundredths(percents: Iterable[str]) -> tuple[int, ...]:
    """Of a percent each, rising; one written twice is one."""
    return tuple(sorted({int(Decimal(text.removesuffix("%")) * 100) for text in percents}))


def idle_budgets(config: Config, providers: Iterable[str]) -> Iterator[str]:
    """Those that bound nothing, as nothing is called what they are for; keys and models there may be in the store."""
    known = {"tenant": tuple(config.tenants), "provider": tuple(providers)}
    for place, budget in _each_budget(config):
        named = {} if budget.only is None else {kind: getattr(budget.only, kind) for kind in known}
        for kind, pattern in named.items():
            if pattern is not None and not any(fnmatchcase(name, pattern) for name in known[kind]):
                near = suggestion(pattern, known[kind])
                yield f"one of {place} is for the {kind} {pattern}, which there is not{near}, and bounds nothing: correct its name, or take it out"


def _each_budget(config: Config) -> Iterator[tuple[str, BudgetSection]]:
    yield from (("budgets", budget) for budget in config.budgets)
    for part, entries in (("keys", config.keys), ("tenants", config.tenants)):
        for name, entry in entries.items():
            yield from ((f"{part}.{name}.budgets", budget) for budget in entry.budgets)


def _kind(section: LimitSection | LimitTerm) -> LimitOf:
    if section.requests is not None:
        return "requests"
    return "tokens" if section.tokens is not None else "concurrent"


def _identities(scope: str, entries: list[tuple[str, bool]]) -> list[str]:
    """Unique and stable, in the order of the entries, each a name and whether it is in shadow.

    The n-th of its name is numbered from the second on, those in shadow after the others: one that is tried out beside
    another renames nothing, and one that stands alone has the same id when it is in force.
    """
    if not entries:  # as of most keys
        return []
    seen, found = Counter[str](), [""] * len(entries)
    for index in sorted(range(len(entries)), key=lambda at: entries[at][1]):
        name = entries[index][0]
        seen[name] += 1
        found[index] = f"{scope}:{name}" if seen[name] == 1 else f"{scope}:{name}#{seen[name]}"
    return found
