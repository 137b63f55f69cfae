"""One provider tried on its own: what was asked, what each answer means, what to do; never anything that is billed."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from doctor_visits import PROVIDER_KEY
from harness.commands import typed
from harness.daemon import Daemon
from harness.http import Connection, request_bytes
from harness.steps import json_reply
from harness.surroundings import held_port
from harness.upstream import Upstream

from proxy.doctor.trial import try_provider
from proxy.policy.values import Provider, Timeouts
from proxy.secret import Secret

_BRIEF = Timeouts(connect=0.2)
_CERTIFICATE = "check the clock, base_url, and what stands between"
LISTED = json_reply({"object": "list", "data": [{"id": "a"}]})


def answer(status: int, message: str = "no") -> Any:
    return json_reply({"error": {"message": message}}, status=status)


@pytest.mark.parametrize(
    ("script", "ok", "status", "meaning", "step"),
    [
        (LISTED, True, 200, "accepted; it lists 1 model", None),
        (answer(401), False, 401, "it refuses our key (401): providers.p.api_key in ", "put a valid key there"),
        (answer(402), False, 402, "the account is out of money (402)", "add credit at the provider"),
        (answer(403), False, 403, "it refuses the question (403), though not for the key", "see what it allows"),
        (answer(403, "Your API key may not"), False, 403, "it refuses our key (403)", "put a valid key there"),
        (answer(429), False, 429, "too many requests just now (429)", "ask again later"),
        (answer(503), False, 503, "it is in trouble itself (503)", "see its status page"),
        (
            json_reply({"hello": "world"}),
            False,
            200,
            "it answers, but with no list of models",
            "check providers.p.base_url",
        ),
    ],
)
def test_every_answer_has_a_meaning_and_a_next_step(
    upstream: Upstream, script: Any, ok: bool, status: int, meaning: str, step: str | None
) -> None:
    upstream.expect(script, path="/models")
    found = tried(f"{upstream.url}/v1")
    assert (found["ok"], found["status"]) == (ok, status)
    assert found["meaning"].startswith(meaning)
    assert found["next_step"] is None if step is None else found["next_step"].startswith(step)
    assert (found["asked"], found["seconds"] >= 0) == (f"GET {upstream.url}/v1/models", True)
    assert [call.request_line for call in upstream.calls] == ["GET /v1/models HTTP/1.1"]


def tried(base_url: str, **members: Any) -> dict[str, Any]:
    key = Secret(PROVIDER_KEY)
    provider = Provider("p", "openai", base_url, api_key=key, key_source="providers.p.api_key in c.yaml", **members)
    found: dict[str, Any] = msgspec.to_builtins(asyncio.run(try_provider(provider)))
    assert PROVIDER_KEY not in json.dumps(found)
    return found


def test_what_never_answered_says_how_far_it_came() -> None:
    with held_port() as port:
        found = tried(f"http://127.0.0.1:{port}/v1")
    assert (found["ok"], found["status"], found["next_step"]) == (
        False,
        None,
        f"check base_url and the way there: curl -sv http://127.0.0.1:{port}/v1",
    )
    assert "refused" in found["meaning"]
    with socket.create_server(("127.0.0.1", 0)) as plain:
        plain.settimeout(0.01)
        port = plain.getsockname()[1]
        found = tried(f"https://127.0.0.1:{port}/v1", timeouts=_BRIEF)
    assert (found["ok"], found["next_step"].partition(":")[0]) == (False, _CERTIFICATE)


def test_a_stored_key_that_does_not_open_asks_nobody() -> None:
    found = tried("http://127.0.0.1:9/v1", shut="the master key k1 is not in the file x", is_unreadable=True)
    assert (found["ok"], found["asked"]) == (False, "nothing")
    assert found["meaning"].endswith("the master key k1 is not in the file x")


def test_the_daemon_and_the_command_try_it(tmp_path: Path) -> None:
    """Without a daemon the configuration's own is asked."""
    config = {"providers": {"mock": {}}, "admin": {"host": "127.0.0.1", "port": 0, "token": "t-trial"}}
    with Daemon(config, tmp_path) as daemon, Connection(daemon.admin_port) as connection:
        for name, status in (("mock", 200), ("mok", 404)):
            where, who = f"/providers/{name}/test", [("Authorization", "Bearer t-trial")]
            connection.send(request_bytes("POST", where, who, b"", f"127.0.0.1:{daemon.admin_port}"))
            reply = connection.read_reply()
            assert reply.status == status
            if status == 200:
                assert (reply.json["ok"], reply.json["status"]) == (True, 200)
        done = typed(tmp_path, "providers", "test", "mock", "--config", str(tmp_path / "config.yaml"))
        assert done.returncode == 0, done.stderr
        assert daemon.stop() == 0
    away = typed(tmp_path, "providers", "test", "mok", "--config", str(tmp_path / "config.yaml"))
    assert (away.returncode, "there is no provider named 'mok'; there is: mock" in away.stderr) == (1, True)
