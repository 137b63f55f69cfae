"""Experiments as operators see and steer them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import asdict

from proxy.exchange.routing.trials import Step, Trial, Trials
from proxy.policy.experiments.judging import Measured, measured
from proxy.policy.experiments.stepping import NotNow, Order, verdict
from proxy.policy.experiments.values import METRICS, Metric, Standing, State, shares
from proxy.stores.audit import Deed
from proxy.web.operator.access.actor import ACTOR, Actor
from proxy.web.operator.admin_api import Declined, Unknown
from proxy.web.operator.answers import Answer
from proxy.web.reading import read_ask

Params = dict[str, Any]
_DONE: dict[State, str] = {
    "running": "experiment.ramp",
    "held": "experiment.hold",
    "rolled_back": "experiment.rollback",
    "finished": "experiment.finish",
}


class ArmAnswer(Struct, frozen=True):
    """One arm: `share` is percent of calls now, `errors` of its `calls` its own model did not answer; `metric` is what the
    experiment is about, with where its true mean is (95 %, at any look)."""

    target: str
    share: float
    calls: int
    errors: int
    metric: Measured


class ExperimentAnswer(Struct, frozen=True, omit_defaults=True):
    """Where one stands. `winner` is the target that is proved better than all others, or that all calls go to by now.
    `shadows` get copies of so many percent of calls; there are none where it says none."""

    name: str
    state: State
    arms: list[ArmAnswer]
    winner: str | None
    reason: str
    shadows: list[ArmAnswer] = []


class ExperimentsAnswer(Struct, frozen=True):
    """All of them."""

    experiments: list[ExperimentAnswer]


class ExperimentAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """One of them; `metric` in the place of its own."""

    name: str
    metric: Literal[METRICS] | None = None  # type: ignore[valid-type]  # of the table of metrics


class RampBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Percent that all arms but the first are to have together; None: what the ramp has next."""

    share: float | None = None
    reason: str = ""


class StopBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: str = ""


class FinishBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The target that all calls go to from now on; None: the winner."""

    winner: str | None = None
    reason: str = ""


def experiment_answer(trial: Trial, metric: Metric | None = None) -> ExperimentAnswer:
    """Where it stands."""
    experiment = trial.experiment
    found = verdict(experiment, trial.standing, trial.evidence)
    arms = [
        ArmAnswer(arm.target, round(share, 6), tally.calls, tally.errors, measured(tally, metric or experiment.metric))
        for arm, share, tally in zip(experiment.arms, trial.lots, trial.evidence.whole, strict=True)
    ]
    winner = None if found.arm is None else experiment.arms[found.arm].target
    shadows = [
        ArmAnswer(one.target, one.share, tally.calls, tally.errors, measured(tally, metric or experiment.metric))
        for one, tally in zip(experiment.shadows, trial.shadows, strict=True)
    ]
    return ExperimentAnswer(experiment.name, trial.standing.state, arms, winner, found.reason, shadows)


def step_data(step: Step) -> dict[str, Any]:
    """What log and webhooks say of a step."""
    return {
        "experiment": step.experiment.name,
        "state": step.after.state,
        "share": sum(shares(step.experiment, step.after)[1:]),
        "by": step.after.by,
        "winner": step.after.winner or None,
        "reason": step.after.reason,
    }


def deed_of(step: Step, actor: Actor) -> Deed:
    """What the audit says of it."""
    before, after = (_state(standing) for standing in (step.before, step.after))
    reason = actor.reason or step.after.reason
    return actor.deed(_DONE[step.after.state], f"experiments.{step.experiment.name}", before, after, reason)


def _state(standing: Standing) -> dict[str, Any]:
    told = asdict(standing)
    return {name: told[name] for name in ("state", "share", "by", "winner", "reason")}


class Having(Protocol):
    """What has the experiments under way."""

    @property
    def trials(self) -> Trials | None:
        """Those."""

    def has_model(self, name: str) -> bool:
        """Whether whoever asks may know what is done under this name."""


class Keeper(Protocol):
    """The daemon, or the files of one that does not run."""

    def admin_api(self) -> Having:
        """Where answers come from."""


class ExperimentOrders:
    """`by_name` as `Orders` has them. `tell` writes a step down and tells of it, `put_setting` stores a setting, where that
    can be done."""

    def __init__(
        self,
        state: Keeper,
        tell: Callable[[list[Step], Actor], Awaitable[None]],
        put_setting: Callable[[Params], Awaitable[Answer]] | None = None,
    ) -> None:
        self._state = state
        self._tell = tell
        self.by_name: dict[str, Callable[[Params], Awaitable[Answer]]] = {
            "experiments": self._all,
            "experiment": self._one,
            "ramp_experiment": self._ordered("ramp", "share"),
            "hold_experiment": self._ordered("hold", ""),
            "rollback_experiment": self._ordered("rollback", ""),
            "finish_experiment": self._ordered("finish", "winner"),
        }
        if put_setting is not None:
            self.by_name["put_experiment"] = lambda params: put_setting({**params, "section": "experiments"})

    async def _all(self, _: Params) -> Answer:
        return ExperimentsAnswer([experiment_answer(trial) for trial in self._shown()])

    async def _one(self, params: Params) -> Answer:
        ask = read_ask(params, ExperimentAsk)
        return experiment_answer(self._find(ask.name), ask.metric)

    def _ordered(self, order: Order, member: str) -> Callable[[Params], Awaitable[Answer]]:
        async def give(params: Params) -> Answer:
            trial, actor = self._find(str(params.get("name"))), ACTOR.get()
            try:
                step = self._trials.order(trial, (order, params.get(member)), time.time())
            except NotNow as error:
                raise Declined(f"{trial.experiment.name}: {error}") from None
            why = str(params.get("reason") or actor.reason)
            await self._tell([step], Actor(actor.name, actor.source, why))
            return experiment_answer(trial)

        return give

    @property
    def _trials(self) -> Trials:
        return self._state.admin_api().trials or Trials()

    def _find(self, name: str) -> Trial:
        shown = {trial.experiment.name: trial for trial in self._shown()}
        if name not in shown:
            raise Unknown(f"there is no experiment {name!r}; there is: {', '.join(shown) or 'none'}")
        return shown[name]

    def _shown(self) -> list[Trial]:
        """Those that whoever asks may know of."""
        admin_api = self._state.admin_api()
        return [trial for trial in (admin_api.trials or Trials()).each if admin_api.has_model(trial.experiment.model)]
