"""What every order takes, a verb and a resource, and which roles have it; what it is called where it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.operators import Role

Verb = Literal["read", "write"]
Resource = Literal[
    "health", "models", "usage", "calls", "costs", "analytics", "exports", "keys", "budgets", "limits", "routing",
    "jobs", "settings", "settings history", "audit", "backups",
]  # fmt: skip


class Right(Struct, frozen=True):
    """Leave to do something. `action` is what the audit calls it; `writes_itself`: its row is written where it is done.
    `by_section`: what it is about is what the named section of the settings holds. `by_tenant`: it keeps to the `Bounds` of
    an admin of a tenant, who has no other."""

    verb: Verb
    resource: Resource
    action: str = ""
    writes_itself: bool = False
    by_section: bool = False
    by_tenant: bool = False


def _of_setting(verb: Verb, action: str = "") -> Right:
    return Right(verb, "settings", action, writes_itself=True, by_section=True)


def _of_key(action: str) -> Right:
    return Right("write", "keys", action, writes_itself=True, by_tenant=True)


RIGHTS = {
    "status": Right("read", "health"),
    "usage": Right("read", "usage", by_tenant=True),
    "show": Right("read", "calls", by_tenant=True),
    "tail": Right("read", "calls"),
    "explain": Right("read", "models"),
    "models": Right("read", "models", by_tenant=True),
    "recommend": Right("read", "models"),
    "decisions": Right("read", "calls"),
    "simulate": Right("read", "costs"),
    "strategies": Right("read", "models"),
    "strategy": Right("read", "models"),
    "put_strategies": Right("write", "routing", "setting.set", writes_itself=True),
    "put_strategy": Right("write", "routing", "setting.set", writes_itself=True),
    "model_news": Right("read", "models"),
    "sync": Right("write", "models", "lists.sync"),
    "switch_models": Right("write", "models", "setting.set", writes_itself=True),
    "undo_switch": Right("write", "models", "setting.rollback", writes_itself=True),
    "images_models": Right("read", "models"),
    "images_estimate": Right("read", "costs"),
    "model_diff": Right("read", "models"),
    "budgets": Right("read", "costs", by_tenant=True),
    "adjust": Right("write", "budgets", "budget.adjust", writes_itself=True, by_tenant=True),
    "sessions": Right("read", "costs", by_tenant=True),
    "raise_session": Right("write", "budgets", "session.raise", writes_itself=True, by_tenant=True),
    "keys": Right("read", "keys", by_tenant=True),
    "tenants": Right("read", "keys", by_tenant=True),
    "tenant": Right("read", "keys", by_tenant=True),
    "create": _of_key("key.create"),
    "update": _of_key("key.update"),
    "rotate": _of_key("key.rotate"),
    "revoke": _of_key("key.revoke"),
    "backup": Right("write", "backups", "backup"),
    "live": Right("read", "calls", by_tenant=True),
    "past_calls": Right("read", "calls", by_tenant=True),
    "live_stream": Right("read", "calls", by_tenant=True),
    "providers": Right("read", "health"),
    "test_provider": Right("write", "models", "provider.test"),
    "webhooks": Right("read", "calls", by_tenant=True),
    "replay_webhook": Right("write", "jobs", "webhook.replay", by_tenant=True),
    "jobs": Right("read", "calls", by_tenant=True),
    "cancel_job": Right("write", "jobs", "job.cancel", by_tenant=True),
    "end": Right("write", "jobs", "call.end", by_tenant=True),
    "reload": Right("write", "settings", "reload", writes_itself=True),
    "dashboard": Right("write", "settings", "login.link", writes_itself=True),
    "settings": Right("read", "settings"),
    "settings_of": _of_setting("read"),
    "setting": _of_setting("read"),
    "settings_history": Right("read", "settings history"),
    "change_settings": Right("write", "settings", "setting.set", writes_itself=True),
    "put_setting": _of_setting("write", "setting.set"),
    "delete_setting": _of_setting("write", "setting.remove"),
    "rollback_setting": _of_setting("write", "setting.rollback"),
    "secrets": Right("read", "settings"),
    "rotate_secrets": Right("write", "settings", "secrets.rotate", writes_itself=True),
    "prune_secrets": Right("write", "settings", "secrets.prune", writes_itself=True),
    "experiments": Right("read", "costs", by_tenant=True),
    "experiment": Right("read", "costs", by_tenant=True),
    "put_experiments": Right("write", "routing", "setting.set", writes_itself=True),
    "put_experiment": Right("write", "routing", "setting.set", writes_itself=True),
    "ramp_experiment": Right("write", "routing", "experiment.ramp", writes_itself=True),
    "hold_experiment": Right("write", "routing", "experiment.hold", writes_itself=True),
    "rollback_experiment": Right("write", "routing", "experiment.rollback", writes_itself=True),
    "finish_experiment": Right("write", "routing", "experiment.finish", writes_itself=True),
    "analytics_usage": Right("read", "analytics", by_tenant=True),
    "analytics_performance": Right("read", "analytics", by_tenant=True),
    "analytics_costs": Right("read", "analytics", by_tenant=True),
    "reconciliation": Right("read", "costs", by_tenant=True),
    "reconcile": Right("write", "models", "bills.read"),
    "anomalies": Right("read", "analytics", by_tenant=True),
    "savings": Right("read", "costs", by_tenant=True),
    "what_if": Right("read", "costs", by_tenant=True),
    "forecast": Right("read", "analytics", by_tenant=True),
    "alert_rules": Right("read", "analytics"),
    "alert_rule": Right("read", "analytics"),
    "alert_rules_file": Right("read", "analytics"),
    "put_alert_rules": Right("write", "limits", "setting.set", writes_itself=True),
    "put_alert_rule": Right("write", "limits", "setting.set", writes_itself=True),
    "test_alert_rule": Right("write", "limits", "alert.test"),
    "events": Right("read", "calls", by_tenant=True),
    "audit": Right("read", "audit", by_tenant=True),
    "audit_verification": Right("read", "audit"),
}
# paths that are no order; health itself is everybody's
PAGES = {"/metrics": Right("read", "health"), "/openapi.json": Right("read", "health", by_tenant=True)}

_SECTIONS: Mapping[str, Resource] = {
    "keys": "keys",
    "budgets": "budgets",
    "limits": "limits",
    "models": "models",
    "model_switches": "models",
    "routes": "routing",
    "strategies": "routing",
    "experiments": "routing",
    "alert_rules": "limits",
}

_Rights = frozenset[tuple[Verb, Resource]]
_VIEWER: _Rights = frozenset({("read", "health"), ("read", "models"), ("read", "usage"), ("read", "calls")})
_ANALYST: _Rights = _VIEWER | {("read", "costs"), ("read", "analytics"), ("read", "exports")}
_OPERATED: tuple[Resource, ...] = ("keys", "budgets", "limits", "models", "routing", "jobs")
_OPERATOR: _Rights = _ANALYST | {(verb, resource) for verb in get_args(Verb) for resource in _OPERATED}
ROLES: Mapping[Role, _Rights] = {
    "owner": frozenset((verb, resource) for verb in get_args(Verb) for resource in get_args(Resource)),
    "operator": _OPERATOR,
    "analyst": _ANALYST,
    "viewer": _VIEWER,
    "auditor": frozenset({("read", "audit"), ("read", "settings history")}),
}


def right_of(order: str, params: Mapping[str, Any]) -> Right:
    """What this order takes with these parameters. Before a body has told the section, the least it may take."""
    right = RIGHTS[order]
    if not right.by_section:
        return right
    if "section" not in params:
        return replace(right, resource="models")
    return replace(right, resource=_SECTIONS.get(str(params["section"]), "settings"))


def may(role: Role, right: Right) -> bool:
    """Whether a role has it."""
    return (right.verb, right.resource) in ROLES[role]


def who_may(right: Right) -> str:
    """The roles that have it, in words."""
    return " or ".join(role for role in ROLES if may(role, right))
