"""The shape of what a model or a key says of calls that are alike."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxy.config.fields import Flag, Seconds, Section, Size


class CacheSection(Section):
    """Replies that are kept and given again."""

    ttl: Seconds = Field(default=3600.0, description="How long a reply is given again; 0 keeps none.")
    when: Literal["deterministic", "always"] = Field(
        default="deterministic", description="deterministic: temperature 0, a seed, embeddings, moderations."
    )
    max_bytes: Size = Field(default=256 * 2**20, description="Most of all that is kept; the oldest makes room.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {True: {}, False: {"ttl": 0}}[value] if isinstance(value, bool) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form in the schema as well."""
        return {"anyOf": [{"type": "boolean", "description": "As by default, or not at all."}, handler(core_schema)]}


class SharingSection(Section):
    """Calls that are alike."""

    coalesce: Flag | None = Field(default=None, description="Identical calls under way are sent once.")
    cache: CacheSection | None = Field(default=None, description="Exact answers are kept and given again.")
