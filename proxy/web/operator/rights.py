"""What every order takes: a verb and a resource; and what it is called where it is written down."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Verb = Literal["read", "write"]
Resource = Literal[
    "health", "models", "usage", "calls", "costs", "keys", "budgets", "jobs", "settings", "history", "audit", "backups"
]


class Right(Struct, frozen=True):
    """Leave to do something. `action` is what the audit calls it; `writes_itself`: its row is written where it is done."""

    verb: Verb
    resource: Resource
    action: str = ""
    writes_itself: bool = False


RIGHTS = {
    "status": Right("read", "health"),
    "usage": Right("read", "usage"),
    "show": Right("read", "calls"),
    "tail": Right("read", "calls"),
    "explain": Right("read", "models"),
    "models": Right("read", "models"),
    "model_news": Right("read", "models"),
    "sync": Right("write", "models", "lists.sync"),
    "switch_models": Right("write", "models", "setting.set", writes_itself=True),
    "undo_switch": Right("write", "models", "setting.rollback", writes_itself=True),
    "images_models": Right("read", "models"),
    "images_estimate": Right("read", "costs"),
    "model_diff": Right("read", "models"),
    "budgets": Right("read", "costs"),
    "adjust": Right("write", "budgets", "budget.adjust", writes_itself=True),
    "sessions": Right("read", "costs"),
    "raise_session": Right("write", "budgets", "session.raise", writes_itself=True),
    "keys": Right("read", "keys"),
    "tenants": Right("read", "keys"),
    "tenant": Right("read", "keys"),
    "create": Right("write", "keys", "key.create", writes_itself=True),
    "update": Right("write", "keys", "key.update", writes_itself=True),
    "rotate": Right("write", "keys", "key.rotate", writes_itself=True),
    "revoke": Right("write", "keys", "key.revoke", writes_itself=True),
    "backup": Right("write", "backups", "backup"),
    "live": Right("read", "calls"),
    "providers": Right("read", "health"),
    "test_provider": Right("write", "models", "provider.test"),
    "end": Right("write", "jobs", "call.end"),
    "reload": Right("write", "settings", "reload", writes_itself=True),
    "settings": Right("read", "settings"),
    "settings_of": Right("read", "settings"),
    "setting": Right("read", "settings"),
    "settings_history": Right("read", "history"),
    "change_settings": Right("write", "settings", "setting.set", writes_itself=True),
    "put_setting": Right("write", "settings", "setting.set", writes_itself=True),
    "delete_setting": Right("write", "settings", "setting.remove", writes_itself=True),
    "rollback_setting": Right("write", "settings", "setting.rollback", writes_itself=True),
    "audit": Right("read", "audit"),
    "audit_verification": Right("read", "audit"),
}
