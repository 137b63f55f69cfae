"""What routing is about: strategies, candidates, what is known of each, what a call needs, and what was decided.

Prices and times are floats here: they are weighed against each other, nothing is charged by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from proxy.policy.names.catalogue import TAKES
from proxy.policy.strategies import Strategy, Weights
from proxy.policy.values import Target

# What a call may need beside text, a bit each.
BITS: Mapping[str, int] = {name: 1 << index for index, name in enumerate(TAKES)}
PRIVATE = 1 << len(TAKES)  # that nothing is kept of it
# What people call it.
NEEDS: Mapping[str, str] = {"images": "pictures", "image": "pictures", "vision": "pictures", "schema": "json_schema"}

NAMED: Mapping[str, Strategy] = {
    "cost": Strategy("cost", Weights(0.85, 0.05, 0.1)),
    "speed": Strategy("speed", Weights(0.1, 0.8, 0.1)),
    "quality": Strategy("quality", Weights(0.1, 0.1, 0.8)),
    "balanced": Strategy("balanced", Weights(0.34, 0.33, 0.33)),
    "least_busy": Strategy("least_busy", Weights(load=1.0), sticky_seconds=0),
    "weighted": Strategy("weighted", kind="draw", sticky_seconds=0),
    "budget_aware": Strategy("budget_aware", Weights(0.2, 0.3, 0.5), kind="budget"),
}

Basis = Literal["measured", "published", "guessed"]


class Candidate(Struct, frozen=True):
    """One that may be chosen, as the lists have it. Prices in USD per token, None where nobody knows; sizes in tokens, 0
    where nobody knows. `quality` is 0 to 1, `quality_source` "" where it is a guess. `weight` 0: drained, only a fallback.
    `shut`: why no call goes there at all. `is_priced`: somebody knows a price, by the picture or the hour for instance."""

    target: Target
    label: str
    takes: int = 0
    context: int = 0
    max_output: int = 0
    input_usd: float | None = None
    output_usd: float | None = None
    cached_usd: float | None = None
    quality: float = 0.5
    quality_source: str = ""
    weight: float = 1.0
    priority: int = 0
    shut: str = ""
    is_priced: bool = True


class Speed(Struct, frozen=True):
    """How a target does: seconds to the first token, tokens a second from there, the part of calls that fail. `calls` of
    our own it rests on; `p95_seconds` is of the first token."""

    first_token_seconds: float = 2.0
    tokens_per_second: float = 40.0
    error_rate: float = 0.0
    calls: int = 0
    p95_seconds: float | None = None
    basis: Basis = "guessed"


UNKNOWN = Speed()


class Ask(Struct, frozen=True):
    """What a call needs. `needs` are bits; `input_tokens` a likely number, `output_tokens` the maximum it sets, 0 for none.
    `left_usd`: what its tightest budget leaves, `used` the part of it that is spent. `most_input_tokens`: what is held for;
    `needs_price`: under a budget it is refused where nobody knows a price; `beyond` are the targets that its name falls back on
    behind all candidates."""

    needs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    stream: bool = False
    left_usd: float | None = None
    used: float = 0.0
    most_input_tokens: int = 0
    needs_price: bool = False
    beyond: tuple[Target, ...] = ()


class Stuck(Struct, frozen=True):
    """Where a session is, and how many tokens of it that target likely keeps in its cache."""

    target: Target
    cached_tokens: int


class Rest(Struct, frozen=True):
    """Until when (monotonic seconds) an account wants no calls, and why: what it said, in a word or two."""

    until: float
    why: str


class Health(Struct, frozen=True):
    """What is out of the ordinary now: `closed` targets with a reason in words, `shares` of those that recover (the part of
    their traffic they get), `busy` calls under way by target."""

    closed: Mapping[Target, str] = {}
    shares: Mapping[Target, float] = {}
    busy: Mapping[Target, int] = {}


WELL = Health()


class Dropped(Struct, frozen=True):
    """A candidate that was not eligible, and why, in words."""

    model: str
    reason: str


class Decision(Struct, frozen=True):
    """What was decided, as design §14 has it. Latency in milliseconds; `confidence` 0 to 1."""

    id: str
    selected_model: str
    fallback_models: list[str]
    reasons: list[str]
    dropped: list[Dropped]
    estimated_cost_usd: str | None
    estimated_latency_ms: int
    confidence: float
    strategy: str
    rule: str
