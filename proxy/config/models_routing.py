"""The shape of what decides where calls go: models switched off."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxy.config.fields import Flag, Name, Section


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
