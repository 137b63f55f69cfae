"""Where the time of a call goes."""

from __future__ import annotations

from msgspec import Struct


class Times(Struct):
    """Moments are monotonic seconds, None where it never came to that.

    `waited_seconds` were spent waiting for the request's body, in line and between tries, `upstream_seconds` for
    providers. Of the attempt under way: `sent_at` it began; `opened_at` opening a connection ended, where one was opened.
    Of the reply that goes out: when its first event came (whole ones: when they went out), and of a stream the first that
    carries text, a tool call or reasoning.
    """

    started: float
    waited_seconds: float = 0.0
    upstream_seconds: float = 0.0
    sent_at: float = 0.0
    opened_at: float | None = None
    first_byte_at: float | None = None
    first_token_at: float | None = None

    def since_start(self, moment: float | None) -> float | None:
        """Seconds from the call's start."""
        return None if moment is None else moment - self.started

    def ours_seconds(self, until: float) -> float:
        """What is left of the time until then, which nobody else took."""
        return max(0.0, until - self.started - self.upstream_seconds - self.waited_seconds)
