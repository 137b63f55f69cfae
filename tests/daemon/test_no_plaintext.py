"""A run over every feature that holds a secret, and then no file but those that are for it has one in clear."""

from __future__ import annotations

import base64
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.commands import typed
from harness.daemon import Daemon
from harness.http import Connection, request_bytes
from harness.mock import Mock
from harness.setting import files_below
from harness.surroundings import PATIENCE_SECONDS

# what people bring; each is in the environment, as the pages say, or goes in by command, admin port or call
ENV = {
    "PROVIDER_KEY": "sk-or-provider-canary-01",
    "ALICE_KEY": "sk-alice-client-canary-02",
    "ADMIN_TOKEN": "admin-token-canary-0003",
    "OPS_TOKEN": "admin-ops-canary-000004",
    "HOOK_SECRET": "whsec_" + base64.b64encode(b"webhook-canary-05 padded").decode(),
    "ACME_KEY": "sk-or-acme-canary-000006",
    "BEARER": "Bearer header-canary-0000007",
    "OIDC_SECRET": "oidc-client-canary-0000017",
}
STORED = {"provider": "sk-stored-provider-08", "tenant": "sk-stored-tenant-0009", "header": "header-stored-canary-10",
          "key": "sk-stored-client-0011", "hook": "webhook-stored-canary-12", "login": "proxy-password-0013"}  # fmt: skip
HOOK = {
    "address": "hooks/address-canary-018",
    "call's secret": "whsec_" + base64.b64encode(b"webhook-canary-19 padded").decode(),
}
WRONG = {"client": "sk-wrong-client-canary14", "admin": "admin-wrong-canary-00015"}
PROMPT = "the plaintext of a prompt, canary 16"
PNG = b"\x89PNG"
CHAT = "/v1/chat/completions"


def config(mock: Mock) -> dict[str, Any]:
    local = {"kind": "openai", "base_url": f"{mock.root}/openai/v1", "api_key": "${PROVIDER_KEY}"}
    return {
        "providers": {
            "openrouter": mock.provider(api_key="${PROVIDER_KEY}"),
            "local": {**local, "headers": {"X-Up": "plain", "Authorization": "${BEARER}"}},
        },
        "catalogue": {"refresh": "never"},
        "tenants": {"acme": {"credentials": {"openrouter": "${ACME_KEY}"}}},
        "keys": {"alice": {"key": "${ALICE_KEY}", "budgets": [{"usd": 50, "per": "total"}]}},
        "admin": {"host": "127.0.0.1", "port": 0, "token": "${ADMIN_TOKEN}"},
        "admins": {"ops": {"token": "${OPS_TOKEN}", "role": "operator"}},
        "auth": {
            "oidc": {
                "issuer": "http://127.0.0.1:9",
                "client_id": "t",
                "client_secret": "${OIDC_SECRET}",
                "groups": {"leads": "owner"},
            }
        },
        "webhooks": {"allow_private": True},
        "alerts": [{"url": f"{mock.root}/nowhere", "secret": "${HOOK_SECRET}"}],
        "budget_alerts": ["1%"],
        "shutdown": {"drain": 1},
    }


