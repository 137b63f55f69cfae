"""The shape of alert rules of one's own."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from proxy.config.fields import Count, Flag, Name, Seconds, Section, Step, Word
from proxy.policy.alerting.rules import MEASURES

_LARGEST_LIMIT = 10.0**15
_LEAST_SECONDS, _MOST_SECONDS = 60.0, 31 * 86400.0


def _limit(value: object) -> float:
    """A number, or a percentage of 1."""
    text = str(value).strip()
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = -1.0
    if isinstance(value, bool) or not 0 <= found <= _LARGEST_LIMIT:
        raise ValueError("must be a number from 0 on, or a part such as 5%")
    return found


Window = Annotated[Step, Field(ge=_LEAST_SECONDS, le=_MOST_SECONDS)]
Limit = Annotated[
    float,
    BeforeValidator(_limit),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "%$"}, {"type": "number", "minimum": 0}]}),
]


class OnlySection(Section):
    """What counts for a rule: names, or patterns such as openai/*."""

    key: Word | None = Field(default=None, description="Only of this key.")
    tenant: Word | None = Field(default=None, description="Only of this tenant.")
    provider: Word | None = Field(default=None, description="Only of this provider.")
    model: Word | None = Field(default=None, description="Only of this model.")
    endpoint: Word | None = Field(default=None, description="Only of this endpoint, such as chat/completions.")


class AlertRuleSection(Section):
    """A number of analytics, and what it must not pass."""

    metric: Literal[tuple(MEASURES)] = Field(description="What is measured.")  # type: ignore[valid-type]
    above: Limit | None = Field(default=None, description="It fires above this; a number, or a part such as 5%.")
    below: Limit | None = Field(default=None, description="It fires below this.")
    over: Window = Field(default=3600.0, description="The time that is looked at, such as 5m, 1h or 7d.")
    lasts: Seconds = Field(default=0.0, description="How long that must last before it fires.")
    clear: Limit | None = Field(
        default=None, description="It is over once the number is back here; default: the limit."
    )
    each: Literal["key", "tenant", "provider", "model", "endpoint"] | None = Field(
        default=None, description="Every one of these is watched by itself."
    )
    only: OnlySection = Field(default=OnlySection(), description="What counts.")
    min_calls: Count | None = Field(default=None, description="Fewer calls than this say nothing.")
    every: Window = Field(default=86400.0, description="It is told at most once in so long.")
    severity: Literal["page", "ticket"] = Field(default="ticket", description="page wakes somebody, ticket waits.")
    to: list[Name] = Field(default=[], description="Names of alerts that are told; default: all.")
    enabled: Flag = Field(default=True, description="False: nobody looks.")

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("must have exactly one of above and below")
        if self.clear is not None and (
            (self.above is not None and self.clear > self.above) or (self.below is not None and self.clear < self.below)
        ):
            raise ValueError("clears on the wrong side: clear must not lie beyond what it fires at")
        return self

    @model_validator(mode="after")
    def _of_what_is_measured(self) -> Self:
        measure = MEASURES[self.metric]
        idle = {"each", "over", "min_calls"} & self.model_fields_set if measure.watches else set[str]()
        if idle:
            raise ValueError(
                f"{self.metric} stands as it is, of every {measure.watches} by itself: leave {min(idle)} out"
            )
        odd = [name for name, text in self.only if text is not None and name not in measure.only]
        if odd:
            raise ValueError(f"{self.metric} knows no {odd[0]}: only takes {' and '.join(sorted(measure.only))}")
        return self
