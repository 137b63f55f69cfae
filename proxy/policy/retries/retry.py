"""Whether to try again, where, and after how long: one pure verdict per attempt (trust.md 3.5).

Same target again: 408, 429, 5xx that pass, no connection. Next target as well: what another
provider may answer differently (401, 402, 403, 404, spent quota, a hint to wait too long).
Neither: the caller's own mistakes, and calls that went out whole and got no answer, since those
may have been billed. One is sent once more: whose connection, kept from before, was closed as it went out.
"""

from __future__ import annotations

import math
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec
from msgspec import Struct

from proxy.policy.values import RetryRules
from proxy.wire.error_objects import Missing

SAME_TARGET = frozenset({408, 429, 500, 502, 503, 504, 524, 529})
NEXT_TARGET = SAME_TARGET | {401, 402, 403, 404}

# Somebody stopped waiting for an answer.
TIMEOUTS = frozenset({408, 504, 524})
# what a use case may name beside statuses
FALLBACK_WORDS = ("unreachable", "timeout", "budget")
_SPENT = frozenset({"budget_exceeded", "budget_in_flight", "session_budget_exceeded"})
_LONGEST_HINT_SECONDS = 1e9
_NOT_HELD = _SPENT | {"model_not_priced", "model_not_found"}

Trouble = Literal["none", "unhealthy", "unreachable", "stale_connection", "no_answer", "no_event"]


class Seen(Struct, frozen=True):
    """What judging needs of one attempt.

    `status` is the HTTP status, or what an error inside a 200 stands for (None: no answer).
    `trouble`: "unhealthy" the breaker is open; "unreachable" nothing was sent; "stale_connection" a kept connection was
    closed as the request went out; "no_answer" sent, and not even headers came; "no_event" a stream that began and broke before its first event. `is_near`: it was to
    run on this machine. `missing`: what an error says is not there.
    `retry_after` in seconds. `quota`: a 429 that means spent money. `affordable`: the output
    tokens a 402 says the account can still pay. `is_of_account`: a 429 for whatever is asked there. `may_be_made`: somebody on the way stopped waiting for what is made, and
    billed, all the same.
    """

    status: int | None = None
    trouble: Trouble = "none"
    retry_after: float | None = None
    quota: bool = False
    affordable: int | None = None
    is_near: bool = False
    missing: Missing = "unknown"
    may_be_made: bool = False
    is_of_account: bool = False


class Attempt(Struct, frozen=True):
    """Which target, the how-manieth try at it, upstream calls so far, the maximum it was lowered to; whether it is sent
    once more for a stale connection; whether it is said in another protocol, as the provider does not speak the client's."""

    target: int = 0
    tries: int = 1
    calls: int = 1
    lowered_to: int | None = None
    resent: bool = False
    translated: bool = False


class Stop(Struct, frozen=True):
    """Pass on what there is."""


class Again(Struct, frozen=True):
    """Make `attempt` after `wait` seconds."""

    attempt: Attempt
    wait: float = 0.0


class Rounds(Struct, frozen=True):
    """What bounds this call: its number of targets, the rules, the seconds its client will still wait, and what makes the
    next target answer, None being what usually does."""

    targets: int
    rules: RetryRules
    seconds_left: float | None = None
    elsewhere: frozenset[str] | None = None


