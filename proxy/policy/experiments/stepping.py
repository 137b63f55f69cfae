"""What an experiment does next: by itself (its guards, its ramp), or as an operator orders."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from proxy.policy.experiments.judging import Best, Breach, best, breach_of
from proxy.policy.experiments.sums import Evidence
from proxy.policy.experiments.values import By, Experiment, Standing, first_standing, shares

Order = Literal["ramp", "hold", "rollback", "finish"]


class NotNow(Exception):
    """An order that cannot be carried out; the message says why."""


def step(experiment: Experiment, standing: Standing, evidence: Evidence, now: float) -> Standing:
    """Where it stands after a look; the same where nothing follows. A guard that looks passed holds the ramp, one that is
    proved so sends everybody back to the first arm. What a guard held goes on after `min_calls` calls more that are fine."""
    if standing.state not in ("running", "held"):
        return standing
    found = breach_of(experiment, evidence)
    if found.sign == "proved":
        return _told(replace(standing, state="rolled_back", by="guard", reason=found.reason), evidence, now)
    if standing.state == "held":
        return _freed(experiment, standing, evidence, found, now)
    if found.sign == "doubtful" and experiment.ramp:
        return _told(replace(standing, state="held", by="guard", reason=found.reason), evidence, now)
    onward = next_share(experiment, standing)
    if onward is None or now - standing.since < experiment.step_seconds:
        return standing
    if any(n < experiment.min_calls for n in _calls_since(standing, evidence)):
        return standing
    reason = f"{standing.share:g} % held for its time and its calls; on to {onward:g} %"
    return _told(replace(standing, share=onward, by="ramp", reason=reason), evidence, now)


def _freed(experiment: Experiment, standing: Standing, evidence: Evidence, found: Breach, now: float) -> Standing:
    if standing.by != "guard" or found.sign != "fine":
        return standing
    if any(n < experiment.min_calls for n in _calls_since(standing, evidence)):
        return standing
    reason = "the calls since are within the guard"
    return _told(replace(standing, state="running", by="guard", reason=reason), evidence, now)


def _calls_since(standing: Standing, evidence: Evidence) -> list[int]:
    """Of each arm but the first, the calls since it stands so."""
    before = standing.calls or (0,) * len(evidence.whole)
    return [tally.calls - was for tally, was in zip(evidence.whole[1:], before[1:], strict=True)]


def _told(standing: Standing, evidence: Evidence, now: float) -> Standing:
    return replace(standing, since=now, calls=tuple(tally.calls for tally in evidence.whole))


def rewritten(experiment: Experiment, standing: Standing, evidence: Evidence, now: float) -> Standing:
    """Where one that goes on stands once its shares are written otherwise: a ramp goes on from the last of its percents
    that had been reached."""
    if standing.state not in ("running", "held"):
        return standing
    written = experiment.written_shares
    share = max((one for one in written if one <= standing.share), default=written[0])
    by: By = standing.by if standing.state == "held" else "operator"
    return _told(replace(standing, share=share, by=by, reason="as its shares are written now"), evidence, now)


def next_share(experiment: Experiment, standing: Standing) -> float | None:
    """The next percent of the ramp; None where it is at its end."""
    return next((share for share in experiment.ramp if share > standing.share), None)


def ordered(
    experiment: Experiment, standing: Standing, evidence: Evidence, order: tuple[Order, float | str | None], now: float
) -> Standing:
    """Where it stands after an operator's order; with `ramp` a percent may be given, with `finish` the arm that all get.
    An experiment that was over begins anew with `ramp`: whoever keeps the evidence begins that anew as well.

    Raises NotNow.
    """
    what, given = order
    is_over = standing.state in ("rolled_back", "finished")
    if what == "ramp":
        return _told(_ramped(experiment, standing, given, now), evidence, now)
    if is_over:
        raise NotNow(f"it is {standing.state.replace('_', ' ')} already; `ramp` begins it anew")
    if what == "hold":
        return _told(replace(standing, state="held", by="operator", reason="held by an operator"), evidence, now)
    if what == "rollback":
        back = replace(standing, state="rolled_back", by="operator", reason="rolled back by an operator")
        return _told(back, evidence, now)
    winner, reason = _winner(experiment, evidence, given)
    done = replace(standing, state="finished", by="operator", winner=winner, reason=reason)
    return _told(done, evidence, now)


def _ramped(experiment: Experiment, standing: Standing, given: float | str | None, now: float) -> Standing:
    if given is not None and not (isinstance(given, int | float) and 0 <= given <= 100):
        raise NotNow("a share is a percent from 0 to 100")
    if standing.state in ("rolled_back", "finished"):
        begun = first_standing(experiment, now)
        share = begun.share if given is None else float(given)
        return replace(begun, share=share, reason="begun anew by an operator")
    if given is not None:
        return replace(standing, state="running", share=float(given), by="operator", reason="set by an operator")
    if standing.state == "held":
        return replace(standing, state="running", by="operator", reason="goes on, by an operator")
    onward = next_share(experiment, standing)
    if onward is None:
        raise NotNow("its ramp is at its end" if experiment.ramp else "it has no ramp; say which share it is to have")
    return replace(standing, share=onward, by="operator", reason=f"on to {onward:g} %, by an operator")


def _winner(experiment: Experiment, evidence: Evidence, given: float | str | None) -> tuple[str, str]:
    targets = [arm.target for arm in experiment.arms]
    if given is not None:
        if given not in targets:
            raise NotNow(f"it has no arm {given!r}; its arms are {', '.join(targets)}")
        return str(given), "finished by an operator, who chose"
    found = best(experiment, evidence)
    if found.arm is None:
        raise NotNow(f"no arm has won ({found.reason}); say which one all calls are to go to: {', '.join(targets)}")
    return targets[found.arm], found.reason


def verdict(experiment: Experiment, standing: Standing, evidence: Evidence) -> Best:
    """What is to be said of it now: the winner, and why it stands as it does."""
    found = best(experiment, evidence)
    if standing.state == "finished":
        return Best([arm.target for arm in experiment.arms].index(standing.winner), standing.reason)
    if standing.reason and standing.by != "ramp":
        return Best(found.arm, f"{standing.reason}; {found.reason}")
    return found


def live(experiment: Experiment, standing: Standing) -> list[int]:
    """The arms that get calls."""
    return [place for place, share in enumerate(shares(experiment, standing)) if share > 0]
