"""What is told of jobs of every kind: where they are asked for, and when they are over. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.jobs.messages import message_batch
from proxy.jobs.shapes import Answered, batch_object, call_object, is_batch, is_of_messages
from proxy.stores.jobs.job_rows import Job


def job_object(job: Job, answered: Answered | None, now: float) -> dict[str, Any]:
    """A job of any kind; of a batch under way also how far it is, and when it will end if it goes on so."""
    if not is_batch(job):
        return call_object(job, answered)
    done, began = job.completed + job.failed, job.times.get("in_progress", now)
    expected = int(now + (now - began) * (job.total - done) / done) if done and job.status == "in_progress" else None
    progress = done / job.total if job.total else 0.0
    return {**_batch(job, now), "progress": round(progress, 4), "expected_end_at": expected}


def event_body(job: Job, message_id: str) -> str:
    """What a webhook is sent about a job that is over: a batch in the shape of OpenAI's events
    (https://platform.openai.com/docs/api-reference/webhook-events), Anthropic's among them; a call as jobs are told, without
    its result."""
    ended = max(job.times.values(), default=0)
    if is_batch(job):
        kind, data = f"batch.{job.status}", _batch(job, ended)
    else:
        told = call_object(job)
        kind, data = f"job.{told['status']}", {k: v for k, v in told.items() if k not in ("result", "error")}
    event = {"id": message_id, "object": "event", "type": kind, "created_at": ended}
    return msgspec.json.encode({**event, "data": data}).decode()


def _batch(job: Job, now: float) -> dict[str, Any]:
    return message_batch(job, "", now) if is_of_messages(job) else batch_object(job)
