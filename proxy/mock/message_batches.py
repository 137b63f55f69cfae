"""Anthropic's batches: requests inline, answered after a while at half the price (wire.md 3.1). What Anthropic refuses is refused."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from proxy.errors import CallerError
from proxy.mock.asked import Profile
from proxy.mock.batches import answered, seconds_of
from proxy.mock.calls import Objection, failed, failure_of, receive
from proxy.mock.envelopes import Failure
from proxy.mock.headers import reply_headers
from proxy.mock.state import State

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_REQUESTS = 100_000
_MOST_LISTED = 1000
_DAY = timedelta(days=1)

Requests = list[dict[str, Any]]


class MockMessageBatch(msgspec.Struct):
    """One batch. It has ended once the slowest of its requests has, all of which begin with it."""

    object: dict[str, Any]
    requests: Requests
    ready_at: float
    results: bytes = b""
    is_told: bool = False


async def serve(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """`/messages/batches` and what is below."""
    now, id_ = time.monotonic(), request.match_info.get("id", "")
    told: dict[str, Any] | bytes | Failure
    if not id_ and request.method == "POST":
        try:
            told = _create(state, (await receive(state, request, profile, "messages/batches"))[0], request, now)
        except (CallerError, Objection) as error:
            told = failure_of(error)
    elif not id_:
        told = _page(state, dict(request.query), request, now)
    elif (batch := state.message_batches.get(id_)) is None:
        told = Failure(404, f"Message Batch {id_} not found.")
    else:
        told = _done(state, batch, (request.method, request.path.rpartition("/")[2]), now)
    if isinstance(told, Failure):
        return failed(state, profile, "messages/batches", told)
    kind = "application/x-jsonl" if isinstance(told, bytes) else "application/json"
    body = told if isinstance(told, bytes) else msgspec.json.encode(told)
    return web.Response(body=body, headers=reply_headers(profile, kind, state.suffix(), None))


def _create(state: State, asked: dict[str, Any], request: web.Request, now: float) -> dict[str, Any] | Failure:
    requests = asked.get("requests")
    if (wrong := _refusal(asked, requests)) is not None:
        return Failure(400, wrong)
    assert isinstance(requests, list)
    name, began = f"msgbatch_{state.suffix()}", datetime.now(UTC)
    told: dict[str, Any] = {
        "id": name,
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {"processing": len(requests), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
        "created_at": began.isoformat(),
        "expires_at": (began + _DAY).isoformat(),
        "ended_at": None,
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": f"{request.scheme}://{request.host}{request.path}/{name}/results",
    }
    wait = max(seconds_of("anthropic", "messages", one["params"]) for one in requests)
    state.message_batches[name] = MockMessageBatch(told, requests, now + wait)
    return told | {"results_url": None}


def _refusal(asked: dict[str, Any], requests: Any) -> str | None:
    for name in asked:
        if name != "requests":
            return f"{name}: Extra inputs are not permitted"
    if not isinstance(requests, list):
        return "requests: Field required" if requests is None else "requests: Input should be a valid list"
    if not requests:
        return "requests: List should have at least 1 item after validation, not 0"
    if len(requests) > _MOST_REQUESTS:
        return f"requests: List should have at most {_MOST_REQUESTS} items after validation, not {len(requests)}"
    seen: set[str] = set()
    for at, one in enumerate(requests):
        custom_id = one.get("custom_id") if isinstance(one, dict) else None
        if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
            return f"requests.{at}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
        if not isinstance(one.get("params"), dict):
            return f"requests.{at}.params: Input should be a valid dictionary"
        if custom_id in seen:
            return f"requests: custom_id's must be unique within a batch. Duplicate custom_id found: {custom_id}"
        seen.add(custom_id)
    return None


def _done(state: State, batch: MockMessageBatch, what: tuple[str, str], now: float) -> dict[str, Any] | bytes | Failure:
    told = _seen(state, batch, now)
    has_ended, name = told["processing_status"] == "ended", batch.object["id"]
    if what[1] == "results":
        return batch.results if has_ended else Failure(404, f"Message Batch {name} has no available results.")
    if what == ("POST", "cancel"):
        if has_ended:
            return Failure(400, f"Batch {name} cannot be canceled because it has already ended.")
        if batch.object["processing_status"] == "in_progress":
            batch.object |= {"processing_status": "canceling", "cancel_initiated_at": datetime.now(UTC).isoformat()}
        return batch.object | {"results_url": None}
    if what[0] == "DELETE":
        if not has_ended:
            return Failure(400, "In progress batches cannot be deleted. Consider canceling the batch instead.")
        del state.message_batches[name]
        return {"id": name, "type": "message_batch_deleted"}
    return told


def _seen(state: State, batch: MockMessageBatch, now: float) -> dict[str, Any]:
    """How it stands now; that it is being canceled is told once."""
    status = batch.object["processing_status"]
    if status == "canceling" and batch.is_told:
        _end(batch, {one["custom_id"]: {"type": "canceled"} for one in batch.requests})
    elif status == "in_progress" and now >= batch.ready_at:
        _end(batch, {one["custom_id"]: _result(state, one["params"]) for one in batch.requests})
    batch.is_told = status == "canceling"
    return batch.object if batch.object["processing_status"] == "ended" else batch.object | {"results_url": None}


def _result(state: State, params: dict[str, Any]) -> dict[str, Any]:
    if params.get("stream"):
        error = {
            "type": "invalid_request_error",
            "message": '"stream=True" is not supported in the Message Batches API',
        }
        return {"type": "errored", "error": {"type": "error", "error": error}}
    status, body = answered(state, "anthropic", "messages", params)
    is_good = status == 200
    return {"type": "succeeded" if is_good else "errored", "message" if is_good else "error": msgspec.Raw(body)}


def _end(batch: MockMessageBatch, results: dict[str, dict[str, Any]]) -> None:
    counts = dict.fromkeys(batch.object["request_counts"], 0)
    for result in results.values():
        counts[result["type"]] += 1
    lines = [msgspec.json.encode({"custom_id": name, "result": result}) + b"\n" for name, result in results.items()]
    batch.results = b"".join(reversed(lines))  # in any order
    batch.object |= {"processing_status": "ended", "request_counts": counts, "ended_at": datetime.now(UTC).isoformat()}


def _page(state: State, query: dict[str, str], request: web.Request, now: float) -> dict[str, Any] | Failure:
    limit = query.get("limit", "20")
    if not limit.isdigit() or not 1 <= int(limit) <= _MOST_LISTED:
        return Failure(400, f"limit: Input should be between 1 and {_MOST_LISTED}")
    found = [_seen(state, batch, now) for batch in reversed(state.message_batches.values())]
    names = [one["id"] for one in found]
    start = names.index(query["after_id"]) + 1 if query.get("after_id") in names else 0
    data = found[start : start + int(limit)]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": len(found) > start + int(limit), "first_id": first, "last_id": last}


ROUTES = (
    ("POST", "/messages/batches", serve),
    ("GET", "/messages/batches", serve),
    ("GET", "/messages/batches/{id}", serve),
    ("DELETE", "/messages/batches/{id}", serve),
    ("GET", "/messages/batches/{id}/results", serve),
    ("POST", "/messages/batches/{id}/cancel", serve),
)
