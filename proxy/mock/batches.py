"""OpenAI's batches: a file of lines, answered after a while at half the price (wire.md 2.5). What OpenAI refuses is refused."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from aiohttp import web

from proxy.errors import CallerError
from proxy.mock.asked import Profile, read_asked, read_json
from proxy.mock.behaviours import parse_behaviour
from proxy.mock.bill import Row
from proxy.mock.calls import Objection, failed, failure_of, json_reply, price_turn, read_fields, whole
from proxy.mock.envelopes import Failure, encoded
from proxy.mock.files import StoredFile
from proxy.mock.script import refusal
from proxy.mock.state import State
from proxy.mock.strict.refusing import Content, Sent, refused

ENDPOINTS = ("chat/completions", "completions", "responses", "embeddings", "moderations")
_MOST_LINES = 50_000
_MOST_LISTED = 100

Lines = list[dict[str, Any]]


class MockBatch(msgspec.Struct):
    """One batch. It is over once the slowest of its lines is, all of which begin with it."""

    object: dict[str, Any]
    lines: Lines
    ready_at: float
    problems: list[dict[str, Any]] = []


def create(state: State, asked: dict[str, Any], now: float) -> MockBatch | Failure:
    """A new batch; its lines are looked at before they are begun."""
    endpoint = str(asked.get("endpoint", "")).removeprefix("/v1/")
    if (wrong := _refusal(state, asked, endpoint)) is not None:
        return wrong
    file = state.files.find(str(asked["input_file_id"]))
    assert file is not None
    lines, problems = _read(file.content, f"/v1/{endpoint}")
    wait = 0.0 if problems else max((seconds_of("openai", endpoint, line["body"]) for line in lines), default=0.0)
    name = f"batch_{state.suffix()}"
    told: dict[str, Any] = {
        "id": name,
        "object": "batch",
        "endpoint": f"/v1/{endpoint}",
        "errors": None,
        "input_file_id": file.id,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": state.now(),
        "expires_at": state.now() + 86400,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": asked.get("metadata"),
    }
    batch = MockBatch(told, lines, now + wait, problems)
    state.batches[name] = batch
    return batch


def seen(state: State, batch: MockBatch, now: float) -> dict[str, Any]:
    """How it stands now."""
    told = batch.object
    if told["status"] == "cancelling":
        told |= {"status": "cancelled", "cancelled_at": state.now()}
    elif told["status"] == "validating" and batch.problems:
        told |= {"status": "failed", "errors": {"object": "list", "data": batch.problems}, "failed_at": state.now()}
    elif told["status"] == "validating":
        counts = {"total": len(batch.lines), "completed": 0, "failed": 0}
        told |= {"status": "in_progress", "in_progress_at": state.now(), "request_counts": counts}
    elif told["status"] == "in_progress" and now >= batch.ready_at:
        _finish(state, batch)
    return told


def cancel(state: State, batch: MockBatch) -> Failure | None:
    """End it early; lines of it that had begun are done, which here none has."""
    if batch.object["status"] not in ("validating", "in_progress"):
        status = batch.object["status"]
        return Failure(409, f"Cannot cancel a batch with status '{status}'.")
    batch.object |= {"status": "cancelling", "cancelling_at": state.now()}
    return None


def page(state: State, query: dict[str, str], now: float) -> dict[str, Any]:
    """A list of batches, the newest first."""
    most = min(_MOST_LISTED, int(query.get("limit", "20")))
    found = [seen(state, batch, now) for batch in reversed(state.batches.values())]
    names = [one["id"] for one in found]
    start = names.index(query["after"]) + 1 if query.get("after") in names else 0
    data = found[start : start + most]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    more = len(found) > start + most
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more}


def _refusal(state: State, asked: dict[str, Any], endpoint: str) -> Failure | None:
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(asked.get(name), str):
            return Failure(400, f"Missing required parameter: '{name}'.", "missing_required_parameter", name)
    file, metadata = state.files.find(asked["input_file_id"]), asked.get("metadata") or {}
    if endpoint not in ENDPOINTS:
        return Failure(400, f"Invalid value: '{asked['endpoint']}'.", "invalid_value", "endpoint")
    if asked["completion_window"] != "24h":
        return Failure(400, "Invalid value for 'completion_window'. Supported: '24h'.", None, "completion_window")
    if not isinstance(metadata, dict) or len(metadata) > 16 or not all(isinstance(v, str) for v in metadata.values()):
        return Failure(400, "Invalid 'metadata': a map of at most 16 strings.", "invalid_type", "metadata")
    if file is None:
        return Failure(404, f"No such File object: {asked['input_file_id']}", None, "input_file_id")
    if file.purpose != "batch":
        return Failure(400, f"Invalid file purpose '{file.purpose}'; a batch needs 'batch'.", None, "input_file_id")
    return None


def _read(content: bytes, url: str) -> tuple[Lines, list[dict[str, Any]]]:
    """The lines, and what is wrong with them."""
    lines: Lines = []
    problems: list[dict[str, Any]] = []
    names: set[str] = set()
    for number, text in enumerate(filter(bytes.strip, content.split(b"\n")), 1):
        try:
            line = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            line = {}
        code = _problem(line, url, lines, names)
        if code is not None:
            problems.append({"code": code, "line": number, "message": f"Line {number}: {code}.", "param": None})
        names.add(str(line.get("custom_id")))
        lines.append(line)
    if not lines:
        problems.append({"code": "empty_file", "line": None, "message": "The file is empty.", "param": None})
    if len(lines) > _MOST_LINES:
        problems.append({"code": "too_many_tasks", "line": None, "message": "At most 50000 lines.", "param": None})
    return lines, problems


def _problem(line: dict[str, Any], url: str, before: Lines, names: set[str]) -> str | None:
    body = line.get("body")
    if not isinstance(body, dict):
        return "invalid_json_line"
    if not isinstance(line.get("custom_id"), str) or line["custom_id"] in names:
        return "duplicate_custom_id"
    if line.get("method") != "POST":
        return "invalid_method"
    if line.get("url") != url:
        return "mismatched_url" if str(line.get("url")).startswith("/v1/") else "invalid_url"
    if body.get("stream"):
        return "invalid_request"
    return "mismatched_model" if before and before[0].get("body", {}).get("model") != body.get("model") else None


def seconds_of(profile: Profile, endpoint: str, fields: dict[str, Any]) -> float:
    """How long a line takes."""
    try:
        return parse_behaviour(read_asked(profile, endpoint, fields).model).ttft
    except CallerError:
        return 0.0


def _finish(state: State, batch: MockBatch) -> None:
    told = batch.object
    good: list[bytes] = []
    bad: list[bytes] = []
    for line in batch.lines:
        status, body = answered(state, "openai", told["endpoint"].removeprefix("/v1/"), line["body"])
        response = {"status_code": status, "request_id": f"req_{state.suffix()}", "body": msgspec.Raw(body)}
        name = f"batch_req_{state.suffix()}"
        result = {"id": name, "custom_id": line["custom_id"], "response": response, "error": None}
        (good if status < 400 else bad).append(msgspec.json.encode(result))
    counts = {"total": len(batch.lines), "completed": len(good), "failed": len(bad)}
    told |= {"status": "completed", "completed_at": state.now(), "request_counts": counts}
    told |= {"output_file_id": _kept(state, told["id"], good), "error_file_id": _kept(state, told["id"], bad)}


def _kept(state: State, name: str, lines: list[bytes]) -> str | None:
    if not lines:
        return None
    file = StoredFile(f"file-{state.suffix()}", f"{name}.jsonl", "batch_output", b"\n".join([*lines, b""]), state.now())
    state.files.add(file)
    return file.id


def answered(state: State, profile: Profile, endpoint: str, fields: dict[str, Any]) -> tuple[int, bytes]:
    """One line's status and body, on the bill at half the price."""
    request_id = f"req_{state.suffix()}"
    try:
        fields = read_json(msgspec.json.encode(fields))
        content = Content("application/json", fields, False)
        head = {"authorization": "Bearer sk-batch", "anthropic-version": "2023-06-01"}
        sent = Sent(profile, endpoint, f"/v1/{endpoint}", head, content)
        if state.is_strict and (failure := refused(sent, needs_key=False)) is not None:
            raise Objection(failure)
        turn = price_turn(state, read_asked(profile, endpoint, fields), None)
    except (CallerError, Objection) as error:
        failure = failure_of(error)
        return failure.status, encoded(profile, endpoint, failure, request_id)
    row = Row(turn.reply_id, turn, streamed=False, polls_left=0, in_batch=True)
    state.bill.add(row)
    if (failed_with := refusal(turn)) is not None:
        row.refuse(failed_with.status)
        return failed_with.status, encoded(profile, endpoint, failed_with, request_id)
    row.complete()
    return 200, whole(row, None)[1]


async def serve(state: State, request: web.Request, profile: Profile) -> web.StreamResponse:
    """`/batches` and what is below."""
    now, id_ = time.monotonic(), request.match_info.get("id", "")
    told: dict[str, Any] | Failure
    if not id_ and request.method == "POST":
        try:
            made = create(state, (await read_fields(request))[0], now)
        except CallerError as error:
            made = failure_of(error)
        told = made.object if isinstance(made, MockBatch) else made
    elif not id_:
        told = page(state, dict(request.query), now)
    elif (batch := state.batches.get(id_)) is None:
        told = Failure(404, f"No batch found with id '{id_}'.")
    elif request.method == "POST":
        told = cancel(state, batch) or batch.object
    else:
        told = seen(state, batch, now)
    if isinstance(told, Failure):
        return failed(state, profile, "batches", told)
    return json_reply(state, profile, told)


ROUTES = (
    ("POST", "/batches", serve),
    ("GET", "/batches", serve),
    ("GET", "/batches/{id}", serve),
    ("POST", "/batches/{id}/cancel", serve),
)
