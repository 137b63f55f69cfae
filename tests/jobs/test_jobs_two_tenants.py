"""What one tenant has made here (files, batches, jobs, results, kept answers) is to another as what nobody has."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.http import Headers, Reply
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS

KEYS = {"acme": "sk-acme-objects", "globex": "sk-globex-objects"}
MARK = "canary-of-acme"
CHAT = {"model": "cent", "messages": [{"role": "user", "content": MARK}], "temperature": 0}
EDGE = "edge-of-a-part"


def config(mock: Mock) -> dict[str, Any]:
    sharing = {"cache": True, "coalesce": True}
    return {
        "providers": {"openrouter": mock.provider()},
        "models": {
            "cent": "openrouter/mock/echo?cost=0.01",
            "soon": "openrouter/mock/slow?ttft=0.5&tokens=2",
            "acme-own": "openrouter/mock/echo?cost=0.01",
        },
        "tenants": {"acme": {}, "globex": {"models": ["cent", "soon"]}},
        "keys": {f"{name}-key": {"key": secret, "tenant": name, **sharing} for name, secret in KEYS.items()},
        "budget_policy": {"unpriced": "allow"},
    }


def asked(daemon: Daemon, tenant: str, method: str, path: str, body: Any = None, more: Headers = ()) -> Reply:
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return daemon.ask(method, path, [("Authorization", f"Bearer {KEYS[tenant]}"), *more], sent)


def put_file(daemon: Daemon) -> str:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
    parts = [("purpose", "", "batch"), ("file", '; filename="lines.jsonl"', json.dumps(line) + "\n")]
    body = "".join(
        f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{text}\r\n'
        for name, more, text in parts
    )
    form = ("Content-Type", f"multipart/form-data; boundary={EDGE}")
    reply = asked(daemon, "acme", "POST", "/v1/files", f"{body}--{EDGE}--\r\n".encode(), [form])
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def ended(daemon: Daemon, path: str, member: str, state: str) -> dict[str, Any]:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (told := asked(daemon, "acme", "GET", path).json)[member] != state:
        assert time.monotonic() < give_up, told
        time.sleep(0.02)
    return dict(told)


@pytest.fixture(scope="module")
def made(daemon: Daemon) -> dict[str, str]:
    """What acme has, by its kind."""
    found = {"file": put_file(daemon)}
    order = {"input_file_id": found["file"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    found["batch"] = asked(daemon, "acme", "POST", "/v1/batches", order).json["id"]
    found["output"] = ended(daemon, f"/v1/batches/{found['batch']}", "status", "completed")["output_file_id"]
    message = {"custom_id": "a", "params": {**CHAT, "max_tokens": 9}}
    reply = asked(daemon, "acme", "POST", "/v1/messages/batches", {"requests": [message]})
    found["messages"] = reply.json["id"]
    ended(daemon, f"/v1/messages/batches/{found['messages']}", "processing_status", "ended")
    later = asked(daemon, "acme", "POST", "/v1/chat/completions", CHAT, [("Prefer", "respond-async")])
    found["job"] = later.json["id"]
    ended(daemon, f"/tollkeeper/jobs/{found['job']}", "status", "succeeded")
    call = asked(
        daemon, "acme", "POST", "/v1/chat/completions", {**CHAT, "model": "soon"}, [("Idempotency-Key", "one")]
    )
    assert call.status == 200, call.body
    found["call"] = call.request_id
    return found


PATHS = [
    ("GET", "/v1/files/{file}"),
    ("GET", "/v1/files/{file}/content"),
    ("GET", "/v1/files/{output}"),
    ("GET", "/v1/files/{output}/content"),
    ("GET", "/v1/batches/{batch}"),
    ("POST", "/v1/batches/{batch}/cancel"),
    ("GET", "/v1/messages/batches/{messages}"),
    ("GET", "/v1/messages/batches/{messages}/results"),
    ("POST", "/v1/messages/batches/{messages}/cancel"),
    ("GET", "/tollkeeper/jobs/{job}"),
    ("GET", "/tollkeeper/results/{job}"),
    ("GET", "/tollkeeper/results/{call}"),
    ("DELETE", "/tollkeeper/jobs/{job}"),
    ("DELETE", "/v1/messages/batches/{messages}"),
    ("DELETE", "/v1/files/{output}"),
    ("DELETE", "/v1/files/{file}"),
]
ORDERS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/batches", {"input_file_id": "{file}", "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
    ("/tollkeeper/feedback", {"request_id": "{call}", "score": 1}),
]


def without_ids(reply: Reply, ids: dict[str, str]) -> tuple[int, str]:
    told = re.sub("req_[0-9a-f]+", "REQ", reply.body.decode())
    for name in ids.values():
        told = told.replace(name, "ID")
    return reply.status, told


@pytest.mark.parametrize(
    ("method", "path", "body"), [*((*one, None) for one in PATHS), *(("POST", *one) for one in ORDERS)]
)
def test_what_is_another_tenants_is_as_what_nobody_has(
    daemon: Daemon, made: dict[str, str], method: str, path: str, body: dict[str, Any] | None
) -> None:
    nobodys = {kind: name[:-8] + "00000000" for kind, name in made.items()}

    def told(tenant: str, ids: dict[str, str]) -> tuple[int, str]:
        sent = None if body is None else {name: str(text).format(**ids) for name, text in body.items()}
        return without_ids(
            asked(daemon, tenant, method, path.format(**ids), sent or (b"" if method == "POST" else None)), ids
        )

    status, sentence = told("globex", made)
    assert (status, sentence) == told("globex", nobodys)
    assert status in (400, 404) and "acme" not in sentence and MARK not in sentence


def test_lists_have_only_what_is_ones_own(daemon: Daemon, made: dict[str, str]) -> None:
    for path, kind in (
        ("/v1/files?purpose=batch", "file"),
        ("/v1/batches", "batch"),
        ("/v1/messages/batches", "messages"),
        ("/tollkeeper/jobs", "job"),
    ):
        whole, theirs = asked(daemon, "acme", "GET", path), asked(daemon, "globex", "GET", path)
        assert whole.status == 200 and theirs.status in (200, 404), path  # whoever has none is passed on
        assert made[kind] in whole.body.decode(), path
        assert not any(name in theirs.body.decode() for name in made.values()), path
        for cursor in ("after", "before_id", "after_id"):
            page = asked(daemon, "globex", "GET", f"{path}{'&' if '?' in path else '?'}{cursor}={made[kind]}")
            assert not any(name in page.body.decode().replace(made[kind], "") for name in made.values()), (path, cursor)


def test_no_answer_of_another_tenant_is_given_again(daemon: Daemon, mock: Mock, made: dict[str, str]) -> None:
    again = asked(daemon, "acme", "POST", "/v1/chat/completions", CHAT)
    assert again.header("x-tollkeeper-cache") == "hit", "a test that can fail"
    mock.forget()
    theirs = asked(daemon, "globex", "POST", "/v1/chat/completions", CHAT)
    assert (theirs.status, theirs.header("x-tollkeeper-cache")) == (200, "miss")
    once = asked(
        daemon, "globex", "POST", "/v1/chat/completions", {**CHAT, "model": "soon"}, [("Idempotency-Key", "one")]
    )
    assert (once.status, once.header("x-tollkeeper-idempotent")) == (200, None)
    assert len(mock.bill()) == 2


def test_names_of_another_tenant_are_not_known_where_several_are_asked(daemon: Daemon, made: dict[str, str]) -> None:
    told = {}
    for name in ("acme-own", "nobodys-own"):
        order = {"models": ["cent", name], "messages": CHAT["messages"]}
        reply = asked(daemon, "globex", "POST", "/tollkeeper/compare", order).json
        told[name] = [(cell["status"], cell["error"], cell["text"]) for cell in reply["cells"]]
    assert told["acme-own"] == told["nobodys-own"] == [(200, None, MARK), (404, "model_not_found", "")]
    line = {"custom_id": "a", "params": {**CHAT, "model": "acme-own", "max_tokens": 9}}
    batch = asked(daemon, "globex", "POST", "/v1/messages/batches", {"requests": [line]})
    assert "acme-key" not in batch.body.decode()


def test_usage_and_metrics_tell_whose_each_call_was(daemon: Daemon, made: dict[str, str]) -> None:
    for tenant, other in (("acme", "globex"), ("globex", "acme")):
        assert asked(daemon, tenant, "POST", "/v1/chat/completions", {**CHAT, "max_tokens": 7}).status == 200
        told = asked(daemon, tenant, "GET", "/tollkeeper/usage?by=key,tenant").body.decode()
        assert f"{tenant}-key" in told and other not in told
        assert daemon.metric("tollkeeper_requests_total", tenant=other, key=f"{tenant}-key") == 0
