"""The shape of what bounds and records spending: prices, limits, budgets, journal, ledger, metrics."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from proxy.config.fields import (
    Cap,
    Count,
    Flag,
    Name,
    Percent,
    Seconds,
    SecondsOrForever,
    Section,
    Share,
    Size,
    TimeZone,
    Usd,
    UsdPerMillion,
    Word,
)

LimitPeriod = Literal["minute", "hour", "day", "week", "month"]
_LEAST_JOURNAL = 2**20
BudgetPeriod = Literal["minute", "hour", "day", "week", "month", "total"]


class PriceSection(Section):
    """A price of our own. A field left out keeps the catalogue's price."""

    input: UsdPerMillion | None = Field(default=None, description="USD per million input tokens.")
    output: UsdPerMillion | None = Field(default=None, description="USD per million output tokens.")
    cached_input: UsdPerMillion | None = Field(
        default=None, description="USD per million input tokens read from a cache."
    )

    web_search: UsdPerMillion | None = Field(default=None, description="USD for each web search of the provider's own.")
    file_search: UsdPerMillion | None = Field(
        default=None, description="USD for each search in files kept at the provider."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no price; give input, output, cached_input, web_search or file_search")
        return self


class LimitSection(Section):
    """One limit: requests or tokens in a period, or calls at the same time."""

    requests: Count | None = Field(default=None, description="Calls per period.")
    tokens: Count | None = Field(default=None, description="Tokens, input and output together, per period.")
    concurrent: Count | None = Field(default=None, description="Calls at the same time; takes no period.")
    per: LimitPeriod | None = Field(default=None, description="The period of requests or tokens.")
    shadow: Flag = Field(default=False, description="Counts, and says what it would refuse, but refuses nothing.")
    name: Name | None = Field(default=None, description="What it is called; default: by what it counts and its period.")

    @model_validator(mode="after")
    def _is_one_limit(self) -> Self:
        if sum(amount is not None for amount in (self.requests, self.tokens, self.concurrent)) != 1:
            raise ValueError("must have exactly one of requests, tokens and concurrent")
        if self.concurrent is not None and self.per is not None:
            raise ValueError("per does not go with concurrent, which counts calls at the same time")
        if self.concurrent is None and self.per is None:
            raise ValueError("per is missing: minute, hour, day, week or month")
        return self


class ForSection(Section):
    """Which calls a budget is for; all that is given must fit. Names or patterns."""

    model: Word | None = Field(default=None, description="An alias, or a model as author/slug.")
    provider: Word | None = Field(default=None, description="A provider, by its name.")
    key: Word | None = Field(default=None, description="A client key, by its name.")
    tag: Word | None = Field(default=None, description="A tag that the call carries.")
    tenant: Word | None = Field(default=None, description="The key's tenant, or the parent of that.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names nothing; give model, provider, key, tag or tenant")
        return self


class BudgetSection(Section):
    """One budget: an amount and the period it is for."""

    usd: Cap = Field(description="US dollars that may be spent in the period; 0 lets through what costs nothing.")
    per: BudgetPeriod = Field(description="The period; total never starts anew. Weeks start on Monday.")
    tz: TimeZone | None = Field(default=None, description="Time zone in which periods begin; default: the machine's.")
    share: Share = Field(default=Decimal(1), description="The part of the budget one key may hold at once.")
    shadow: Flag = Field(default=False, description="Counts, and says what it would refuse, but refuses nothing.")
    alerts: list[Percent] | None = Field(
        default=None, description="Parts of it whose passing is told; default: those of budget_alerts."
    )
    name: Name | None = Field(default=None, description="What it is called; default: its period and what it is for.")
    only: ForSection | None = Field(default=None, alias="for", description="Binds these calls only.")
    each: Literal["session", "key", "tag"] | None = Field(
        default=None, description="Every session, key or tag gets a budget of its own."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.each is not None and self.alerts:
            raise ValueError("alerts do not go with each: nobody is told of every session, key or tag")
        return self


class LoopsSection(Section):
    """When an agent is taken to run in a loop; at least one."""

    same_tool_call: Count | None = Field(
        default=None, description="So often the same tool calls in a row, without a human's word."
    )
    usd_per_minute: Usd | None = Field(
        default=None, description="More US dollars than this within a minute, without a human's word."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.same_tool_call is None and self.usd_per_minute is None:
            raise ValueError("names nothing; give same_tool_call or usd_per_minute")
        if self.same_tool_call == 1:
            raise ValueError("same_tool_call must be 2 or more: once is no loop")
        return self


class SessionsSection(Section):
    """The sessions of coding agents."""

    budget: Usd | None = Field(default=None, description="US dollars that each session may spend in all.")
    loops: LoopsSection | None = Field(default=None, description="Stop agents that run in a loop.")


class BudgetPolicySection(Section):
    """How budgets are applied."""

    unpriced: Literal["deny", "allow"] = Field(
        default="deny", description="Models without a price, for keys under a budget."
    )
    wait: Seconds = Field(default=15.0, description="Seconds a call waits in line for others' holds to settle.")
    unknown_maximum: Count = Field(
        default=32_768, description="Output tokens held where nobody knows a model's largest output."
    )
    tool_uses: Count = Field(
        default=5, description="Runs held for each of a provider's own tools where the request sets no limit."
    )
    on_disconnect: Literal["auto"] = Field(
        default="auto", description="A client that leaves: close where that stops billing, else read on to the usage."
    )


class JournalSection(Section):
    """The write-ahead journal."""

    fsync: Literal["interval", "always", "never"] = Field(
        default="interval",
        description="When records reach the disk: every 100 ms, before each reply, or when the system likes.",
    )
    max_bytes: Size = Field(
        default=256 * 2**20, description="How far the journal may grow while the ledger lags; at least 1 MiB."
    )

    @field_validator("max_bytes")
    @classmethod
    def _has_room(cls, most: int) -> int:
        if most < _LEAST_JOURNAL:
            raise ValueError("must be at least 1 MiB: calls that cost money stop where the journal has no room")
        return most


class LedgerSection(Section):
    """The ledger of past calls."""

    keep: SecondsOrForever = Field(
        default=None, description="How long rows are kept: a duration such as 400d, or forever."
    )


class MetricsSection(Section):
    """Metrics beside our own."""

    gen_ai: Flag = Field(default=False, description="Also expose OpenTelemetry's gen_ai_* metrics.")


class CreditsSection(Section):
    """A unit of one's own beside US dollars."""

    usd: Usd = Field(description="What one unit is worth in US dollars.")
    name: Name = Field(default="credits", description="What it is called.")

    @field_validator("name")
    @classmethod
    def _own(cls, value: str) -> str:
        if value.lower() == "usd":
            raise ValueError("is what US dollars are called")
        return value


class ResultsSection(Section):
    """Files kept for whoever called: pictures by address, and replies whose clients had left."""

    max_bytes: Size = Field(default=2**30, description="How much of them is kept together; the oldest go first.")
