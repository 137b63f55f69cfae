"""The shape of what decides where calls go: routes, lists of models, models switched off, candidates, strategies."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from proxy.config.fields import (
    Flag,
    Money,
    Name,
    Part,
    Priority,
    Seconds,
    SecondsOrNever,
    Section,
    Timeout,
    Uptime,
    Weight,
    Word,
)
from proxy.config.short import Short, ShortSection


class RouteSection(Section):
    """Which provider serves a group of models."""

    match: Word = Field(description="Pattern over author/slug; * stands for anything.")
    provider: Word = Field(description="Name of an entry of providers.")
    name: Name | None = Field(default=None, description="What it is called, where it is stored.")


class CatalogueSection(Section):
    """The list of models and prices fetched from OpenRouter."""

    refresh: SecondsOrNever = Field(default=6 * 3600.0, description="How often it is fetched: a duration, or never.")


class ModelSwitchSection(ShortSection):
    """Whether models may be used; short: true or false, for everybody."""

    short = Short("enabled", "boolean", "For everybody.")

    enabled: Flag | None = Field(default=None, description="For everybody: false switches off what matches.")
    keys: dict[Name, Flag] = Field(default={}, description="The same for single keys, by name.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.enabled is None and not self.keys:
            raise ValueError("switches nothing; give true or false, or keys")
        return self


class CandidateSection(ShortSection):
    """One of several targets; short: its name."""

    short = Short("target", "string", "The target.")

    target: Word = Field(description="The model, or a name under models that has one target.")
    weight: Weight = Field(default=1.0, description="Its part of what is drawn; 0: only a fallback.")
    priority: Priority = Field(default=0, description="Those with the lowest number go first, while one of them fits.")


class WeightsSection(Section):
    """What a candidate's score is made of."""

    cost: Weight = Field(default=0.0, description="How much a low price counts.")
    speed: Weight = Field(default=0.0, description="How much an early and quick answer counts.")
    quality: Weight = Field(default=0.0, description="How much published results count.")
    load: Weight = Field(default=0.0, description="How much it counts that few calls are under way there.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.cost, self.speed, self.quality, self.load)):
            raise ValueError("weighs nothing; give cost, speed, quality or load a weight above 0")
        return self


class CeilingsSection(Section):
    """What a candidate must not pass, whatever its score."""

    usd_per_mtok: Money | None = Field(default=None, description="USD per million tokens, at the call's mix.")
    first_token: Timeout | None = Field(default=None, description="Seconds to the first token.")
    uptime: Uptime | None = Field(default=None, description="The part of its calls that must succeed, such as 99%.")


class StrategySection(Section):
    """How one of several candidates is chosen."""

    weights: WeightsSection = Field(description="What the score is made of; only their ratio counts.")
    ceilings: CeilingsSection = Field(default=CeilingsSection(), description="What no candidate may pass.")
    sticky: Seconds = Field(default=600.0, description="How long a session stays where it was; 0: it does not.")
    explore: Part = Field(
        default=0.02, description="The part of calls that look at a candidate known less, such as 2%."
    )


class RoutedSection(Section):
    """The part of a name's long form that says where its calls go."""

    target: Word | None = Field(default=None, description="The model it goes to.")
    candidates: list[CandidateSection] = Field(default=[], description="In the place of target: models to choose from.")
    strategy: Word = Field(default="balanced", description="How: a built-in strategy, or one of strategies.")
    fallbacks: list[Word] = Field(default=[], description="Models to try next, in order.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.target is None) == (not self.candidates):
            raise ValueError("must have exactly one of target and candidates")
        return self
