"""How good models have shown to be here, by kind of task: what people and judges think of their replies, and what is wrong with
these; over what published tables say."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import astuple, replace

from proxy.policy.routing.values import BITS, Candidate
from proxy.policy.values import Target

# Of quality: who is slow or short may be right all the same, and a reply that is cut off was given too little room.
FLAWS = frozenset(("empty", "refusal", "loop", "language", "json", "tools"))
TASKS = ("tools", "json_schema", "pictures", "text")
PLAIN = TASKS[-1]
OPINIONS_OF_A_TABLE = 20  # so many opinions weigh as much as what was known before
REPLIES_OF_A_TABLE = 50  # among so many replies a flaw more or less says nothing yet
_MOST_CALLS = 10_000


def task_of(needs: int) -> str:
    """The kind of task, by what a call needs: the first that fits."""
    return next((name for name in TASKS[:-1] if needs & BITS[name]), PLAIN)


class Shown(Struct, frozen=True):
    """Of one target and kind of task: how many `opinions`, their sum as 0 (bad) to 1 (good); how many replies were `watched`,
    and how many were `flawed`."""

    opinions: int = 0
    good: float = 0.0
    watched: int = 0
    flawed: int = 0


def quality_of(known: float, shown: Shown) -> float:
    """0 to 1: what was known, drawn towards what opinions say the more there are, less the part of replies that are flawed, of
    which few say little."""
    opinion = (known * OPINIONS_OF_A_TABLE + shown.good) / (OPINIONS_OF_A_TABLE + shown.opinions)
    return opinion * (1 - shown.flawed / (REPLIES_OF_A_TABLE + shown.watched))


class _Call:
    """One that has ended, or of which somebody thinks something before it is told of. `thought` is 0 to 1, by label."""

    __slots__ = ("target", "task", "thought")

    def __init__(self) -> None:
        self.target: Target | None = None
        self.task = PLAIN
        self.thought: dict[str, float] = {}


class Evidence:
    """All of a daemon, in memory; of the latest calls it is known where they went."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self.shown: dict[tuple[Target, str], Shown] = {}

    def ended(self, request_id: str, target: Target, task: str, flags: Iterable[str] | None) -> None:
        """A call was answered; `flags` None: nobody looked at its reply."""
        call = self._call(request_id)
        call.target, call.task = target, task
        for score in call.thought.values():
            self._count(target, task, Shown(1, score))
        if flags is not None:
            self._count(target, task, Shown(watched=1, flawed=int(not FLAWS.isdisjoint(flags))))

    def thought(self, request_id: str, label: str, score: float) -> None:
        """What somebody thinks of a reply, from -1 to 1; of the same label the last one counts."""
        call, good = self._call(request_id), (score + 1) / 2
        before = call.thought.get(label)
        call.thought[label] = good
        if call.target is not None:
            self._count(call.target, call.task, Shown(int(before is None), good - (before or 0.0)))

    def seen(self, candidate: Candidate, task: str) -> Candidate:
        """A candidate as good as it has shown to be."""
        shown = self.shown.get((candidate.target, task))
        if shown is None:
            return candidate
        source = candidate.quality_source or "a guess: no table has it"
        here = f"; of {task.replace('_', ' ')} here {shown.opinions} opinions, {shown.flawed} of {shown.watched} replies flawed"
        return replace(candidate, quality=quality_of(candidate.quality, shown), quality_source=source + here)

    def _call(self, request_id: str) -> _Call:
        found = self._calls.get(request_id)
        if found is None:
            found = self._calls[request_id] = _Call()
            if len(self._calls) > _MOST_CALLS:
                self._calls.popitem(last=False)
        return found

    def _count(self, target: Target, task: str, more: Shown) -> None:
        was = self.shown.get((target, task), Shown())
        self.shown[target, task] = Shown(*(a + b for a, b in zip(astuple(was), astuple(more), strict=True)))
