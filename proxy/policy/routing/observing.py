"""How targets do, as it is measured here: decaying means, the newest first tokens, and who recovers. Times come in."""

from __future__ import annotations

from collections import deque

from proxy.policy.routing.evidence import Evidence
from proxy.policy.routing.values import Speed
from proxy.policy.values import Target

HALF_LIFE_SECONDS = 300.0
FORGIVEN_SECONDS = 60.0  # half of a failure, where nobody asks: else who has failed would never be asked again
LEAST_CALLS = 3
_NEWEST = 12.0  # a mean rests on about so many calls at most: what has changed is seen within them
_DOUBTED = 2.0
_RING = 64
_STREAK = 3
_FIRST_SHARE = 0.05
MOST_TARGETS = 2000

Name = tuple[Target, bool]


class Mean:
    """A mean whose past fades, by time and by newer values."""

    __slots__ = ("_at", "_weight", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._weight = 0.0
        self._at = 0.0

    def add(self, value: float, now: float) -> None:
        """One more."""
        faded = min(self._weight * 0.5 ** ((now - self._at) / HALF_LIFE_SECONDS), _NEWEST)
        self.value += (value - self.value) / (faded + 1)
        self._weight, self._at = faded + 1, now

    def doubt(self) -> None:
        """What comes next counts for more than what was."""
        self._weight = min(self._weight, _DOUBTED)

    def forgiven(self, now: float) -> float:
        """The value, less the longer ago the last one is."""
        return float(self.value * 0.5 ** (max(0.0, now - self._at) / FORGIVEN_SECONDS))


class Track:
    """One target, streamed or not."""

    __slots__ = ("calls", "errors", "first", "firsts", "rate", "share", "streak")

    def __init__(self) -> None:
        self.calls = 0
        self.first, self.rate, self.errors = Mean(), Mean(), Mean()
        self.firsts: deque[float] = deque(maxlen=_RING)
        self.streak = 0
        self.share = 1.0

    def succeeded(self, first_token_seconds: float | None, tokens_per_second: float | None, now: float) -> None:
        """An answer came. Who fails no more is trusted with twice as much each time."""
        self.calls += 1
        if self.streak:
            self.errors.doubt()
        self.errors.add(0.0, now)
        self.share = _FIRST_SHARE if self.streak >= _STREAK else min(1.0, self.share * 2)
        self.streak = 0
        if first_token_seconds is not None:
            self.first.add(first_token_seconds, now)
            self.firsts.append(first_token_seconds)
        if tokens_per_second is not None:
            self.rate.add(tokens_per_second, now)

    def failed(self, now: float) -> None:
        """None came."""
        self.errors.add(1.0, now)
        self.streak += 1

    @property
    def needs_care(self) -> float:
        """The part of its traffic it should get: little after failures in a row, until it answers again."""
        return _FIRST_SHARE if self.streak >= _STREAK else self.share

    def speed(self, now: float) -> Speed:
        """What is known by now; what too few calls say nothing of, or none of them, is guessed."""
        errors = self.errors.forgiven(now)
        if self.calls < LEAST_CALLS or not (self.first.value or self.rate.value):
            return Speed(_GUESS.first_token_seconds, _GUESS.tokens_per_second, errors, self.calls, None, _GUESS.basis)
        return Speed(
            self.first.value or _GUESS.first_token_seconds,
            self.rate.value or _GUESS.tokens_per_second,
            errors,
            self.calls,
            sorted(self.firsts)[int(len(self.firsts) * 0.95)] if self.firsts else None,
            "measured",
        )


class Observed:
    """All of them, the longest unused forgotten first. `version` grows with what is learnt."""

    def __init__(self) -> None:
        self._tracks: dict[Name, Track] = {}
        self.version = 0
        self.evidence = Evidence()
        self.is_wanted = False  # as long as nobody chooses, nobody has to look

    def track(self, target: Target, *, stream: bool) -> Track:
        """The one of a target, made where there is none."""
        found = self._tracks.pop((target, stream), None) or Track()
        self._tracks[target, stream] = found
        if len(self._tracks) > MOST_TARGETS:
            del self._tracks[next(iter(self._tracks))]
        self.version += 1
        return found

    def thought(self, request_id: str, label: str, score: float) -> None:
        """What somebody thinks of a reply, from -1 to 1."""
        if self.is_wanted:
            self.evidence.thought(request_id, label, score)
            self.version += 1

    def speed(self, target: Target, now: float, *, stream: bool) -> Speed:
        """What is known of a target: measured here, else guessed."""
        track = self._tracks.get((target, stream))
        return _GUESS if track is None else track.speed(now)

    def all_speeds(self, now: float) -> dict[Name, Speed]:
        """What is known by now of all that was measured."""
        return {name: self.speed(name[0], now, stream=name[1]) for name in self._tracks}

    def share(self, target: Target, *, stream: bool) -> float:
        """Below 1 for one that recovers."""
        track = self._tracks.get((target, stream))
        return 1.0 if track is None else track.needs_care


_GUESS = Speed()
