"""From the sections on operators to the values the admin port judges by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from proxy.config.models import Config
from proxy.config.models_operators import AuthSection
from proxy.policy.operators import Group, Hook, Login, Oidc, Operator


def who_operates(config: Config, beside: Callable[[str], str]) -> dict[str, Any]:
    """The fields of the settings on those who operate; `beside` finds a file that is named beside the configuration."""
    return {
        "admin_token": config.admin.token,
        "admins": _operators(config),
        "login": _login(config.auth, beside),
        "alerts": tuple(Hook(hook.url, hook.secret, hook.old_secret) for hook in config.alerts),
    }


def _operators(config: Config) -> dict[str, Operator]:
    """Whoever holds an admin token, by name."""
    found = {}
    for name, one in config.admins.items():
        if one.token is not None:
            digest = hashlib.sha256(one.token.reveal().encode()).digest()
        else:
            digest = bytes.fromhex((one.token_hash or "").removeprefix("sha256:"))
        found[name] = Operator(name, one.role, digest, one.tenant, one.expires)
    return found


def _login(auth: AuthSection, beside: Callable[[str], str]) -> Login:
    """How people log in."""
    oidc = auth.oidc
    if oidc is None:
        return Login(auth.url, auth.session)
    groups = tuple(Group(name, group.role, group.tenant) for name, group in oidc.groups.items())
    about = (oidc.issuer, oidc.client_id, oidc.client_secret, tuple(oidc.scopes), oidc.groups_claim, groups)
    return Login(auth.url, auth.session, Oidc(*about, None if oidc.ca_file is None else beside(oidc.ca_file)))
