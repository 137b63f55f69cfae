"""Sections that may be written as one value."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxy.config.fields import Section


class Short(NamedTuple):
    """What may stand for a whole section: the value of one `field`, of this JSON type, and what it says there."""

    field: str
    type: Literal["string", "boolean"]
    description: str


class ShortSection(Section):
    """One that may be written short. Beside true and false anything that is no mapping is taken for one, so that the sentence
    about it names the field."""

    short: ClassVar[Short]

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if value is None or isinstance(value, dict) or (cls.short.type == "string" and not isinstance(value, str)):
            return value
        return {cls.short.field: value}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form in the schema as well."""
        return {"anyOf": [{"type": cls.short.type, "description": cls.short.description}, handler(core_schema)]}
