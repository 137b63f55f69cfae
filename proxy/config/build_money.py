"""The sections on money, resolved into the values `policy` works with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo

from proxy.config.discover import machine_zone
from proxy.config.models import Config
from proxy.config.models_money import BudgetSection, LimitSection
from proxy.policy.money.amounts import to_pusd
from proxy.policy.money.budgets import GLOBAL, Budget, BudgetRules, Limit, LimitOf, key_scope
from proxy.policy.values import MoneySettings, OwnPrice


def build_money(config: Config, env: Mapping[str, str]) -> MoneySettings:
    """Resolve budgets, limits, own prices and where they are written down."""
    zone = machine_zone(env)
    budgets = list(budgets_for(GLOBAL, config.budgets, zone))
    limits = list(limits_for(GLOBAL, config.limits))
    for name, key in config.keys.items():
        budgets += budgets_for(key_scope(name), key.budgets, zone)
        limits += limits_for(key_scope(name), key.limits)
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
    )


def budgets_for(scope: str, sections: Iterable[BudgetSection], zone: tzinfo) -> Iterable[Budget]:
    """The budgets of one scope; `zone` is for those that name none."""
    seen: Counter[str] = Counter()
    for section in sections:
        seen[section.per] += 1
        own_zone = ZoneInfo(section.tz) if section.tz else zone
        identity = _identity(scope, section.per, seen[section.per])
        yield Budget(identity, scope, section.per, to_pusd(section.usd), own_zone, section.share)


def limits_for(scope: str, sections: Iterable[LimitSection]) -> Iterable[Limit]:
    """The limits of one scope."""
    seen: Counter[str] = Counter()
    for section in sections:
        name = f"{_kind(section)}:{section.per}" if section.per else _kind(section)
        seen[name] += 1
        amount = section.requests or section.tokens or section.concurrent or 0
        yield Limit(_identity(scope, name, seen[name]), scope, _kind(section), amount, section.per)


def _kind(section: LimitSection) -> LimitOf:
    if section.requests is not None:
        return "requests"
    return "tokens" if section.tokens is not None else "concurrent"


def _identity(scope: str, name: str, count: int) -> str:
    """Unique and stable: the n-th of its kind in a scope is numbered from the second on."""
    return f"{scope}:{name}" if count == 1 else f"{scope}:{name}#{count}"
