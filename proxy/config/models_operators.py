"""The sections of config.yaml on those who operate the daemon: admin tokens, logins, and what operators are told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from proxy.config.fields import (
    BaseUrl,
    Credential,
    FilePath,
    Flag,
    HookSecret,
    HookUrl,
    Moment,
    Name,
    Section,
    Timeout,
    TokenHash,
    Word,
)
from proxy.config.short import Short, ShortSection

RoleName = Literal["owner", "operator", "analyst", "viewer", "auditor"]
_ROLE = "What it may: owner, operator, analyst, viewer or auditor."
_TENANT = "It sees this tenant's rows only."


class AdminTokenSection(Section):
    """Who holds an admin token, and what they may do."""

    role: RoleName = Field(description=_ROLE)
    token: Credential | None = Field(default=None, description="The token itself, best as ${NAME}.")
    token_hash: TokenHash | None = Field(default=None, description="sha256:<hex> of a generated token.")
    tenant: Name | None = Field(default=None, description=_TENANT)
    expires: Moment | None = Field(
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
    """Where alerts are sent."""

    url: HookUrl = Field(description="Address of the webhook; it may be in a private network.")
    secret: HookSecret = Field(description="What signs it, best as ${NAME}: whsec_ and base64, or any text.")
    old_secret: HookSecret | None = Field(default=None, description="One that signs as well, until it is taken out.")
    name: Name | None = Field(default=None, description="What it is called, where it is stored.")


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
