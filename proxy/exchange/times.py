"""Where the time of a call goes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from proxy.wire.structs import often_set

THREE_DIGITS = tuple(f"{number:03d}" for number in range(1000))  # takes less to look up than to put together


class Queued(Struct, frozen=True):
    """A place in line, counted from 1, and the seconds that were spent in it, or would be."""

    place: int
    seconds: float

    def headers(self) -> list[tuple[str, str]]:
        """As replies have it."""
        return [("x-tollkeeper-queue-place", str(self.place)), ("x-tollkeeper-queue-seconds", f"{self.seconds:.3f}")]


@often_set
class Times(Struct, gc=False):
    """Moments are monotonic seconds, None where it never came to that.

    `waited_seconds` were spent waiting for the request's body, in line and between tries, `upstream_seconds` for
    providers. Of the attempt under way: `sent_at` it began; `opened_at` opening a connection ended, where one was opened.
    Of the reply that goes out: when its first event came (whole ones: when they went out), and of a stream the first that
    carries text, a tool call or reasoning. `queued`: of a call that stood in line.
    """

    started: float
    waited_seconds: float = 0.0
    upstream_seconds: float = 0.0
    sent_at: float = 0.0
    opened_at: float | None = None
    first_byte_at: float | None = None
    first_token_at: float | None = None
    queued: Queued | None = None

    def since_start(self, moment: float | None) -> float | None:
        """Seconds from the call's start, to the microsecond."""
        return None if moment is None else micro(moment - self.started)

    def server_timing(self, now: float, began: float | None, *, is_whole: bool) -> str:
        """What a `Server-Timing` header says as its head goes out, in milliseconds (W3C Server Timing 3).

        `began`: when the reply's first byte came, None where no provider has answered. The total is known where the reply
        `is_whole`.
        """
        wait = self.waited_seconds * 1000
        ours = max(0.0, (now - self.started - self.upstream_seconds) * 1000 - wait)
        said = f'wait;dur={wait:.3f};desc="request body, line, retries", ours;dur={ours:.3f};desc="Tollkeeper"'
        if began is not None:
            said += f', upstream;dur={(began - self.sent_at) * 1000:.3f};desc="provider, to its first byte"'
        return f"{said}, total;dur={(now - self.started) * 1000:.3f}" if is_whole else said


def micro(seconds: float) -> float:
    """To the microsecond, which `round` takes ten times as long for."""
    return int(seconds * 1_000_000 + 0.5) / 1_000_000


@lru_cache(maxsize=64)
def instant(milliseconds: int) -> str:
    """A time of day as the log has it."""
    return f"{_second(milliseconds // 1000)}.{THREE_DIGITS[milliseconds % 1000]}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
