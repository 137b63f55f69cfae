"""The shape of what decides where calls go: routes, lists of models, models switched off."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxy.config.fields import Flag, Name, SecondsOrNever, Section, Word


class RouteSection(Section):
    """Which provider serves a group of models."""

    match: Word = Field(description="Pattern over author/slug; * stands for anything.")
    provider: Word = Field(description="Name of an entry of providers.")
    name: Name | None = Field(default=None, description="What it is called, where it is stored.")


class CatalogueSection(Section):
    """The list of models and prices fetched from OpenRouter."""

    refresh: SecondsOrNever = Field(default=6 * 3600.0, description="How often it is fetched: a duration, or never.")


class ModelSwitchSection(Section):
    """Whether models may be used; short: true or false, for everybody."""

    enabled: Flag | None = Field(default=None, description="For everybody: false switches off what matches.")
    keys: dict[Name, Flag] = Field(default={}, description="The same for single keys, by name.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"enabled": value} if not isinstance(value, dict) else value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.enabled is None and not self.keys:
            raise ValueError("switches nothing; give true or false, or keys")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form in the schema as well."""
        return {"anyOf": [{"type": "boolean", "description": "For everybody."}, handler(core_schema)]}
