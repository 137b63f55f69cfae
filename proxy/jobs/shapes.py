"""What clients read: file and batch objects and the lines of their results, as OpenAI has them; jobs as we do. Pure."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.policy.money.amounts import usd_text
from proxy.stores.job_rows import Handed, Job, KeptFile

FILE_PREFIX = "file-tk-"
BATCH_PREFIX = "batch_tk_"
CALL_PREFIX = "job_tk_"

_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
# what a job that is one call is called, by the states of batches
_CALL_STATES = {"validating": "queued", "in_progress": "running", "finalizing": "running", "cancelling": "running"}


class Answered(Struct, frozen=True):
    """How one line ended: the reply it got (`body` as it came, JSON or not), or a `code` of ours and why."""

    status: int = 0
    request_id: str = ""
    body: bytes = b""
    code: str = ""
    message: str = ""
    content_type: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it belongs among the results, not among the errors."""
        return 200 <= self.status < 300


def is_batch(job: Job) -> bool:
    """Whether it is a batch, not one call."""
    return job.id.startswith(BATCH_PREFIX)


def file_object(file: KeptFile) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/files/object"""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_ms // 1000,
        "expires_at": None if file.expires_ms is None else file.expires_ms // 1000,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def batch_object(job: Job) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/batch/object"""
    errors = {"object": "list", "data": job.errors} if job.errors else None
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.endpoint,
        "errors": errors,
        "input_file_id": job.input_file,
        "completion_window": f"{job.window_seconds // 3600}h",
        "status": job.status,
        "output_file_id": job.output_file or None,
        "error_file_id": job.error_file or None,
        "created_at": job.created_ms // 1000,
        "expires_at": job.created_ms // 1000 + job.window_seconds,
        **{f"{name}_at": job.times.get(name) for name in _TIMES},
        "request_counts": {"total": job.total, **_counts(job)},
        "metadata": job.metadata,
        **({} if job.handed is None or not job.is_handed else {"tollkeeper": _handed(job, job.handed)}),
    }


def _counts(job: Job) -> dict[str, int]:
    """What is done here; of a batch that a provider does, as far as it says while it is under way."""
    done = job.completed, job.failed
    if job.handed is not None and job.is_handed and job.status in ("in_progress", "cancelling"):
        done = max(done, job.handed.counts)
    return {"completed": done[0], "failed": done[1]}


def _handed(job: Job, handed: Handed) -> dict[str, Any]:
    """Whose batch answers it, and what that has saved so far."""
    return {
        "provider": handed.provider,
        "provider_batch_id": handed.batch or None,
        "cost_usd": usd_text(job.cost_pusd),
        "saved_usd": usd_text(job.saved_pusd),
    }


def call_object(job: Job, answered: Answered | None = None) -> dict[str, Any]:
    """A job that is one call, with its result where it has one."""
    state = _CALL_STATES.get(job.status, "failed" if job.failed else job.status)
    if state == "running" and "in_progress" not in job.times:
        state = "queued"
    result = None if answered is None or answered.code else _result(answered)
    error = None if answered is None or not answered.code else {"code": answered.code, "message": answered.message}
    return {
        "id": job.id,
        "object": "job",
        "endpoint": job.endpoint,
        "status": "succeeded" if state == "completed" else state,
        "status_url": status_url(job.id),
        "created_at": job.created_ms // 1000,
        "started_at": job.times.get("in_progress"),
        "ended_at": next(
            (job.times[name] for name in ("completed", "expired", "cancelled") if name in job.times), None
        ),
        "result": result,
        "error": error,
    }


def _result(answered: Answered) -> dict[str, Any]:
    """Whatever came, in JSON: as it is, as text, or in base64."""
    told = {"status_code": answered.status, "request_id": answered.request_id, "content_type": answered.content_type}
    if answered.content_type.startswith(("application/json", "text/")) or not answered.content_type:
        return {**told, "body": _json(answered.body)}
    return {**told, "body_base64": base64.b64encode(answered.body).decode()}


def job_object(job: Job, answered: Answered | None, now: float) -> dict[str, Any]:
    """A job of either kind; of a batch under way also how far it is, and when it will end if it goes on so."""
    if not is_batch(job):
        return call_object(job, answered)
    done, began = job.completed + job.failed, job.times.get("in_progress", now)
    expected = int(now + (now - began) * (job.total - done) / done) if done and job.status == "in_progress" else None
    progress = done / job.total if job.total else 0.0
    return {**batch_object(job), "progress": round(progress, 4), "expected_end_at": expected}


def event_body(job: Job, message_id: str) -> str:
    """What a webhook is sent about a job that is over: a batch in the shape of OpenAI's events
    (https://platform.openai.com/docs/api-reference/webhook-events), a call as jobs are told, without its result."""
    if is_batch(job):
        kind, data = f"batch.{job.status}", batch_object(job)
    else:
        told = call_object(job)
        kind, data = f"job.{told['status']}", {k: v for k, v in told.items() if k not in ("result", "error")}
    event = {"id": message_id, "object": "event", "type": kind, "created_at": max(job.times.values(), default=0)}
    return msgspec.json.encode({**event, "data": data}).decode()


def status_url(job_id: str) -> str:
    """Where to ask how a job stands."""
    return f"/tollkeeper/jobs/{job_id}"


def result_line(line_id: str, custom_id: str, answered: Answered) -> bytes:
    """One line of a batch's output or error file, with its end."""
    response = error = None
    if answered.code:
        error = {"code": answered.code, "message": answered.message}
    else:
        body = {"status_code": answered.status, "request_id": answered.request_id, "body": _json(answered.body)}
        response = body
    line = {"id": line_id, "custom_id": custom_id, "response": response, "error": error}
    return msgspec.json.encode(line) + b"\n"


def _json(body: bytes) -> Any:
    """The body as it came where it is JSON on one line, else as a value or text."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
    return value if b"\n" in body or b"\r" in body else Raw(body)
