"""The shape of a tenant: a site, a team, a customer; and of what keys and tenants say alike."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from proxy.config.fields import Count, Credential, FilePath, Flag, Name, Section, Word, none_of
from proxy.config.models_money import BudgetSection, LimitSection


class TranslationSection(Section):
    """Calls that are said in another protocol, as the provider does not speak the client's."""

    lossy: Literal["allow", "warn", "reject"] = Field(
        default="warn", description="What becomes of a call that cannot be said in full there."
    )


class PrivacySection(Section):
    """What a provider may do with what it is sent."""

    zdr: Flag = Field(default=False, description="Only providers that keep nothing of a call; others get none.")


class TenantSection(Section):
    """A site, a team or a customer: what all its keys have together."""

    parent: Name | None = Field(default=None, description="A tenant that has this one; it has no parent itself.")
    credentials: dict[Name, Credential] = none_of(
        dict, "Its own keys of providers, by the provider's name, best as ${NAME}."
    )
    credential_files: dict[Name, FilePath] = none_of(dict, "The same as files, or names of systemd credentials.")
    default_model: Word | None = Field(default=None, description="The model of its calls that name none.")
    max_output: Count | None = Field(default=None, description="The most output tokens one of its calls may ask for.")
    models: list[Word] = none_of(list, "Patterns over aliases and author/slug; default: all models.")
    limits: list[LimitSection] = none_of(list, "Limits of all its keys together.")
    budgets: list[BudgetSection] = none_of(list, "Budgets of all its keys together.")
    translation: TranslationSection | None = Field(default=None, description="Translation, for this tenant.")
    privacy: PrivacySection = Field(default=PrivacySection(), description="Privacy of all its calls.")

    @model_validator(mode="after")
    def _one_key_each(self) -> Self:
        if twice := self.credentials.keys() & self.credential_files.keys():
            raise ValueError(f"has two keys of {min(twice)}: keep one of credentials and credential_files")
        return self
