"""How one of several candidates is chosen, as it is written, and who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from proxy.policy.values import Target


class Weights(Struct, frozen=True):
    """What a candidate's score is made of."""

    cost: float = 0.0
    speed: float = 0.0
    quality: float = 0.0
    load: float = 0.0


class Ceilings(Struct, frozen=True):
    """What no candidate may pass; None binds nothing."""

    usd_per_mtok: float | None = None
    first_token_seconds: float | None = None
    error_rate: float | None = None


class Strategy(Struct, frozen=True):
    """How one of several candidates is chosen. `kind`: by score, by a draw of the candidates' weights, or by a score in
    which cost counts the more of the budget is spent. `explore` is the part of calls that look elsewhere."""

    name: str
    weights: Weights = Weights()
    ceilings: Ceilings = Ceilings()
    sticky_seconds: float = 600.0
    explore: float = 0.02
    kind: Literal["score", "draw", "budget"] = "score"


class CandidateRule(Struct, frozen=True):
    """One of several targets of a name, as it is written."""

    target: str
    weight: float = 1.0
    priority: int = 0


class Seat(Struct, frozen=True):
    """One of several targets of a plan: where it goes, what it is called (a name under `models:`, else `author/slug`), and
    its `author/slug`. `weight` 0: only a fallback; the lowest `priority` goes first."""

    target: Target
    label: str
    slug: str
    weight: float = 1.0
    priority: int = 0


class Pool(Struct, frozen=True):
    """The targets of a plan among which each call chooses. `is_auto`: every caller among those it may use."""

    strategy: str
    seats: tuple[Seat, ...]
    is_auto: bool = False
