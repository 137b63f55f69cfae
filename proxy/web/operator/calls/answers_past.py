"""The answer to what became of one past call. As in `answers.py`, durations are milliseconds since its start."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class RefusalAnswer(Struct, frozen=True):
    """Why a call was never sent upstream. `times`: it is the first of so many of its key in one second, all told so."""

    status: int
    error: str | None
    message: str | None
    total_ms: int
    times: int = 1


class ServedAnswer(Struct, frozen=True):
    """How a call was served without an attempt: `by` is a `hit` of the cache or `coalesced`; with the reply to which
    request, and what that had cost."""

    by: str
    request_id: str | None
    message: str | None
    status: int
    saved_usd: str
    total_ms: int


class AttemptAnswer(Struct, frozen=True):
    """One attempt of a past call: `model` is its target, `upstream_model` what the provider read; `shadow_rejections`: what
    it would have been refused with, and by which budget or limit in shadow."""

    attempt: int
    provider: str
    model: str
    upstream_model: str
    served: str | None
    status: int
    outcome: str
    error: str | None
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    hold_usd: str
    cost_usd: str
    source: str
    at: str
    sent_ms: int | None
    waited_ms: int | None
    connect_ms: int | None
    first_byte_ms: int | None
    first_token_ms: int | None
    total_ms: int
    upstream_id: str | None
    adjusted: str
    shadow_rejections: list[str]


Stretch = Literal["waiting", "ours", "connect", "first_byte", "first_token", "rest", "no_reply"]


class SpanAnswer(Struct, frozen=True):
    """A stretch of a call's time, from its start on. `attempt` is the one it led to or belongs to.

    `waiting` for the request's body, in line or between tries; `ours`; at the provider `connect`, until the `first_byte`
    (of a stream the first event), from there until the `first_token`, and the `rest`; or `no_reply` until it was given up.
    """

    attempt: int
    what: Stretch
    start_ms: int
    duration_ms: int


class OpinionAnswer(Struct, frozen=True):
    """What somebody thinks of a reply, from -1 to 1, and of what; `compare` is a judge's."""

    score: float
    label: str


class PastCallAnswer(Struct, frozen=True):
    """One past call: its attempts, how it was served without one, or why it was refused; `waterfall` is where its time went, as far as that was noted.
    `session` is the client's own id."""

    request_id: str
    at: str
    key: str
    endpoint: str
    asked: str
    model: str
    stream: bool
    refused: RefusalAnswer | None
    attempts: list[AttemptAnswer]
    cost_usd: str
    waterfall: list[SpanAnswer]
    session: str | None = None
    decision: str | None = None
    tags: list[str] = []
    tenant: str | None = None
    use_case: str = ""
    arm: str = ""
    feedback: list[OpinionAnswer] = []
    served: ServedAnswer | None = None
