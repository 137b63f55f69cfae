"""From the sections on operators to the values the admin port judges by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from proxy.config.models import Config
from proxy.config.models_alerting import AlertRuleSection
from proxy.config.models_operators import AuthSection, SmtpSection
from proxy.policy.alerting.rules import AlertRule
from proxy.policy.operators import Group, Hook, Login, Mailbox, Oidc, Operator, Smtp, Told

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def who_operates(config: Config, beside: Callable[[str], str]) -> dict[str, Any]:
    """The fields of the settings on those who operate; `beside` finds a file that is named beside the configuration."""
    return {
        "admin_token": config.admin.token,
        "admins": _operators(config),
        "login": _login(config.auth, beside),
        "alerts": tuple(_told(config, beside)),
        "alert_rules": {name: _rule(name, section) for name, section in config.alert_rules.items()},
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


def _told(config: Config, beside: Callable[[str], str]) -> Iterator[Told]:
    """Who is told. A mailbox without a server is a problem that was told before this."""
    smtp = None if config.smtp is None else _smtp(config.smtp, beside)
    for one in config.alerts:
        if one.url is not None:
            yield Hook(one.url, one.secret, one.old_secret, one.form, one.name or "")
        elif one.mail is not None and smtp is not None:
            yield Mailbox(one.mail, smtp, one.name or "")


def _smtp(section: SmtpSection, beside: Callable[[str], str]) -> Smtp:
    host, _, port = section.host.rpartition(":") if re.search(r":[0-9]+$", section.host) else (section.host, "", "")
    return Smtp(
        host.strip("[]"),
        int(port or _PORTS[section.security]),
        section.security,
        section.sender,
        section.user,
        section.password,
        None if section.ca_file is None else beside(section.ca_file),
    )


def _rule(name: str, section: AlertRuleSection) -> AlertRule:
    """The rule of that name."""
    only = {of: text for of, text in section.only if text is not None}
    return AlertRule(
        name,
        section.metric,
        section.above,
        section.below,
        section.over,
        section.lasts,
        section.clear,
        section.each,
        only,
        section.min_calls or 0,
        section.every,
        section.severity,
        tuple(section.to),
        section.enabled,
    )
