"""Batches as Anthropic has them (https://docs.claude.com/en/api/creating-message-batches): what comes in, what clients read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from proxy.errors import InvalidValue
from proxy.jobs.shapes import Answered, handed_object, json_of
from proxy.stores.jobs.job_rows import Job
from proxy.wire.reader import anthropic_type

MOST_REQUESTS = 100_000
_PATH = "/v1/messages/batches"
_OVER = ("completed", "failed", "expired", "cancelled")
_NEVER = {"batch_cancelled": "canceled", "batch_expired": "expired"}
_STATUS_OF_CODE = {"invalid_api_key": 401}
KINDS = ("succeeded", "errored", "canceled", "expired")


class _Request(Struct, forbid_unknown_fields=True):
    custom_id: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: Raw


class _Requests(Struct, forbid_unknown_fields=True):
    requests: Annotated[list[_Request], Meta(min_length=1, max_length=MOST_REQUESTS)]


class _Params(Struct):
    stream: bool | None = None


def read_requests(body: bytes, url: str) -> list[bytes]:
    """The requests of a new batch, as lines of a batch for `url` (`lines.py`). Raises `InvalidValue`."""
    try:
        asked = msgspec.json.decode(body, type=_Requests).requests
    except msgspec.ValidationError as error:
        raise InvalidValue(f"This is no batch: {error}.", param="requests") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidValue("The body is no JSON object.") from None
    seen: set[str] = set()
    for number, one in enumerate(asked):
        where = f"requests.{number}"
        if one.custom_id in seen:
            raise InvalidValue(f"{where}.custom_id: {one.custom_id!r} stands twice.", param=f"{where}.custom_id")
        seen.add(one.custom_id)
        try:
            is_streamed = msgspec.json.decode(one.params, type=_Params).stream
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidValue(f"{where}.params: {error}.", param=f"{where}.params") from None
        if is_streamed:
            told = f"{where}.params.stream: what a batch answers comes whole; leave stream out."
            raise InvalidValue(told, param=f"{where}.params.stream")
    return [_line(one, url) for one in asked]


def _line(one: _Request, url: str) -> bytes:
    flat = bytes(one.params).replace(b"\n", b" ").replace(b"\r", b" ")  # within JSON's texts neither stands as it is
    head = msgspec.json.encode({"custom_id": one.custom_id, "method": "POST", "url": url})
    return b'%b,"body":%b}\n' % (head[:-1], flat)


def message_batch(job: Job, root: str, now: float) -> dict[str, Any]:
    """https://docs.claude.com/en/api/retrieving-message-batches; what ended how is told once all of it is over. `root`: scheme and
    host for whoever reads it; `now`: UTC epoch seconds."""
    created, cancelled, archived = job.created_ms / 1000, job.times.get("cancelling"), None
    ended = next((max(created, job.times[name]) for name in _OVER if name in job.times), None)
    counts = dict.fromkeys(("processing", *KINDS), 0)
    if ended is None:
        counts["processing"] = job.total
    elif job.status == "failed":
        counts["errored"] = job.total
    else:
        counts |= job.metadata or {}
        archived = ended + job.keep_seconds if ended + job.keep_seconds <= now else None
    has_results = job.output_file != "" and archived is None
    return {
        "id": job.id,
        "type": "message_batch",
        "processing_status": "ended" if ended is not None else "in_progress" if cancelled is None else "canceling",
        "request_counts": counts,
        "created_at": _instant(created),
        "expires_at": _instant(created + job.window_seconds),
        "ended_at": _instant(ended),
        "cancel_initiated_at": _instant(cancelled),
        "archived_at": _instant(archived),
        "results_url": f"{root}{_PATH}/{job.id}/results" if has_results else None,
        **({"tollkeeper": {"errors": job.errors}} if job.errors else handed_object(job)),
    }


def result_of(answered: Answered) -> dict[str, Any]:
    """How one request ended, as results have it."""
    if answered.code in _NEVER:
        return {"type": _NEVER[answered.code]}
    body = json_of(answered.body)
    if answered.is_good:
        return {"type": "succeeded", "message": body}
    if b'"error"' not in answered.body or isinstance(body, str):
        status = answered.status or _STATUS_OF_CODE.get(answered.code, 500)
        detail = {
            "type": anthropic_type(status),
            "message": answered.message or str(body),
            "code": answered.code or None,
        }
        body = {"type": "error", "error": detail, "request_id": answered.request_id or None}
    return {"type": "errored", "error": body}


def told_lines(results: Iterator[tuple[str, Answered]], counts: dict[str, int]) -> Iterator[bytes]:
    """The lines of the results, from each request's custom_id and end; `counts` are counted up by their types."""
    for custom_id, answered in results:
        result = result_of(answered)
        counts[result["type"]] = counts.get(result["type"], 0) + 1
        yield msgspec.json.encode({"custom_id": custom_id, "result": result}) + b"\n"


def _instant(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
