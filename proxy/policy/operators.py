"""Who operates the daemon, as the configuration has them: admin tokens by name, logins at a provider of identity, and
the webhooks that tell them."""

from __future__ import annotations

import hashlib
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.policy.alerting.notices import Form
from proxy.secret import Secret

Role = Literal["owner", "operator", "analyst", "viewer", "auditor"]


class Operator(Struct, frozen=True):
    """Whoever holds an admin token: only the SHA-256 of it (32 bytes) is here. `tenant` None: everybody's rows. From
    `expires_ms` on (UTC epoch) the token is refused like an unknown one."""

    name: str
    role: Role
    token_sha256: bytes
    tenant: str | None = None
    expires_ms: int | None = None


class Group(Struct, frozen=True):
    """What members of a group of the provider of identity may."""

    name: str
    role: Role
    tenant: str | None = None


class Oidc(Struct, frozen=True):
    """A provider of identity (OpenID Connect). `groups_claim` names the member of its tokens that lists groups; of
    several groups the first here counts. `ca_file` holds the authorities to believe, in PEM."""

    issuer: str
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...]
    groups_claim: str
    groups: tuple[Group, ...]
    ca_file: str | None = None


class Login(Struct, frozen=True):
    """`url` is where browsers reach the admin port, None: as their Host header says. Sessions last so many seconds."""

    url: str | None = None
    session_seconds: float = 12 * 3600.0
    oidc: Oidc | None = None


class Hook(Struct, frozen=True):
    """A webhook: its address, which may hold a token, and what signs the messages to it; `old_secret` signs as well,
    while the receiver changes. A chat, which takes a `form` of its own, may want no signature."""

    url: Secret
    secret: Secret | None
    old_secret: Secret | None = None
    form: Form = "standard"
    name: str = ""

    @property
    def id(self) -> str:
        """Stands for the address where nobody may read it."""
        return hashlib.sha256(self.url.reveal().encode()).hexdigest()[:16]

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that sign."""
        return tuple([one for one in (self.secret, self.old_secret) if one is not None])

    @property
    def host(self) -> str:
        """What may be shown of the address."""
        return urlsplit(self.url.reveal()).netloc.rpartition("@")[2]


class Smtp(Struct, frozen=True):
    """The server that mail goes out by; `user` None: without a login."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    user: str | None = None
    password: Secret | None = None
    ca_file: str | None = None


class Mailbox(Struct, frozen=True):
    """An address that is told by mail."""

    address: str
    smtp: Smtp
    name: str = ""

    @property
    def id(self) -> str:
        """Stands for it in the ledger."""
        return hashlib.sha256(f"mailto:{self.address}".encode()).hexdigest()[:16]

    @property
    def host(self) -> str:
        """What may be shown of it."""
        return self.address.rpartition("@")[2]


Told = Hook | Mailbox
