"""The breaker for agents that run away: the same tool call again and again, or money without a human's word."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from proxy.wire.turns import Turns

MOST_SESSIONS = 10_000
_MINUTE_SECONDS = 60.0


class Loops(Struct, frozen=True):
    """What counts as running away; None: not that."""

    same_tool_call: int | None = None
    pusd_per_minute: int | None = None


class Repeating(Struct, frozen=True):
    """The same tool calls came so often in a row."""

    times: int


class Burning(Struct, frozen=True):
    """So much was spent within a minute, without a word of a human's."""

    spent_pusd: int
    most_pusd: int


class _Session:
    """`released_pusd` may be spent before anything is judged again."""

    __slots__ = ("human", "released_pusd", "spent", "total_pusd")

    def __init__(self) -> None:
        self.human = 0
        self.released_pusd = 0
        self.spent: deque[tuple[float, int]] = deque()
        self.total_pusd = 0  # of `spent`

    def forget(self, before: float) -> None:
        while self.spent and self.spent[0][0] < before:
            self.total_pusd -= self.spent.popleft()[1]


class Watch:
    """What sessions spend, each by its key and id; of the latest only. `now` is monotonic seconds."""

    def __init__(self, loops: Loops) -> None:
        self.loops = loops
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def judge(self, session: str, turns: Turns, now: float) -> Repeating | Burning | None:
        """What is wrong with a call of this session ("": of none) that has come so far; None: nothing."""
        known = self._session(session) if session else _Session()
        if turns.human > known.human:
            known.human = turns.human
            known.spent.clear()
            known.total_pusd = 0
        if known.released_pusd > 0:
            return None
        most = self.loops.same_tool_call
        if most is not None and turns.repeated >= most:
            return Repeating(turns.repeated)
        limit = self.loops.pusd_per_minute
        known.forget(now - _MINUTE_SECONDS)
        if limit is not None and known.total_pusd > limit:
            return Burning(known.total_pusd, limit)
        return None

    def spend(self, session: str, cost_pusd: int, now: float) -> None:
        """A call of this session has cost so much."""
        known = self._session(session)
        known.released_pusd = max(0, known.released_pusd - cost_pusd)
        if cost_pusd:
            known.spent.append((now, cost_pusd))
            known.total_pusd += cost_pusd
            known.forget(now - _MINUTE_SECONDS)

    def release(self, session: str, pusd: int) -> None:
        """Let it spend so much more, whatever it does."""
        self._session(session).released_pusd += pusd

    def _session(self, session: str) -> _Session:
        known = self._sessions.get(session)
        if known is None:
            known = self._sessions[session] = _Session()
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(session)
        return known
