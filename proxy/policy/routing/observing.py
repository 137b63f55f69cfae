"""How targets do, as it is measured here: decaying means, the newest first tokens, and who recovers. Times come in."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping

from proxy.policy.routing.evidence import Evidence
from proxy.policy.routing.values import UNKNOWN, Speed
from proxy.policy.values import Target

HALF_LIFE_SECONDS = 300.0
FORGIVEN_SECONDS = 60.0  # half of a failure, where nobody asks: else who has failed would never be asked again
PUBLISHED_SECONDS = 3600.0  # what was published of half an hour says nothing of the next but one
LEAST_CALLS = 3
_NEWEST = 12.0  # a mean rests on about so many calls at most: what has changed is seen within them
_DOUBTED = 2.0
_RING = 64
_STREAK = 3
_FIRST_SHARE = 0.05
_GUESSED_SPREAD = 100.0**2  # a guessed pace counts as a reply whose length differs by a hundred tokens
_FASTEST = 2000.0  # tokens a second
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
        faded = _faded(self._weight, now - self._at)
        self.value += (value - self.value) / (faded + 1)
        self._weight, self._at = faded + 1, now

    def doubt(self) -> None:
        """What comes next counts for more than what was."""
        self._weight = min(self._weight, _DOUBTED)

    def forgiven(self, now: float) -> float:
        """The value, less the longer ago the last one is."""
        return float(self.value * 0.5 ** (max(0.0, now - self._at) / FORGIVEN_SECONDS))


class Wholes:
    """Replies that came in one piece: how long each took, by its tokens. No first token shows; the line of least squares
    through them says when it came, and at what pace the others did. Their past fades as that of a mean."""

    __slots__ = ("_at", "_spread", "_together", "_weight", "seconds", "tokens")

    def __init__(self) -> None:
        self.tokens = self.seconds = 0.0  # means
        self._spread = self._together = 0.0  # sums of squares about them, and of products
        self._weight = self._at = 0.0

    def __bool__(self) -> bool:
        return self._weight > 0

    def add(self, tokens: float, seconds: float, now: float) -> None:
        """One more."""
        faded, before = _faded(self._weight, now - self._at), self._weight or 1.0
        more, longer, weight = tokens - self.tokens, seconds - self.seconds, faded + 1
        self._spread = self._spread * faded / before + more * more * faded / weight
        self._together = self._together * faded / before + more * longer * faded / weight
        self.tokens += more / weight
        self.seconds += longer / weight
        self._weight, self._at = weight, now

    def line(self, guessed_pace: float) -> tuple[float, float]:
        """Seconds to the first token, and tokens a second from there. Where all are about as long, the guess says the pace."""
        seconds_a_token = (self._together + _GUESSED_SPREAD / guessed_pace) / (self._spread + _GUESSED_SPREAD)
        seconds_a_token = max(seconds_a_token, 1 / _FASTEST)
        first = self.seconds - seconds_a_token * self.tokens
        if first < 0:
            return 0.0, min(_FASTEST, self.tokens / self.seconds) if self.seconds > 0 else _FASTEST
        return first, 1 / seconds_a_token


class Track:
    """One target, streamed or not."""

    __slots__ = ("_newest", "calls", "errors", "first", "rate", "share", "streak", "wholes")

    def __init__(self) -> None:
        self.calls = 0
        self.first, self.rate, self.errors = Mean(), Mean(), Mean()
        self.wholes = Wholes()
        self._newest: deque[tuple[float, int]] = deque(maxlen=_RING)  # seconds, and what tokens that includes
        self.streak = 0
        self.share = 1.0

    def succeeded(self, first_token_seconds: float | None, tokens_per_second: float | None, now: float) -> None:
        """A stream ended well."""
        self._answered(now)
        if first_token_seconds is not None:
            self.first.add(first_token_seconds, now)
            self._newest.append((first_token_seconds, 0))
        if tokens_per_second is not None:
            self.rate.add(tokens_per_second, now)

    def succeeded_whole(self, tokens: int | None, seconds: float, now: float) -> None:
        """A reply came in one piece, of so many tokens (None: nobody says)."""
        self._answered(now)
        if tokens is not None:
            self.wholes.add(tokens, seconds, now)
            self._newest.append((seconds, tokens))

    def _answered(self, now: float) -> None:
        """Who fails no more is trusted with twice as much each time."""
        self.calls += 1
        if self.streak:
            self.errors.doubt()
        self.errors.add(0.0, now)
        self.share = _FIRST_SHARE if self.streak >= _STREAK else min(1.0, self.share * 2)
        self.streak = 0

    def failed(self, now: float) -> None:
        """No answer came."""
        self.errors.add(1.0, now)
        self.streak += 1

    @property
    def needs_care(self) -> float:
        """The part of its traffic it should get: little after failures in a row, until it answers again."""
        return _FIRST_SHARE if self.streak >= _STREAK else self.share

    def speed(self, else_: Speed, now: float) -> Speed:
        """What is known by now; what too few calls say nothing of, or none of them, is as `else_` has it."""
        errors, first, rate = self.errors.forgiven(now), self.first.value, self.rate.value
        if self.wholes:
            first, rate = self.wholes.line(else_.tokens_per_second)
        if self.calls < LEAST_CALLS or not (first or rate):
            return Speed(else_.first_token_seconds, else_.tokens_per_second, errors, self.calls, None, else_.basis)
        if not self.wholes:
            first, rate = first or else_.first_token_seconds, rate or else_.tokens_per_second
        newest = sorted(max(0.0, seconds - tokens / rate) for seconds, tokens in list(self._newest))
        p95 = newest[int(len(newest) * 0.95)] if newest else None
        return Speed(first, rate, errors, self.calls, p95, "measured")


class Observed:
    """All of them, the longest unused forgotten first. `version` grows with what is learnt; `published` has what providers
    say of themselves (None: nothing), and when they said it. One thread writes, others read at the same time."""

    def __init__(self) -> None:
        self._tracks: OrderedDict[Name, Track] = OrderedDict()
        self.published: dict[Target, tuple[Speed | None, float]] = {}
        self.version = 0
        self.evidence = Evidence()
        self.is_wanted = False  # as long as nobody chooses, nobody has to look

    def track(self, target: Target, *, stream: bool) -> Track:
        """The one of a target, made where there is none."""
        found = self._tracks.get((target, stream))
        if found is None:
            found = self._tracks[target, stream] = Track()
        self._tracks.move_to_end((target, stream))
        if len(self._tracks) > MOST_TARGETS:
            self._tracks.popitem(last=False)
        self.version += 1
        return found

    def thought(self, request_id: str, label: str, score: float) -> None:
        """What somebody thinks of a reply, from -1 to 1."""
        if self.is_wanted:
            self.evidence.thought(request_id, label, score)
            self.version += 1

    def publish(self, said: Mapping[Target, tuple[Speed | None, float]]) -> None:
        """Take on what providers say of themselves; it stands beside what they have said of others."""
        self.published = {**self.published, **said}
        self.version += 1

    def speed(self, target: Target, now: float, *, stream: bool) -> Speed:
        """What is known of a target: measured here, else published lately, else guessed."""
        said, at = self.published.get(target, (None, 0.0))
        else_ = UNKNOWN if said is None or now - at > PUBLISHED_SECONDS else said
        track = self._tracks.get((target, stream))
        return else_ if track is None else track.speed(else_, now)

    def all_speeds(self, now: float) -> dict[Name, Speed]:
        """What is known by now of all that was measured or published."""
        names = {*list(self._tracks), *((target, stream) for target in self.published for stream in (False, True))}
        return {name: self.speed(name[0], now, stream=name[1]) for name in names}

    def share(self, target: Target, *, stream: bool) -> float:
        """Below 1 for one that recovers."""
        track = self._tracks.get((target, stream))
        return 1.0 if track is None else track.needs_care


def _faded(weight: float, seconds: float) -> float:
    return float(min(weight * 0.5 ** (seconds / HALF_LIFE_SECONDS), _NEWEST))
