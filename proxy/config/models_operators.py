"""The sections of config.yaml on those who operate the daemon: admin tokens, logins, and what operators are told."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from proxy.config.fields import (
    BaseUrl,
    Credential,
    EpochMs,
    FilePath,
    Flag,
    HookSecret,
    HookUrl,
    Host,
    Name,
    Section,
    Timeout,
    TokenHash,
    Word,
)
from proxy.config.short import Short, ShortSection

_MAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,190}")
RoleName = Literal["owner", "operator", "analyst", "viewer", "auditor"]
_LOOPBACK = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")
_ROLE = "What it may: owner, operator, analyst, viewer or auditor."
_TENANT = "It sees this tenant's rows only."


def _mail_address(value: str) -> str:
    if not _MAIL.fullmatch(value):
        raise ValueError("must be one mail address such as ops@example.org")
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]


class AdminTokenSection(Section):
    """Who holds an admin token, and what they may do."""

    role: RoleName = Field(description=_ROLE)
    token: Credential | None = Field(default=None, description="The token itself, best as ${NAME}.")
    token_hash: TokenHash | None = Field(default=None, description="sha256:<hex> of a generated token.")
    tenant: Name | None = Field(default=None, description=_TENANT)
    expires: EpochMs | None = Field(
        default=None, description="When it ends, such as 2027-02-25 or 2027-02-25T08:00:00Z."
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token is None) == (self.token_hash is None):
            raise ValueError("must have exactly one of token and token_hash")
        return self


class GroupSection(ShortSection):
    """What the members of a group may."""

    short = Short("role", "string", "The role.")

    role: RoleName = Field(description=_ROLE)
    tenant: Name | None = Field(default=None, description=_TENANT)


class OidcSection(Section):
    """Logins at a provider of identity (OpenID Connect)."""

    issuer: BaseUrl = Field(description="Its address, as its tokens name it.")
    client_id: Word = Field(description="What this daemon is called there.")
    client_secret: Credential | None = Field(default=None, description="The secret of this client, best as ${NAME}.")
    scopes: list[Word] = Field(default=["openid", "profile", "email"], description="What is asked for.")
    groups_claim: Word = Field(default="groups", description="The member of its tokens that lists a user's groups.")
    groups: dict[str, GroupSection] = Field(
        min_length=1,
        description="What the members of a group may: a role, or role and tenant; the first that fits counts.",
    )
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to believe; else SSL_CERT_FILE's, else the system's."
    )


class AuthSection(Section):
    """How people log in at the admin port."""

    url: BaseUrl | None = Field(default=None, description="Where browsers reach the admin port; default: as they say.")
    session: Timeout = Field(default=12 * 3600.0, description="How long a login lasts.")
    oidc: OidcSection | None = Field(default=None, description="Logins at a provider of identity.")


class AlertSection(Section):
    """Where alerts are sent: a webhook, or a mailbox."""

    url: HookUrl | None = Field(default=None, description="Address of the webhook; it may be in a private network.")
    secret: HookSecret | None = Field(
        default=None, description="What signs it, best as ${NAME}: whsec_ and base64, or any text."
    )
    old_secret: HookSecret | None = Field(default=None, description="One that signs as well, until it is taken out.")
    form: Literal["standard", "slack", "discord", "ntfy"] = Field(
        default="standard", description="What is sent: our JSON, signed, or what such a chat takes."
    )
    mail: MailAddress | None = Field(default=None, description="A mailbox instead of a url; smtp says by which server.")
    name: Name | None = Field(default=None, description="What it is called, where rules and the store name it.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.mail is None):
            raise ValueError("must have exactly one of url and mail")
        if self.mail is not None and self.model_fields_set & {"secret", "old_secret", "form"}:
            raise ValueError("is a mailbox: secret, old_secret and form are for a url")
        if self.url is not None and self.form == "standard" and self.secret is None:
            raise ValueError("needs a secret that signs what is sent, or the form of a chat: slack, discord or ntfy")
        return self


class SmtpSection(Section):
    """The server that mail goes out by."""

    host: Host = Field(description="Its name, with :port where that is not the usual one.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls (port 587), tls from the start (465), or none (25)."
    )
    sender: MailAddress = Field(description="The address mail comes from.")
    user: Word | None = Field(default=None, description="The name to log in with; none: no login.")
    password: Credential | None = Field(default=None, description="Its password, best as ${NAME}.")
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to believe; else SSL_CERT_FILE's, else the system's."
    )

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("must have both user and password, or neither")
        if self.user is not None and self.security == "none" and not _LOOPBACK.fullmatch(self.host):
            raise ValueError("would send the password in the clear; security must be starttls or tls")
        return self


class WebhooksSection(Section):
    """Webhooks that clients ask for, with their jobs."""

    allow_private: Flag = Field(default=False, description="True: their addresses may be in a private network.")


class LogSection(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written."
    )
    format: Literal["auto", "json", "pretty"] = Field(
        default="auto", description="auto: pretty on a terminal, else JSON."
    )
