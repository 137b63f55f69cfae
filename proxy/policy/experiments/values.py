"""What an experiment is: its arms, what is measured, what it must not pass, how its share grows, where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from proxy.policy.features import Features

Unit = Literal["session", "key", "call"]
Metric = Literal["cost", "first_token", "total", "errors", "flags", "judge", "feedback"]
METRICS: tuple[Metric, ...] = ("cost", "first_token", "total", "errors", "flags", "judge", "feedback")
MORE_IS_BETTER: frozenset[Metric] = frozenset(("judge", "feedback"))
PARTS: frozenset[Metric] = frozenset(("errors", "flags"))  # of calls, 0 to 1
State = Literal["running", "held", "rolled_back", "finished"]
By = Literal["operator", "ramp", "guard"]
HUNDRED = 100.0


class Arm(Struct, frozen=True):
    """One model that is tried: `share` is percent of calls. The first arm is what the others are measured against."""

    target: str
    share: float


class Shadow(Struct, frozen=True):
    """One that gets a copy of `share` percent of calls, whose answers nobody sees. `scope` is that of its own budget, and
    what its calls stand under in logs and the ledger."""

    target: str
    share: float
    scope: str


class Guard(Struct, frozen=True):
    """What no arm may pass; None binds nothing. `errors` is a part of its calls, the others are to the first arm's mean."""

    errors: float | None = None
    cost_ratio: float | None = None
    first_token_ratio: float | None = None


class Experiment(Struct, frozen=True):
    """A name under `models:` whose calls are shared out among arms. `ramp` are the percents that all arms but the first
    have together, one after the other, each for `step_seconds` and `min_calls` calls of every arm; empty: shares stay."""

    name: str
    model: str
    arms: tuple[Arm, ...]
    sticky: Unit = "session"
    metric: Metric = "cost"
    guard: Guard = Guard()
    ramp: tuple[float, ...] = ()
    step_seconds: float = 86400.0
    min_calls: int = 100
    shadows: tuple[Shadow, ...] = ()

    @property
    def newcomers_share(self) -> float:
        """Percent that all arms but the first have, as it is written."""
        return sum(arm.share for arm in self.arms[1:])

    @property
    def written_shares(self) -> tuple[float, ...]:
        """Those that all arms but the first are to have together, one after the other."""
        return self.ramp or (self.newcomers_share,)

    @property
    def targets(self) -> list[str]:
        """Of all arms, and behind them of all shadows."""
        return [arm.target for arm in self.arms] + [shadow.target for shadow in self.shadows]

    @property
    def identity(self) -> str:
        """With another one, what was measured says nothing any more."""
        return "\n".join((self.model, *(arm.target for arm in self.arms)))


class Standing(Struct, frozen=True):
    """Where an experiment stands. `share`: percent of all arms but the first now; `since` (UTC epoch seconds) it is so;
    `calls` of each arm there were then. `by` is who did the last step: an operator, the ramp or a guard."""

    state: State = "running"
    share: float = 0.0
    since: float = 0.0
    calls: tuple[int, ...] = ()
    by: By = "operator"
    winner: str = ""
    reason: str = ""


def switched_on(experiments: Mapping[str, Experiment], features: Features) -> tuple[Experiment, ...]:
    """Those that any call may belong to."""
    return tuple(experiments.values()) if features.is_on("experiments") else ()


def first_standing(experiment: Experiment, now: float) -> Standing:
    """Where it begins."""
    return Standing("running", experiment.written_shares[0], now, (0,) * len(experiment.arms))


def shares(experiment: Experiment, standing: Standing) -> tuple[float, ...]:
    """Percent of calls that each arm has now; together a hundred."""
    arms = experiment.arms
    if standing.state == "rolled_back":
        return (HUNDRED, *(0.0 for _ in arms[1:]))
    if standing.state == "finished":
        return tuple(HUNDRED if arm.target == standing.winner else 0.0 for arm in arms)
    written = experiment.newcomers_share
    parts = [arm.share / written if written else 1 / (len(arms) - 1) for arm in arms[1:]]
    return (HUNDRED - standing.share, *(standing.share * part for part in parts))
