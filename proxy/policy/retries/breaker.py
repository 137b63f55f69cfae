"""Breakers: five failures in a row open one, one probe at a time closes it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from proxy.policy.values import Target

# "failing": a 5xx; "silent": sent, and no answer or a broken one; "refused": our key; "nothing": it tells us nothing
News = Literal["answered", "failing", "silent", "unreachable", "refused", "nothing"]

MOST_TARGETS = 1000
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0
LONGEST_OPEN_SECONDS = 60.0


class Breaker:
    """Counts failures in a row. Times are monotonic seconds, given by the caller."""

    def __init__(self) -> None:
        self.failures = 0
        self._opened_at = 0.0
        self._seconds = OPEN_SECONDS
        self._probing = False

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Breaker {state}, {self.failures} failures in a row>"

    @property
    def is_open(self) -> bool:
        """Whether failures have opened it (a probe may be under way)."""
        return self.failures >= FAILURES_TO_OPEN

    def seconds_to_probe(self, now: float) -> float:
        """How long it stays open at least; 0 when it is closed or a probe is due."""
        return max(0.0, self._opened_at + self._seconds - now) if self.is_open else 0.0

    def seconds_to_go(self, now: float) -> float:
        """How long no call may go out, a probe under way counted; taking no place."""
        return self.seconds_to_probe(now) or float(self._probing)

    def seconds_closed_to(self, now: float) -> float:
        """0 when a call may go out (taking the probe's place if it is open), else seconds until the next probe."""
        if not self.is_open:
            return 0.0
        if left := self.seconds_to_probe(now):
            return left
        if self._probing:
            return 1.0
        self._probing = True
        return 0.0

    def succeeded(self) -> None:
        """An answer came that is no failure."""
        self.failures, self._probing, self._seconds = 0, False, OPEN_SECONDS

    def failed(self, now: float) -> None:
        """One more."""
        self.failures += 1
        if self._probing:
            self._seconds = min(self._seconds * 2, LONGEST_OPEN_SECONDS)
        if self.is_open:
            self._opened_at = now
        self._probing = False

    def opened(self, now: float) -> None:
        """Somebody has asked, and it is not there."""
        self.failures, self._opened_at, self._probing = max(self.failures, FAILURES_TO_OPEN), now, False

    def abandoned(self) -> None:
        """The attempt told us nothing (the client left, the call was cut): give the probe's place back."""
        self._probing = False


class Breakers:
    """One before every provider, for what concerns all of its models, and one before every target that fails.

    One dead model never closes the others: a provider's own opens only where it cannot be reached, or
    refuses our key. Names of models come from clients: so many are remembered, the longest unused go first. `are_calm`: there
    is no failure to think of before any of them.
    """

    def __init__(self, providers: Iterable[str]) -> None:
        """Providers that are not named have none."""
        self.by_provider = {name: Breaker() for name in providers}
        self._by_target: dict[Target, Breaker] = {}
        self.are_calm = True
        self._successors: Breakers | None = None

    def take_over(self, others: Breakers, providers: Iterable[str]) -> None:
        """Go on with what others know of these providers, and come to know from calls they have under way."""
        names = set(providers) & self.by_provider.keys() & others.by_provider.keys()
        self.by_provider |= {name: others.by_provider[name] for name in names}
        self._by_target |= {target: one for target, one in others._by_target.items() if target.provider in names}
        others._successors = self
        self._look_round()

    def seconds_closed_to(self, target: Target, now: float) -> float:
        """0 when a call may go out (as a probe, where one is due), else seconds until the next probe."""
        own = self.by_provider.get(target.provider)
        if own is None or self.are_calm:
            return 0.0
        if seconds := own.seconds_closed_to(now):
            return seconds
        one = self._by_target.get(target)
        if one is None or not (seconds := one.seconds_closed_to(now)):
            return 0.0
        own.abandoned()
        return seconds

    def tell(self, target: Target, news: News, now: float) -> None:
        """Count how an attempt ended."""
        own = self.by_provider.get(target.provider)
        if own is None or (news == "answered" and self.are_calm):
            return
        if news in ("unreachable", "refused"):
            own.failed(now)
        elif news in ("answered", "failing"):
            own.succeeded()
        else:
            own.abandoned()
        if news in ("failing", "silent"):
            self._remembered(target).failed(now)
        elif news == "answered":
            self._by_target.pop(target, None)
        elif target in self._by_target:
            self._by_target[target].abandoned()
        self._look_round()

    def asked(self, provider: str, now: float, *, is_there: bool) -> None:
        """Somebody has asked a provider for no call's sake."""
        own = self.by_provider[provider]
        if is_there:
            own.succeeded()
        else:
            own.opened(now)
        self._look_round()

    def _look_round(self) -> None:
        self.are_calm = not self._by_target and not any(one.failures for one in self.by_provider.values())
        if self._successors is not None:
            self._successors._look_round()

    def failing(self, now: float) -> dict[Target | str, float]:
        """What is left alone, targets and whole providers, with the seconds until a probe may go there; 0: it is due."""
        found: dict[Target | str, float] = {
            target: one.seconds_to_go(now) for target, one in self._by_target.items() if one.is_open
        }
        return found | {name: one.seconds_to_go(now) for name, one in self.by_provider.items() if one.is_open}

    def open_targets(self, provider: str) -> list[tuple[str, Breaker]]:
        """The models of a provider that are left alone."""
        return [(t.model, one) for t, one in self._by_target.items() if t.provider == provider and one.is_open]

    def _remembered(self, target: Target) -> Breaker:
        one = self._by_target.pop(target, None) or Breaker()
        self._by_target[target] = one  # the latest comes last
        if len(self._by_target) > MOST_TARGETS:
            del self._by_target[next(iter(self._by_target))]
        return one
