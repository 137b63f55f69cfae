"""Tenants as an operator sees them: what each says, whose it is, where its budgets stand, what it has spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from proxy.config.problems import suggestion
from proxy.policy.money.account import Standing
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.budgets import tenant_scope
from proxy.policy.tenants import children, lineage
from proxy.policy.values import NO_KEY, Caller, Credential, Plan, Settings, Tenant
from proxy.stores.questions.usage import UsageQuestion
from proxy.web.operator.admin_api import AdminApi, Terms, Unknown, limit_text, standing_row, terms_of
from proxy.web.operator.answers import BudgetAnswer


class TenantAnswer(Struct, frozen=True):
    """One tenant. `credentials` are its own, each with where it comes from or why it cannot be opened; `calls` and
    `cost_usd` are those of its own keys, of a parent without its children's."""

    name: str
    parent: str | None
    children: list[str]
    keys: list[str]
    credentials: dict[str, str]
    default_model: str | None
    max_output: int | None
    models: list[str]
    limits: list[str]
    budgets: list[BudgetAnswer]
    translation: str | None
    zdr: bool
    calls: int
    cost_usd: str


class TenantsAnswer(Struct, frozen=True):
    """Every tenant."""

    tenants: list[TenantAnswer]


class Step(Struct, frozen=True):
    """What one of them says: the request, a key, a tenant, the configuration; None: nothing."""

    who: str
    says: str | int | list[str] | None


class Order(Struct, frozen=True):
    """One thing that may be said in several places, the nearest first. `won`: the nearest that says it, or, of what
    bounds, everybody who does, of amounts the smallest."""

    what: str
    steps: list[Step]
    won: list[str]


def tenant_list(admin_api: AdminApi, name: str | None, standings: list[Standing]) -> TenantsAnswer:
    """One tenant, or all. Raises `Unknown`, and as `Files` does; may run in a thread."""
    tenants = admin_api.settings.tenants
    mine = [each for each in tenants if admin_api.bounds.has(each)]
    if name is not None and name not in mine:
        raise Unknown(f"there is no tenant {name!r}{suggestion(name, mine)}; `tollkeeper tenants list` names them")
    only = {} if name is None else {"tenant": name}
    report = admin_api.files.usage(UsageQuestion("tenant", admin_api.settings.money.zone, only=only))
    used: dict[str, dict[str, Any]] = {row["tenant"]: row for row in report.rows}
    keys: dict[str, list[str]] = {}
    for caller in admin_api.keys.each:
        keys.setdefault(caller.tenant, []).append(caller.name)
    wanted, terms = mine if name is None else [name], terms_of(admin_api.keys.limits, standings)
    return TenantsAnswer(
        [_tenant(admin_api, tenants[each], (keys.get(each, []), used.get(each, {})), terms) for each in wanted]
    )


def _tenant(admin_api: AdminApi, tenant: Tenant, known: tuple[list[str], dict[str, Any]], terms: Terms) -> TenantAnswer:
    (keys, used), (limits, budgets) = known, terms[tenant_scope(tenant.name)]
    return TenantAnswer(
        name=tenant.name,
        parent=tenant.parent if admin_api.bounds.has(tenant.parent) else None,
        children=children(admin_api.settings.tenants, tenant.name),
        keys=keys,
        credentials={provider: _origin(one) for provider, one in tenant.credentials.items()},
        default_model=tenant.default_model,
        max_output=tenant.max_output,
        models=list(tenant.models),
        limits=[limit_text(limit) for limit in limits],
        budgets=[standing_row(standing) for standing in budgets],
        translation=tenant.lossy,
        zdr=tenant.zdr,
        calls=used.get("calls", 0),
        cost_usd=used.get("cost_usd", usd_text(0)),
    )


def _origin(credential: Credential | None) -> str:
    if credential is None:
        return ""
    return f"unreadable: {credential.unreadable}" if credential.unreadable else credential.source


def order_of(admin_api: AdminApi, caller: Caller, model: str, plan: Plan) -> list[Order]:
    """What counts for a call of this caller, step by step, and who won."""
    settings, provider = admin_api.settings, plan.targets[0].provider
    line = list(lineage(settings.tenants, caller.tenant)) if caller.tenant else []
    own, source = _own(settings, caller, line), settings.providers[provider].key_source
    by = "" if source == NO_KEY else "environment" if source.startswith("environment") else "file"
    keys = [*_said(line, lambda one: _origin(one.credentials.get(provider)))]
    keys += [(who, source if who == by else None) for who in ("file", "environment")]
    return [
        _choice("model", [("request", model), *_said(line, lambda one: one.default_model), *_usual(settings)]),
        _choice(f"credential for {provider}", keys),
        _choice("translation", [*_key(own, own.lossy), *_said(line, lambda one: one.lossy), ("file", settings.lossy)]),
        _bound("models", [*_key(own, list(caller.models)), *_said(line, lambda one: list(one.models))]),
        _least("max_output", [*_said(line, lambda one: one.max_output)]),
        _bound(
            "privacy", [*_key(own, "zdr" if own.zdr else None), *_said(line, lambda one: "zdr" if one.zdr else None)]
        ),
    ]


def _own(settings: Settings, caller: Caller, line: list[Tenant]) -> Caller:
    """What the key says for itself. A stored one is known with what its tenants say laid under it, and has no word on privacy."""
    written = next((one for one in settings.callers if one.name == caller.name), None)
    theirs = next((tenant.lossy for tenant in line if tenant.lossy), None)
    return written or Caller(caller.name, lossy=None if caller.lossy == theirs else caller.lossy)


def _key(own: Caller, says: Any) -> Iterator[tuple[str, Any]]:
    if own.name:
        yield f"key {own.name}", says


def _usual(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """The default model of the configuration, and who says it."""
    is_variable = any(one.setting == "default_model" for one in settings.environment)
    yield "file", None if is_variable else settings.default_model
    yield "environment", settings.default_model if is_variable else None


def _said(line: list[Tenant], says: Callable[[Tenant], Any]) -> Iterator[tuple[str, Any]]:
    for tenant in line:
        yield f"tenant {tenant.name}", says(tenant)


def _choice(what: str, said: list[tuple[str, Any]]) -> Order:
    """The nearest that says something counts."""
    found = _bound(what, said)
    return replace(found, won=found.won[:1])


def _least(what: str, said: list[tuple[str, Any]]) -> Order:
    """The smallest counts."""
    found = _bound(what, said)
    least = min((number for _, number in said if number), default=None)
    return replace(found, won=[who for who, number in said if number and number == least])


def _bound(what: str, said: list[tuple[str, Any]]) -> Order:
    """Whoever says something counts."""
    steps = [Step(who, says or None) for who, says in said]
    return Order(what, steps, [step.who for step in steps if step.says is not None])


def tenants_answer(admin_api: AdminApi, params: dict[str, Any]) -> TenantsAnswer:
    """The same where no daemon runs."""
    return tenant_list(admin_api, params.get("tenant"), admin_api.books.state(time.time()))