def judge(seen: Seen, attempt: Attempt, rounds: Rounds, jitter: float) -> Stop | Again:
    """Decide what follows an attempt. `jitter` multiplies the back-off (1.0 = none)."""
    if seen.status is not None and seen.status < 400:
        return Stop()
    if seen.may_be_made:
        return Stop()
    if seen.trouble == "stale_connection" and not attempt.resent:
        return Again(msgspec.structs.replace(attempt, calls=attempt.calls + 1, resent=True))
    if attempt.calls >= rounds.rules.most_calls or (rounds.seconds_left is not None and rounds.seconds_left <= 0):
        return Stop()
    if seen.affordable is not None and attempt.lowered_to is None:
        return Again(
            Attempt(attempt.target, attempt.tries, attempt.calls + 1, seen.affordable, translated=attempt.translated)
        )
    wait = _wait(seen, attempt, rounds.rules, jitter)
    if _same_again(seen) and attempt.tries < _most_tries(seen, attempt, rounds) and wait <= rounds.rules.longest_wait:
        if rounds.seconds_left is None or wait < rounds.seconds_left:
            again = msgspec.structs.replace(attempt, tries=attempt.tries + 1, calls=attempt.calls + 1, resent=False)
            return Again(again, wait)
    if attempt.target + 1 < rounds.targets and _elsewhere(seen, rounds.elsewhere):
        # another provider owes us no waiting; an open breaker cost no call
        calls = attempt.calls + (seen.trouble != "unhealthy")
        return Again(Attempt(attempt.target + 1, 1, calls))
    return Stop()


def _most_tries(seen: Seen, attempt: Attempt, rounds: Rounds) -> int:
    """Who has a fallback does not wait for a server that is not there: at most one more try, none on this machine."""
    if seen.trouble == "unreachable" and attempt.target + 1 < rounds.targets:
        return 1 if seen.is_near else min(2, rounds.rules.attempts)
    return rounds.rules.attempts


def _same_again(seen: Seen) -> bool:
    if seen.status is not None:
        return seen.status in SAME_TARGET and not seen.quota
    return seen.trouble in ("unreachable", "no_event")


def past_budget(code: str, attempt: Attempt, rounds: Rounds, *, has_failed: bool = False) -> Attempt | None:
    """The next target's attempt, where this one was refused with `code` before it was sent and that is to be so.

    `has_failed`: a target before it did. One that stands in for it is passed over, whatever the entry names.
    """
    is_wanted = rounds.elsewhere is not None and "budget" in rounds.elsewhere and code in _SPENT
    is_passed_over = has_failed and attempt.target > 0 and attempt.tries == 1 and code in _NOT_HELD
    goes_on = (is_wanted or is_passed_over) and attempt.target + 1 < rounds.targets
    return Attempt(attempt.target + 1, 1, attempt.calls) if goes_on else None


def cause_of(seen: Seen) -> str:
    """Why the next target answers, in the words of a use case."""
    if seen.status is not None:
        return str(seen.status)
    return "unreachable" if seen.trouble in ("unhealthy", "unreachable", "stale_connection") else "timeout"


def _elsewhere(seen: Seen, wanted: frozenset[str] | None) -> bool:
    if wanted is not None:
        return cause_of(seen) in wanted or ("timeout" in wanted and seen.status in TIMEOUTS)
    if seen.status is not None:
        if seen.status == 404:  # what is stored at one provider is at no other
            return seen.missing != "object"
        return seen.status in NEXT_TARGET or seen.missing == "model"
    return seen.trouble in ("unhealthy", "unreachable", "no_event")


def _wait(seen: Seen, attempt: Attempt, rules: RetryRules, jitter: float) -> float:
    if seen.retry_after is not None:
        return seen.retry_after
    doubled: float = rules.first_wait * 2.0 ** (attempt.tries - 1)
    return min(doubled * jitter, rules.longest_wait)


def retry_after_seconds(milliseconds: str | None, seconds: str | None, now: datetime) -> float | None:
    """Read `retry-after-ms`, else `Retry-After` (seconds or an HTTP date); None where neither makes sense."""
    for text, scale in ((milliseconds, 0.001), (seconds, 1.0)):
        if text is None:
            continue
        try:
            value = float(text) * scale
        except ValueError:
            continue
        if 0 <= value < math.inf:
            return min(value, _LONGEST_HINT_SECONDS)
    if seconds is None:
        return None
    try:
        date = parsedate_to_datetime(seconds)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        return None
    return min(max(0.0, (date - now).total_seconds()), _LONGEST_HINT_SECONDS)
