"""The experiments of a daemon: which arm a call gets, and what the calls of each arm have shown.

Arms are given by the event loop, evidence comes from the thread that tells of calls; one lock lies between them. What
follows from the evidence is `proxy/policy/experiments`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.errors import ModelNotFound
from proxy.exchange.record import Record
from proxy.policy.experiments.assigning import arm_of, is_copied
from proxy.policy.experiments.stepping import Order, live, ordered, rewritten, step
from proxy.policy.experiments.sums import Evidence, Moments, Seen, Tally
from proxy.policy.experiments.values import Experiment, Metric, Shadow, Standing, first_standing, shares
from proxy.policy.names.access import choose
from proxy.policy.names.resolution import Names
from proxy.policy.values import Caller, Plan

Opinions = Mapping[str, Mapping[Metric, Moments]]  # by arm, as the ledger calls it


class Kept(Struct):
    """An experiment as it is remembered between starts: `identity` is what it was about then, `written` its shares. `begun`
    (UTC epoch seconds): evidence counts from there."""

    identity: str
    standing: Standing
    evidence: Evidence
    begun: float
    shadows: dict[str, Tally] = {}
    written: tuple[float, ...] = ()


class Trial:
    """One experiment under way. `lots` are the percents of its arms now."""

    def __init__(self, experiment: Experiment, kept: Kept | None, now: float) -> None:
        """Go on where it was, or begin."""
        self.experiment = experiment
        if kept is not None and kept.identity == experiment.identity:
            self.standing, self.evidence, self.begun = kept.standing, kept.evidence, kept.begun
            if kept.written and kept.written != experiment.written_shares:
                self.standing = rewritten(experiment, kept.standing, kept.evidence, now)
            self.is_new = False
        else:
            self.standing, self.begun = first_standing(experiment, now), now
            self.evidence = Evidence.begin(len(experiment.arms))
            self.is_new = True
        known = {} if self.is_new or kept is None else kept.shadows
        self.shadows = [known.get(shadow.target) or Tally() for shadow in experiment.shadows]
        self.lots = shares(experiment, self.standing)

    def stand(self, standing: Standing) -> None:
        """It stands otherwise from now on."""
        self.standing, self.lots = standing, shares(self.experiment, standing)

    def begin_anew(self, now: float) -> None:
        """What was seen before counts no more."""
        self.evidence, self.begun = Evidence.begin(len(self.experiment.arms)), now
        self.shadows = [Tally() for _ in self.shadows]

    def kept(self) -> Kept:
        """As it is to be remembered."""
        shadows = {one.target: tally for one, tally in zip(self.experiment.shadows, self.shadows, strict=True)}
        experiment = self.experiment
        return Kept(experiment.identity, self.standing, self.evidence, self.begun, shadows, experiment.written_shares)

    def arm(self, place: int) -> str:
        """What the ledger calls an arm; shadows have the places behind the others."""
        return f"{self.experiment.name}/{self.experiment.targets[place]}"

    def shadow_of(self, key: str) -> int | None:
        """The place of the shadow arm that calls under this key's name are copies for."""
        scopes = [shadow.scope for shadow in self.experiment.shadows]
        return len(self.experiment.arms) + scopes.index(key) if key in scopes else None

    def copied(self, request_id: str) -> list[Shadow]:
        """The shadows that get a copy of a call, while it goes on."""
        if self.standing.state not in ("running", "held"):
            return []
        unit = request_id.encode()
        return [one for one in self.experiment.shadows if is_copied(one.scope, unit, one.share)]

    def add(self, place: int, seen: Seen) -> None:
        """One call more of an arm, or a shadow."""
        if place < len(self.evidence.whole):
            self.evidence.add(place, seen)
        else:
            self.tally(place).add(seen)

    def tally(self, place: int) -> Tally:
        """What is known of all calls of an arm, or a shadow."""
        return (*self.evidence.whole, *self.shadows)[place]


def plan_of(trial: Trial, place: int, plan: Plan, caller: Caller, names: Names) -> Plan | None:
    """The plan of a call that has this arm: its model, behind it what the name usually does, but for a shadow. Whoever may use
    the name may use its arms, as with fallbacks. None where the arm leads nowhere: its list has lost it, or it is switched
    off."""
    try:
        arm = choose(replace(caller, models=(), also=()), names, trial.experiment.targets[place])
    except ModelNotFound:
        return None
    if place >= len(trial.experiment.arms):
        return replace(plan, targets=arm.targets[:1], label=arm.label, pool=None, stages=())
    rest = tuple(target for target in plan.targets if target not in arm.targets)
    return replace(plan, targets=arm.targets + rest, label=arm.label, pool=arm.pool)


