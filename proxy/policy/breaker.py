"""A breaker per provider: five failures in a row open it, one probe at a time closes it again."""

from __future__ import annotations

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 10.0
LONGEST_OPEN_SECONDS = 60.0


class Breaker:
    """Counts an upstream's failures. Times are monotonic seconds, given by the caller."""

    def __init__(self) -> None:
        self._failures = 0
        self._opened_at = 0.0
        self._seconds = OPEN_SECONDS
        self._probing = False

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Breaker {state}, {self._failures} failures in a row>"

    @property
    def is_open(self) -> bool:
        """Whether failures have opened it (a probe may be under way)."""
        return self._failures >= FAILURES_TO_OPEN

    @property
    def failures(self) -> int:
        """How many failures there were in a row."""
        return self._failures

    def seconds_to_probe(self, now: float) -> float:
        """How long it stays open at least; 0 when it is closed or a probe is due."""
        return max(0.0, self._opened_at + self._seconds - now) if self.is_open else 0.0

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
        """An answer came that is not the provider's failure."""
        self._failures, self._probing, self._seconds = 0, False, OPEN_SECONDS

    def failed(self, now: float) -> None:
        """No answer, or a 5xx."""
        self._failures += 1
        if self._probing:
            self._seconds = min(self._seconds * 2, LONGEST_OPEN_SECONDS)
        if self.is_open:
            self._opened_at = now
        self._probing = False

    def abandoned(self) -> None:
        """The attempt told us nothing (the client left, the call was cut): give the probe's place back."""
        self._probing = False
