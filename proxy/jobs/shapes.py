"""What clients read: files, batches and the lines of their results, as OpenAI has them; jobs as we do. Pure."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.policy.money.amounts import usd_text
from proxy.stores.jobs.job_rows import Job, KeptFile

FILE_PREFIX = "file-tk-"
BATCH_PREFIX = "batch_tk_"
MESSAGES_PREFIX = "msgbatch_tk_"
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
    return job.id.startswith((BATCH_PREFIX, MESSAGES_PREFIX))


def is_of_messages(job: Job) -> bool:
    """Whether it is a batch as Anthropic has them (`messages.py`)."""
    return job.id.startswith(MESSAGES_PREFIX)


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
        **handed_object(job),
    }


def _counts(job: Job) -> dict[str, int]:
    """What is done here; of a batch that a provider does, as far as it says while it is under way."""
    done = job.completed, job.failed
    if job.handed is not None and job.is_handed and job.status in ("in_progress", "cancelling"):
        done = max(done, job.handed.counts)
    return {"completed": done[0], "failed": done[1]}


def handed_object(job: Job) -> dict[str, Any]:
    """A member more of a batch that a provider's own answers: whose that is, and what it has saved so far."""
    if job.handed is None or not job.is_handed:
        return {}
    told = {
        "provider": job.handed.provider,
        "provider_batch_id": job.handed.batch or None,
        "cost_usd": usd_text(job.cost_pusd),
        "saved_usd": usd_text(job.saved_pusd),
    }
    return {"tollkeeper": told}


def call_object(job: Job, answered: Answered | None = None) -> dict[str, Any]:
    """A job that is one call, with its result where it has one."""
    state = _CALL_STATES.get(job.status, "failed" if job.failed and job.status == "completed" else job.status)
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
        return {**told, "body": json_of(answered.body)}
    return {**told, "body_base64": base64.b64encode(answered.body).decode()}


def status_url(job_id: str) -> str:
    """Where to ask how a job stands."""
    return f"/tollkeeper/jobs/{job_id}"


def result_line(line_id: str, custom_id: str, answered: Answered) -> bytes:
    """One line of a batch's output or error file, with its end."""
    response = error = None
    if answered.code:
        error = {"code": answered.code, "message": answered.message}
    else:
        body = {"status_code": answered.status, "request_id": answered.request_id, "body": json_of(answered.body)}
        response = body
    line = {"id": line_id, "custom_id": custom_id, "response": response, "error": error}
    return msgspec.json.encode(line) + b"\n"


def json_of(body: bytes) -> Any:
    """The body as it came where it is JSON on one line, else as a value or text."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
    return value if b"\n" in body or b"\r" in body else Raw(body)
