"""The shape of what a name under `models:` says of the calls that name it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from proxy.config.fields import (
    FallbackCause,
    Flag,
    Length,
    PartPercent,
    Percent,
    Section,
    Slow,
    Usd,
    VariableName,
    Word,
)
from proxy.config.models_money import BudgetPeriod
from proxy.config.units import hundredths
from proxy.policy.quality.judging import RUBRIC
from proxy.policy.quality.languages import LANGUAGES
from proxy.policy.quality.values import FLAGS
from proxy.policy.use_cases.template import names_in

# what decides where a call goes, what it asks or how it is answered is not the entry's to set
_ALL = 100 * 100  # of a budget, in hundredths of a percent
_NEVER_SET = frozenset(
    "model models fallbacks preset messages input prompt system instructions stream stream_options tollkeeper".split()
)


class VariableSection(Section):
    """What callers fill the system text with."""

    required: Flag = Field(default=False, description="Calls without it are refused.")
    default: str = Field(default="", description="The text where a call gives none.")
    max_length: Length = Field(default=4000, description="Most characters a call may give.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.required and "default" in self.model_fields_set:
            raise ValueError("is required, so that its default would never be used; keep one")
        if len(self.default) > self.max_length:
            raise ValueError("has a default longer than max_length")
        return self


class OwnBudgetSection(Section):
    """A budget of somebody's own."""

    usd: Usd = Field(description="US dollars that may be spent in the period.")
    per: BudgetPeriod = Field(description="The period; total never starts anew. Weeks start on Monday.")


class JudgeSection(Section):
    """A model that reads some of the replies."""

    model: Word = Field(description="The model that judges.")
    rubric: str = Field(default=RUBRIC, min_length=1, max_length=4000, description="What a reply has to keep to.")
    sample: PartPercent = Field(default="2%", description="The part of the replies that it reads.")
    budget: OwnBudgetSection = Field(
        default_factory=lambda: OwnBudgetSection.model_validate({"usd": "0.5", "per": "day"}),
        description="What it may cost.",
    )


class QualitySection(Section):
    """What is looked for in finished replies."""

    slow: Slow | None = Field(
        default=None, description="Replies that take longer are `slow`, p95: than 95 of 100; default: none is."
    )
    short: Length | None = Field(default=None, description="Answers of fewer characters are `short`; default: none is.")
    empty: Flag = Field(default=True, description="Replies that say nothing.")
    cut_off: Flag = Field(default=True, description="Replies that ended at their limit of tokens.")
    refusal: Flag = Field(default=True, description="Replies that refuse, and those that sound so.")
    loop: Flag = Field(default=True, description="Replies that say the same over and over.")
    language: Literal[LANGUAGES] | None = Field(  # type: ignore[valid-type]  # of the table of languages
        default=None, description="Replies in another language than this one, such as en."
    )
    json_: Flag = Field(default=True, alias="json", description="Replies that are not the JSON that was asked for.")
    tools: Flag = Field(default=True, description="Tool calls whose arguments are no JSON object.")
    judge: JudgeSection | None = Field(
        default=None, description="Replies that another model finds out of character; default: none is asked."
    )


class UseCaseSection(Section):
    """What is put into every call of that name."""

    system: str | None = Field(default=None, description="A system text; {{name}} stands for a variable.")
    system_mode: Literal["prepend", "replace", "default"] = Field(
        default="prepend", description="How it meets the client's own system text."
    )
    variables: dict[VariableName, VariableSection] = Field(
        default={}, description="What callers may fill the system text with."
    )
    defaults: dict[str, JsonValue] = Field(default={}, description="Request fields used where the client is silent.")
    overrides: dict[str, JsonValue] = Field(default={}, description="Request fields set whatever the client says.")

    fallback_on: list[FallbackCause] | None = Field(
        default=None, description="What makes the next model answer; default: what another provider may answer."
    )
    at: dict[Percent, Word] = Field(
        default={}, description="Models that answer first from a part of the tightest budget on."
    )

    quality: QualitySection | None = Field(default=None, description="What is looked for in finished replies.")
    on_flag: dict[Literal[FLAGS], Literal["fallback_once"]] = Field(  # type: ignore[valid-type]  # of the detectors
        default={}, description="What a flag does to a reply before any of it goes out."
    )

    hold_tokens: Length | None = Field(
        default=None, description="Of a stream, so many wait until it is known whether on_flag applies; default: none."
    )

    @field_validator("at")
    @classmethod
    def _once(cls, value: dict[str, str]) -> dict[str, str]:
        if "100%" in value or any(hundredths(part) > _ALL for part in value):
            raise ValueError("holds a part of 100% or more, where nothing is left; that is `budget` in fallback_on")
        return value

    @field_validator("system")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is not None:
            if not value.strip():
                raise ValueError("is empty; leave it out where there is no system text")
            names_in(value)
        return value

    @field_validator("defaults")
    @classmethod
    def _without_model(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if "model" in value:
            raise ValueError("cannot hold model; that is what target says")
        return _carried(value)

    @field_validator("overrides")
    @classmethod
    def _ours_to_set(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in value:
            if name in _NEVER_SET:
                raise ValueError(f"cannot hold {name}, which is the client's (or target's and system's) to say")
        return _carried(value)

    @model_validator(mode="after")
    def _held_for_something(self) -> Self:
        if self.hold_tokens is not None and not self.on_flag:
            raise ValueError("has hold_tokens, which wait for on_flag; give both")
        return self

    @model_validator(mode="after")
    def _declared(self) -> Self:
        used = names_in(self.system or "")
        for name in used:
            if name not in self.variables:
                raise ValueError(f"system has the variable {name}, which variables does not declare")
        if unused := [name for name in self.variables if name not in used]:
            raise ValueError(f"variables declares {', '.join(unused)}, which system does not use")
        return self


def _carried(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if not is_json(value):
        raise ValueError("holds .inf or .nan, which JSON cannot carry")
    return value


def is_json(value: Any) -> bool:
    """Whether JSON can carry it."""
    if isinstance(value, dict):
        return all(map(is_json, value.values()))
    if isinstance(value, list):
        return all(map(is_json, value))
    return not isinstance(value, float) or abs(value) < float("inf")  # NaN compares False as well
