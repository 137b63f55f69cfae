"""The shape of experiments, and of what switches whole parts on and off."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from proxy.config.fields import Count, Flag, Name, PartPercent, PercentNumber, Ratio, Section, Step, Word
from proxy.config.models_use_case import OwnBudgetSection
from proxy.config.short import Short, ShortSection

_WHOLE = 100
_ROUNDING = 1e-6


class ArmSection(Section):
    """One model that is tried."""

    target: Word = Field(description="The model, or a name under models.")
    share: PercentNumber = Field(
        description="Percent of calls that it gets; with a ramp, its part among the newcomers."
    )


class ShadowSection(Section):
    """A model that gets copies of calls, and whose answers nobody sees."""

    target: Word = Field(description="The model, or a name under models.")
    share: PercentNumber = Field(default=5.0, description="Percent of calls that it gets a copy of.")
    budget: OwnBudgetSection = Field(
        default_factory=lambda: OwnBudgetSection.model_validate({"usd": "0.5", "per": "day"}),
        description="What its copies may cost.",
    )


class GuardSection(Section):
    """What no arm but the first may pass."""

    errors: PartPercent | None = Field(default=None, description="Calls it may fail, such as 5%.")
    cost_ratio: Ratio | None = Field(default=None, description="What a call may cost, to the first arm's.")
    first_token_ratio: Ratio | None = Field(default=None, description="Time to the first token, to the first arm's.")


class ExperimentSection(Section):
    """Calls of one name, shared out among several models."""

    model: Word = Field(description="The name that clients send.")
    arms: list[ArmSection] = Field(description="What is tried; the first is what the others are measured against.")
    sticky: Literal["session", "key", "call"] = Field(default="session", description="What stays with one arm.")
    metric: Literal["cost", "first_token", "total", "errors", "flags", "judge", "feedback"] = Field(
        default="cost", description="What the winner is found by."
    )
    guard: GuardSection = Field(default=GuardSection(), description="What no arm but the first may pass.")
    ramp: list[PercentNumber] = Field(
        default=[], description="Percents that all arms but the first have together, one after the other."
    )
    step: Step = Field(default=86400.0, description="How long each percent of the ramp stands at least.")
    shadows: list[ShadowSection] = Field(default=[], description="Models that get copies of calls, seen by nobody.")
    min_calls: Count = Field(default=100, description="Calls of an arm before its guard acts or its ramp goes on.")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        targets = [arm.target for arm in self.arms] + [shadow.target for shadow in self.shadows]
        if len(self.arms) < 2:
            raise ValueError("needs two arms at least; the first is what the others are measured against")
        if len(set(targets)) < len(targets):
            raise ValueError("has one target twice among its arms and shadows")
        if abs(sum(arm.share for arm in self.arms) - _WHOLE) > _ROUNDING:
            raise ValueError("has arms whose shares do not come to 100 together")
        if any(later <= earlier for earlier, later in zip(self.ramp, self.ramp[1:], strict=False)) or 0 in self.ramp:
            raise ValueError("has a ramp that does not rise; write it as [5, 25, 50, 100]")
        return self


class FeatureSection(ShortSection):
    """Whether a part is there; short: true or false, for everybody."""

    short = Short("enabled", "boolean", "For everybody.")

    enabled: Flag = Field(default=True, description="For everybody.")
    keys: dict[Name, Flag] = Field(default={}, description="The same for single keys, by name.")
