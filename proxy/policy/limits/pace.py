"""How fast a target may be asked, by what it says itself: its 429s, and the headers that tell how much is left.

A target that refuses for the moment is left alone as long as it asks for, a minute at most; if it refuses calls that came one after another
as well, fewer are let out at a time: half of those under way, and one more for every round that ends well (AIMD, Chiu and
Jain 1989) until there are nearly as many as were refused; from there one more is tried once a minute. Work that nobody waits for leaves a fifth of what the target still gives to the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

Priority = Literal["interactive", "default", "batch"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
DEFAULT, BATCH = PRIORITIES.index("default"), PRIORITIES.index("batch")

CROWDED = frozenset({429, 529})
KEPT_FREE = 0.2  # of what a target gives in a period, and of the places at it
CALM_SECONDS = 60.0
_LONGEST_REST_SECONDS = 60.0
_OF = ("requests", "tokens")


class Left(Struct, frozen=True):
    """What a target still gives: `remaining` of `limit`, all of it again in `reset_seconds`, evenly."""

    of: str
    limit: int
    remaining: int
    reset_seconds: float

    def seconds_until(self, amount: float) -> float:
        """Until so much of it is left again."""
        missing = self.limit - self.remaining
        return self.reset_seconds * min(1.0, max(0.0, amount - self.remaining) / missing) if missing > 0 else 0.0


class Pace:
    """One target's. `now` is the loop's clock; `rank` a priority's place in `PRIORITIES`."""

    __slots__ = (
        "_halved_at",
        "_too_many",
        "_tries_at",
        "allowed",
        "batch_opens_at",
        "is_asked",
        "opens_at",
        "seconds",
        "under_way",
    )

    def __init__(self) -> None:
        self.under_way = 0  # of those that were let out here
        self.is_asked = False  # whether one was let out before its time
        self.allowed: float | None = None
        self.opens_at = self.batch_opens_at = 0.0
        self.seconds = 1.0  # how long a call takes, of late
        self._halved_at = -math.inf
        self._too_many = self._tries_at = 0.0  # how many at once were refused, and when one more is tried

    def may_go(self, rank: int, now: float) -> bool:
        """Whether a call may be made now."""
        if now < self.opens_at or (rank == BATCH and now < self.batch_opens_at):
            return False
        return self.allowed is None or self.under_way < self._places(rank)

    def refuse(self, now: float, retry_after_seconds: float | None) -> None:
        """It has refused a call for the moment. Those that were under way with that one say nothing new."""
        if now < self._halved_at + self.seconds:
            return
        if self.under_way > 1:
            self.allowed = max(1.0, self.under_way / 2)
            self._too_many, self._tries_at = self.under_way, now + CALM_SECONDS
        self._halved_at = now
        self.opens_at = now + min(retry_after_seconds or 0.0, _LONGEST_REST_SECONDS)

    def answer(self, sent_at: float, now: float) -> None:
        """It has answered a call: one that was sent since its last refusal ends the time it asked for."""
        took_seconds = max(0.0, now - sent_at)
        if sent_at >= self._halved_at:
            self.opens_at = min(self.opens_at, now)
        self.seconds += (took_seconds - self.seconds) / 8
        if self.allowed is None:
            return
        if self.allowed + 1 <= self._too_many:
            self.allowed += 1 / self.allowed
        elif now >= self._tries_at:
            self.allowed += 1
            self._too_many, self._tries_at = self.allowed + 1, now + CALM_SECONDS

    def tell(self, left: Left, now: float) -> None:
        """It has said what is left."""
        if left.of == "requests" and left.remaining <= 0:
            self.opens_at = max(self.opens_at, now + min(left.seconds_until(1), _LONGEST_REST_SECONDS))
        kept = KEPT_FREE * left.limit
        if left.remaining <= kept:
            until = min(left.seconds_until(kept + 1), _LONGEST_REST_SECONDS)
            self.batch_opens_at = max(self.batch_opens_at, now + until)

    def next_opening(self, now: float) -> float | None:
        """When it next changes by itself who may go."""
        return min((at for at in (self.opens_at, self.batch_opens_at) if at > now), default=None)

    def expected_seconds(self, rank: int, ahead: int, now: float) -> float:
        """How long a call will wait with so many before it."""
        opens_at = max(self.opens_at, self.batch_opens_at) if rank == BATCH else self.opens_at
        rounds = 0.0 if self.allowed is None else (ahead + self.under_way) // self._places(rank)
        return max(0.0, opens_at - now) + rounds * self.seconds

    @property
    def calm_at(self) -> float:
        """When it will have refused nothing for a while."""
        return max(self.opens_at, self.batch_opens_at) + CALM_SECONDS

    def _places(self, rank: int) -> int:
        places = int(self.allowed or 1)
        return max(1, int(places * (1 - KEPT_FREE))) if rank == BATCH else places


def left_of(fields: Mapping[str, str], now: datetime) -> list[Left]:
    """What a reply's headers say, as OpenAI and those like it spell them, or Anthropic (wire.md 4). `now` in UTC."""
    found = []
    for of in _OF:
        names = [f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset")]
        if names[1] not in fields:
            names = [f"anthropic-ratelimit-{of}-{what}" for what in ("limit", "remaining", "reset")]
        limit, remaining, reset = (fields.get(name, "") for name in names)
        seconds = _seconds(reset, now)
        if limit.isdecimal() and remaining.isdecimal() and seconds is not None:
            found.append(Left(of, int(limit), int(remaining), seconds))
    return found


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def _seconds(text: str, now: datetime) -> float | None:
    """`1s`, `6m0s`, `120ms`, a number of seconds, or an instant as RFC 3339 has it."""
    if "T" in text:
        try:
            return max(0.0, (datetime.fromisoformat(text) - now).total_seconds())
        except (ValueError, TypeError):
            return None
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _PART.findall(text)
    is_all = bool(parts) and "".join(number + unit for number, unit in parts) == text
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if is_all else None
