"""The ways in which what is kept of calls may fail, as rows of docs/errors.md; the others are in proxy/errors.py."""

from __future__ import annotations

from proxy.errors import CallerError, LocalError


class IdempotencyMismatch(CallerError):
    """An Idempotency-Key came with another request than before."""

    status = 409
    code = "idempotency_mismatch"


class IdempotencyResultGone(CallerError):
    """A request with this Idempotency-Key was made, and its reply is not kept."""

    status = 409
    code = "idempotency_result_gone"


class JobsUnavailable(LocalError):
    """The place of batches and their files cannot be read or written."""

    code = "jobs_unavailable"


class NotCached(CallerError):
    """Only a reply that is kept would do, and there is none (RFC 9111 5.2.1.7)."""

    status = 504
    code = "not_cached"