class Walk:
    """A daemon, and who uses it. `secrets` grows by what is made on the way."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.secrets = {**ENV, **STORED, **HOOK, **WRONG, "prompt": PROMPT}
        self.key = ENV["ALICE_KEY"]

    def admin(self, method: str, path: str, body: Any = None, token: str = ENV["ADMIN_TOKEN"]) -> bytes:
        content = None if body is None else json.dumps(body).encode()
        with Connection(self.daemon.admin_port) as connection:
            headers = [("Authorization", f"Bearer {token}")]
            connection.send(request_bytes(method, path, headers, content, f"127.0.0.1:{self.daemon.admin_port}"))
            reply = connection.read_reply(method)
        assert reply.status in (200, 401), (path, reply.body)
        return reply.body

    def ask(self, path: str, body: Any, *more: tuple[str, str], key: str = "") -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [("Authorization", f"Bearer {key or self.key}"), *more]
        if not isinstance(body, bytes):
            headers.append(("Content-Type", "application/json"))
        return json.loads(self.daemon.ask("POST", path, headers, content).body)

    def get(self, path: str) -> bytes:
        reply = self.daemon.ask("GET", path, [("Authorization", f"Bearer {self.key}")])
        assert reply.status == 200, (path, reply.body)
        return reply.body

    def command(self, *words: str) -> str:
        done = typed(self.daemon.folder, *words, "--config", str(self.daemon.folder / "config.yaml"))
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout


def chat(**members: Any) -> dict[str, Any]:
    return {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": 50,
        **members,
    }


def store(walk: Walk, mock: Mock) -> None:
    """Settings with secrets, changed and rolled back; keys and admins; another master key."""
    gpu = {"kind": "openai", "base_url": f"{mock.root}/openai/v1", "api_key": STORED["provider"], "enabled": False,
           "headers": {"Authorization": STORED["header"]}, "proxy": f"http://me:{STORED['login']}@127.0.0.1:9"}  # fmt: skip
    walk.admin("PUT", "/settings/providers/gpu", gpu)
    walk.admin("PUT", "/settings/providers/gpu", {**gpu, "free": True})
    walk.admin("POST", "/settings/rollback", {"section": "providers", "name": "gpu", "version": 1})
    walk.admin("PUT", "/settings/tenants/late", {"credentials": {"openrouter": STORED["tenant"]}})
    walk.admin("PUT", "/settings/keys/late", {"key": STORED["key"], "tenant": "late"})
    walk.admin("PUT", "/settings/alerts/late", {"url": f"{mock.root}/nowhere", "secret": STORED["hook"]})
    made = json.loads(walk.admin("POST", "/keys", {"name": "made"}))
    rotated = json.loads(walk.admin("POST", "/keys/made/rotations", {"grace_seconds": 60}))
    walk.secrets |= {"made": made["secret"], "rotated": rotated["secret"]}
    walk.secrets["named admin"] = walk.command("admins", "create", "ann", "--role", "viewer").strip()
    walk.command("secrets", "rotate")
    for number, line in enumerate((walk.daemon.folder / "state" / "master.key").read_text().splitlines()):
        walk.secrets[f"master key {number}"] = line.partition(":")[2]
    walk.admin("GET", "/budgets", token=WRONG["admin"])
    assert "error" in walk.ask(CHAT, chat(), key=WRONG["client"])


def call(walk: Walk) -> bytes:
    """Plain, streamed, once, later, by tenants, a batch, a picture by its address; what the picture is."""
    assert PROMPT in json.dumps(walk.ask(CHAT, chat()))
    for key in (walk.secrets["rotated"], STORED["key"]):
        assert "choices" in walk.ask(CHAT, chat(), key=key)
    for _ in range(2):
        assert "choices" in walk.ask(CHAT, chat(), ("Idempotency-Key", "once"))
    hook = [("x-tollkeeper-webhook", f"http://127.0.0.1:9/{HOOK['address']}")]
    hook += [("x-tollkeeper-webhook-secret", HOOK["call's secret"])]
    later = walk.ask(CHAT, chat(), ("Prefer", "respond-async"), *hook)["status_url"]
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": chat()}
    file = walk.ask("/v1/files", *upload(json.dumps(line).encode()))
    batch = walk.ask("/v1/batches", {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"})
    until = time.monotonic() + PATIENCE_SECONDS
    while json.loads(walk.get(later))["status"] != "succeeded":
        assert time.monotonic() < until
    while (told := json.loads(walk.get(f"/v1/batches/{batch['id']}")))["status"] != "completed":
        assert time.monotonic() < until, told
    assert PROMPT.encode() in walk.get(f"/v1/files/{told['output_file_id']}/content")
    asked = {"model": "bytedance-seed/seedream-4.5", "prompt": f"mock: bytes 300000 {PROMPT}", "response_format": "url"}
    address = walk.ask("/v1/images/generations", asked)["data"][0]["url"]
    picture = walk.get("/tollkeeper" + address.partition("/tollkeeper")[2])
    assert len(picture) == 300_008 and picture.startswith(PNG)
    return picture


def upload(content: bytes) -> tuple[bytes, tuple[str, str]]:
    fields = [b'name="purpose"\r\n\r\nbatch', b'name="file"; filename="in.jsonl"\r\n\r\n' + content]
    body = b"".join(b"--frontier\r\nContent-Disposition: form-data; " + field + b"\r\n" for field in fields)
    return body + b"--frontier--\r\n", ("Content-Type", "multipart/form-data; boundary=frontier")


def spellings(secret: str) -> Iterator[bytes]:
    """As text, in hexadecimal digits, and in base64 at each offset."""
    raw = secret.encode()
    yield from (raw, raw.hex().encode(), json.dumps(secret)[1:-1].encode())
    for before in range(3):
        code = base64.b64encode(b"\0" * before + raw)
        whole = code[4 * bool(before) : len(code) - 4 * bool((before + len(raw)) % 3)]
        yield from (whole, whole.replace(b"+", b"-").replace(b"/", b"_"))


def found_in(content: bytes, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if any(text in content for text in spellings(secret))]


def test_the_search_finds_what_it_looks_for() -> None:
    for text in (b"x%s", b"%s"):
        assert found_in(base64.b64encode(text % PROMPT.encode()), {"prompt": PROMPT}) == ["prompt"]
    assert found_in(PROMPT.encode().hex().encode(), {"prompt": PROMPT}) == ["prompt"]


def test_no_file_holds_a_secret_in_clear(tmp_path: Path) -> None:
    with Mock() as mock, Daemon(config(mock), tmp_path, env=ENV) as daemon:
        walk = Walk(daemon)
        store(walk, mock)
        picture = call(walk)
        assert picture[:20] not in b"".join(files_below(tmp_path / "state" / "results").values())
        told = b"".join(
            walk.admin("GET", path)
            for path in (
                "/settings",
                "/settings/history",
                "/audit",
                "/secrets",
                "/keys",
                "/metrics",
                "/webhooks",
                "/jobs",
            )
        )
        walk.command("backup", str(tmp_path / "backup.db"))
        assert found_in(told + daemon.output.encode(), walk.secrets) == []
        live = files_below(tmp_path / "state")
        daemon.stop()
        assert found_in(daemon.output.encode(), walk.secrets) == []
    files = {**live, **files_below(tmp_path / "state")}
    files[tmp_path / "backup.db"] = (tmp_path / "backup.db").read_bytes()
    held = {str(file.relative_to(tmp_path)): found_in(content, walk.secrets) for file, content in files.items()}
    assert {"state/ledger.db", "state/jobs/jobs.db", "backup.db"} <= held.keys()
    assert any(name.startswith("state/journal/") for name in held) and any("/results/req_" in name for name in held)
    assert {name: which for name, which in held.items() if which} == {
        "state/master.key": ["master key 0", "master key 1"]
    }


def test_a_crash_leaves_no_core_with_what_was_in_memory(tmp_path: Path) -> None:
    """`ulimit -c unlimited` before it, as in a container."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with Daemon({"providers": {"mock": {}}}, tmp_path) as daemon:
            assert resource.prlimit(daemon.pid, resource.RLIMIT_CORE) == (0, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
