"""What finished calls say of the targets they tried."""

from __future__ import annotations

from proxy.exchange.record import Record
from proxy.policy.routing.observing import Observed
from proxy.policy.values import Target

_REFUSING = frozenset(("401", "402", "403", "404", "408", "429"))


def observe(observed: Observed, record: Record, ended: float, flags: tuple[str, ...]) -> None:
    """What a finished call says of the targets it tried, and its `flags` of the one that answered. Times are monotonic
    seconds."""
    for tried in record.tried[:-1]:
        if _is_bad(tried.outcome):
            observed.track(Target(tried.provider, tried.model), stream=record.stream).failed(ended)
    if record.target is None or not record.tried or record.tried[-1].outcome == "unhealthy":
        return
    usage = record.usage
    track = observed.track(record.target, stream=record.stream)
    if _is_bad(record.tried[-1].outcome):
        track.failed(ended)
        return
    if record.client_left is not None or record.status >= 400:
        return
    if record.stream:
        first = None if record.first_token_at is None else max(0.0, record.first_token_at - record.sent_at)
        seconds = ended - record.sent_at - (first or 0.0)
        rate = usage.output_tokens / seconds if usage is not None and usage.output_tokens > 1 and seconds > 0 else None
        track.succeeded(first, rate, ended)
    else:
        came = ended if record.first_byte_at is None else record.first_byte_at
        tokens = None if usage is None else usage.output_tokens
        track.succeeded_whole(tokens, max(0.0, came - record.sent_at), ended)
    looked_at = None if record.listener is None else flags
    observed.evidence.ended(record.request_id, record.target, record.task, looked_at)


def _is_bad(outcome: str) -> bool:
    """Whether another target might have answered: all failures but those that are the caller's own."""
    return outcome != "unhealthy" and (not outcome.isdigit() or int(outcome) >= 500 or outcome in _REFUSING)