class Step(Struct, frozen=True):
    """An experiment stands otherwise than before."""

    experiment: Experiment
    before: Standing
    after: Standing


class Trials:
    """Those of one daemon. One that has not been taken on yet gets no calls: its name goes where it always did."""

    def __init__(self) -> None:
        self._by_name: dict[str, Trial] = {}
        self._arms: dict[str, tuple[Trial, int]] = {}
        self._lock = threading.Lock()
        self._has_news = False

    @property
    def each(self) -> list[Trial]:
        """Those under way."""
        return list(self._by_name.values())

    def take_on(self, experiments: Iterable[Experiment], kept: Mapping[str, Kept], now: float) -> None:
        """From now on these; each goes on where it is in memory, else where it was kept."""
        with self._lock:
            here = {name: trial.kept() for name, trial in self._by_name.items()}
            trials = [Trial(one, here.get(one.name) or kept.get(one.name), now) for one in experiments]
            self._by_name = {trial.experiment.name: trial for trial in trials}
            places = [
                (trial, place) for trial in trials for place in range(len(trial.experiment.arms) + len(trial.shadows))
            ]
            self._arms = {trial.arm(place): (trial, place) for trial, place in places}
            self._has_news = True

    def find(self, name: str) -> Trial | None:
        """One under way."""
        return self._by_name.get(name)

    def assign(self, trial: Trial, key: str, unit: bytes) -> int:
        """The place of the arm that a call gets: `unit` tells its session, or itself, and counts under its key."""
        whole = key.encode() if trial.experiment.sticky == "key" else key.encode() + b"\0" + unit
        return arm_of(trial.experiment.name, whole, trial.lots)

    def saw(self, ended: Iterable[tuple[Record, float, bool | None]]) -> None:
        """Calls have ended, each with its monotonic time, and whether something is wrong with its reply. For the thread
        that tells of calls."""
        with self._lock:
            for record, at, is_flagged in ended:
                found = self._arms.get(record.arm)
                if found is not None and (seen := seen_in(record, at, is_flagged)) is not None:
                    trial, place = found
                    trial.add(place, seen)
                    self._has_news = True

    def look(self, opinions: Opinions, now: float) -> list[Step]:
        """See what follows for each, and have it so."""
        steps = []
        with self._lock:
            for trial in self._by_name.values():
                experiment = trial.experiment
                for place in range(len(experiment.arms) + len(trial.shadows)):
                    trial.tally(place).metrics.update(opinions.get(trial.arm(place), {}))
                trial.evidence.roll(live(experiment, trial.standing), experiment.min_calls)
                before, after = trial.standing, step(experiment, trial.standing, trial.evidence, now)
                if after is not before:
                    trial.stand(after)
                    steps.append(Step(experiment, before, after))
                    self._has_news = True
        return steps

    def order(self, trial: Trial, order: tuple[Order, float | str | None], now: float) -> Step:
        """Do what an operator says. Raises `NotNow`."""
        with self._lock:
            before = trial.standing
            after = ordered(trial.experiment, before, trial.evidence, order, now)
            if before.state in ("rolled_back", "finished"):
                trial.begin_anew(now)
                after = replace(after, calls=(0,) * len(trial.experiment.arms))
            trial.stand(after)
            self._has_news = True
            return Step(trial.experiment, before, after)

    def news(self) -> dict[str, bytes]:
        """All of them as JSON, to be kept; nothing where nothing has happened since."""
        with self._lock:
            if not self._has_news:
                return {}
            self._has_news = False
            return {name: msgspec.json.encode(trial.kept()) for name, trial in self._by_name.items()}


def read_kept(kept: Mapping[str, bytes]) -> dict[str, Kept]:
    """How experiments stood, by name, but for what this version cannot read."""
    found = {}
    for name, value in kept.items():
        with contextlib.suppress(msgspec.DecodeError):
            found[name] = msgspec.json.decode(value, type=Kept)
    return found


def seen_in(record: Record, ended: float, is_flagged: bool | None) -> Seen | None:
    """What a finished call says of its arm; None for one that never came to its model, or whose client left. Costs and
    times are of the whole call, whoever answered it in the end; a failure that cost nothing makes no arm cheaper."""
    if not record.tried or record.client_left is not None:
        return None
    first, last = record.tried[0], record.tried[-1]
    is_own = (first.provider, first.model) == (last.provider, last.model)
    has_failed = record.status >= 400 or record.error is not None
    token = record.since_start(record.first_token_at)
    return Seen(
        is_error=has_failed or not is_own,
        cost_usd=None if record.pending or (has_failed and not record.cost_pusd) else record.cost_pusd / 1e12,
        first_token_seconds=None if has_failed else token,
        total_seconds=None if has_failed else ended - record.started,
        is_flagged=is_flagged,
    )
