"""A section of config.yaml: what is so of every one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_plain_validator_function

_within: ContextVar[bool] = ContextVar("within a section", default=False)


class Section(BaseModel):
    """A mapping of known fields. A field left empty (null) has its default, as when all below it is commented out.

    What reads a section within another is made when there is one to read: a file has few of all there are. So a field
    whose default is a section has one by `model_construct`, which needs none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any) -> Any:
        if value is None:
            return {}
        if not isinstance(value, dict) or None not in value.values():
            return value
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: item for name, item in value.items() if item is not None or name not in optional}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if _within.get():
            known_by = f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
            return no_info_plain_validator_function(
                cls._read, ref=known_by, metadata={"pydantic_js_functions": [cls._told]}
            )
        outermost = _within.set(True)
        try:
            return handler(source)
        finally:
            _within.reset(outermost)

    @classmethod
    def _read(cls, value: Any) -> Any:
        return cls.__pydantic_validator__.validate_python(value)

    @classmethod
    def _told(cls, _: Any, handler: GetJsonSchemaHandler) -> Any:
        """Its JSON Schema, as one of which all is made at once has it."""
        cls.model_rebuild()
        core: Any = cls.__pydantic_core_schema__
        return handler(_bare(core))


def _bare(core: dict[str, Any]) -> Any:
    """Without what the section itself adds to its JSON Schema, which is added where it stands."""
    if core["type"] == "definitions":
        return {**core, "schema": _bare(core["schema"])}
    return {**core, "metadata": {}}
