"""What the metrics are told: a finished call, and what each of its attempts came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from proxy.observe.families import Count, Distribution


class Tokens(Struct, frozen=True):
    """Token counts. `input` includes `cached_input` and `cache_write`, `output` includes `reasoning`."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0


NO_TOKENS = Tokens()


class CallSeen(Struct, frozen=True):
    """One finished call. Times in seconds.

    `model` is the configured target. `attempts` are (provider, outcome), `fallback` is (from, to)
    as models, `lost` are (from, to, field) of translations, `client_left` how far the call had got, `rejected` the code
    of a refusal of ours, `shadow_rejected` those of refusals there would have been, `flags` what is wrong with the reply, `cache` what another call had to do with it.
    """

    endpoint: str
    status: int
    total_seconds: float
    overhead_seconds: float
    provider: str | None = None
    model: str | None = None
    key: str | None = None
    error_type: str | None = None
    stream: bool = False
    first_token_seconds: float | None = None
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    attempts: tuple[tuple[str, str], ...] = ()
    fallback: tuple[str, str] | None = None
    lost: tuple[tuple[str, str, str], ...] = ()
    client_left: str | None = None
    rejected: str | None = None
    shadow_rejected: tuple[str, ...] = ()
    tenant: str = ""
    flags: tuple[str, ...] = ()
    cache: str | None = None
    saved_pusd: int = 0


class Took(Protocol):
    """What calls that are alike differ in; times in seconds."""

    @property
    def total_seconds(self) -> float:
        """From its start to its end."""

    @property
    def overhead_seconds(self) -> float:
        """What of it was ours."""

    @property
    def first_token_seconds(self) -> float | None:
        """From its start to the first token."""

    @property
    def input_tokens(self) -> int | None:
        """What it read."""

    @property
    def output_tokens(self) -> int | None:
        """What it wrote."""


Whose = tuple[str | None, str | None]  # key and tenant


class Meter(Struct, eq=False, frozen=True):
    """Where calls of one kind are counted, `call` for all of them, which is looked up once: their `labels` but those of whose
    they are, by which the `callers` wait to be counted. `attempts`: with how many of each a call has. `is_more`: not all that
    is counted of them is in here."""

    call: CallSeen
    labels: tuple[str, str, str, str, str]
    duration: Distribution
    overhead: Distribution
    attempts: list[tuple[Count, int]]
    callers: Counter[Whose]
    is_more: bool


class Alike(Struct, frozen=True):
    """Calls of one kind that ended together, whose each is, and what they saved together."""

    meter: Meter
    calls: Sequence[Took]
    whose: Sequence[Whose]
    saved_pusd: int = 0


class CostSeen(Struct, frozen=True):
    """What one attempt cost and used, or many alike together, as the ledger has it; `model` is the configured target."""

    provider: str
    model: str | None
    key: str | None
    cost_pusd: int
    cost_source: str
    tokens: Tokens = NO_TOKENS
    tenant: str = ""
