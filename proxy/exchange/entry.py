"""A finished call as its log line has it, which commands read as well."""

from __future__ import annotations

from msgspec import Struct


class Tried(Struct, frozen=True, gc=False):
    """One attempt, or one provider passed over: `outcome` is a status or a word for what went wrong."""

    provider: str
    model: str
    outcome: str


class Entry(Struct, frozen=True, gc=False, omit_defaults=False):
    """One finished call: the fields of its log line. Times in seconds; never a prompt, a header value or a key."""

    request_id: str
    upstream_request_id: str | None
    at: str
    key: str | None
    endpoint: str
    model: str | None
    target: str | None
    provider: str | None
    served: str | None
    stream: bool
    status: int
    error_type: str | None
    error: str | None
    attempts: int
    tried: tuple[Tried, ...]
    adjusted: tuple[str, ...]
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: str | None
    cost_source: str | None
    first_byte_seconds: float | None
    first_token_seconds: float | None
    total_seconds: float
    overhead_seconds: float
    client_left: str | None
    shadow_rejections: tuple[str, ...]
    session: str | None
    tags: tuple[str, ...]
    tenant: str | None = None
    use_case: str | None = None
    flags: tuple[str, ...] = ()
    decision: str | None = None
    arm: str | None = None
    cost_credits: str | None = None
    cache: str | None = None
    saved_usd: str | None = None
