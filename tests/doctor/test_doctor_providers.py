"""Providers that refuse, cannot be found, or show a bad certificate or clock: each told from the others."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from doctor_visits import BODY, CLIENT_KEY, PROVIDER_KEY, PROXY_PASSWORD, Visit, usual, visit
from harness.commands import typed
from harness.daemon import Daemon
from harness.mock import Mock
from harness.steps import Wire, hang, head, json_reply, say, then
from harness.upstream import Upstream

REFUSED = json_reply({"error": {"message": f"{BODY}: your key {PROVIDER_KEY} is wrong", "code": 401}}, status=401)
NOT_FOR_THIS_KEY = json_reply({"error": {"message": BODY}}, status=403)


def asked(folder: Path, url: str, kind: str = "openrouter", /, *, path: str = "/api/v1", **members: Any) -> Visit:
    """A visit with one provider `p` at that address."""
    provider = {"kind": kind, "base_url": f"{url}{path}", "api_key": PROVIDER_KEY, **members}
    return visit(folder, usual(folder, providers={"p": {k: v for k, v in provider.items() if v is not None}}))


def key_answer(**members: Any) -> Any:
    return json_reply({"data": {"label": BODY, "limit": None, "limit_remaining": None, **members}})


def test_openrouter_is_asked_about_the_key_and_the_money_and_nothing_else(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(key_answer(limit=50, limit_remaining=12.5), path="/key")
    upstream.expect(json_reply({"data": {"total_credits": 100, "total_usage": 11.75}}), path="/credits")
    found = asked(tmp_path, upstream.url)
    assert found.failed == []
    row = found.one("provider p", "key")
    assert row["found"] == "accepted; $12.50 of the key's limit of $50.00 is left; $88.25 of credit is left"
    assert [call.request_line for call in upstream.calls] == [
        "GET /api/v1/key HTTP/1.1",
        "GET /api/v1/credits HTTP/1.1",
    ]
    assert {call.header("authorization") for call in upstream.calls} == {f"Bearer {PROVIDER_KEY}"}
    assert found.one("provider p", "dns")["found"] == "127.0.0.1 needs no looking up"


@pytest.mark.parametrize(
    ("kind", "path", "header", "value"),
    [
        ("openai", "/models", "authorization", f"Bearer {PROVIDER_KEY}"),
        ("anthropic", "/models", "x-api-key", PROVIDER_KEY),
    ],
)
def test_the_others_are_asked_for_their_models(
    upstream: Upstream, tmp_path: Path, kind: str, path: str, header: str, value: str
) -> None:
    upstream.expect(json_reply({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}), path=path)
    found = asked(tmp_path, upstream.url, kind)
    assert found.one("provider p", "key")["found"] == "accepted; it lists 2 models"
    assert upstream.call.header(header) == value
    assert (upstream.call.header("anthropic-version") is not None) is (kind == "anthropic")


@pytest.mark.parametrize(("kind", "path"), [("openrouter", "/key"), ("openai", "/models"), ("anthropic", "/models")])
def test_a_wrong_key_is_told_from_a_host_that_cannot_be_reached(
    upstream: Upstream, tmp_path: Path, kind: str, path: str
) -> None:
    upstream.expect(REFUSED, path=path)
    found = asked(tmp_path, upstream.url, kind)
    assert found.failed == [("provider p", "key")]
    assert "it refuses our key (401): providers.p.api_key in" in found.one("provider p", "key")["found"]
    assert found.status_of("provider p", "connect") == "pass"
    assert len(upstream.calls) == 1, "nothing more is asked with a key that is refused"


def test_the_keys_of_tenants_are_tried_too(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(json_reply({"data": []}), path="/models")
    upstream.expect(REFUSED, path="/models")
    provider = {"kind": "openai", "base_url": f"{upstream.url}/v1", "api_key": PROVIDER_KEY}
    tenants = {"acme": {"credentials": {"p": "sk-acme-canary"}}, "globex": {}}
    found = visit(tmp_path, usual(tmp_path, providers={"p": provider}, tenants=tenants))
    told = [found.one(group, "key") for group in ("provider p", "provider p (tenant acme)")]
    assert sorted(row["status"] for row in told) == ["fail", "pass"]
    keys = {call.header("authorization") for call in upstream.calls}
    assert keys == {f"Bearer {PROVIDER_KEY}", "Bearer sk-acme-canary"}
    assert not any("sk-acme-canary" in str(row) for row in found.rows)


def test_what_is_stored_is_tried_as_what_the_file_says(upstream: Upstream, tmp_path: Path) -> None:
    provider = {"kind": "openai", "base_url": f"{upstream.url}/v1", "api_key": PROVIDER_KEY}
    file = tmp_path / "config.yaml"
    with Daemon(usual(tmp_path, providers={"p": provider}), tmp_path, key=CLIENT_KEY):
        pass  # its start makes the state directory
    stored = yaml.safe_dump({**provider, "api_key": "sk-stored-canary"})
    for place, value in (("providers.q", stored), ("tenants.acme", "{credentials: {q: sk-acme-canary}}")):
        done = typed(tmp_path, "settings", "set", place, value, "--config", str(file))
        assert done.returncode == 0, done.stderr
    for _ in range(3):
        upstream.expect(json_reply({"data": []}), path="/models")
    found = visit(tmp_path)
    for group in ("provider p", "provider q", "provider q (tenant acme)"):
        assert found.one(group, "key")["found"] == "accepted; it lists 0 models", group
    keys = {call.header("authorization") for call in upstream.calls}
    assert keys == {f"Bearer {key}" for key in (PROVIDER_KEY, "sk-stored-canary", "sk-acme-canary")}
    away = (tmp_path / "state" / "master.key").rename(tmp_path / "away")
    upstream.expect(json_reply({"data": []}), path="/models")
    lost = visit(tmp_path)
    assert lost.failed == [("config", "stored secret")] * 2, "and no other key is sent there"
    for group in ("provider q", "provider q (tenant acme)"):
        assert lost.one(group, "key")["found"] == "skipped; its stored key cannot be opened here", group
    has_it = {"TOLLKEEPER_MASTER_KEYS": away.read_text().strip()}
    with Daemon(usual(tmp_path, providers={"p": provider}), tmp_path, key=CLIENT_KEY, env=has_it):
        upstream.expect(json_reply({"data": []}), path="/models")
        asked = visit(tmp_path)  # in a terminal without the daemon's master key
    assert asked.failed == []
    told = [row["found"] for row in asked.rows if row["name"] == "stored secret"]
    assert told == [
        f"that of {place} can be opened by the daemon alone, which has master keys that are not here"
        for place in ("providers.q", "tenants.acme")
    ]
    assert not any(key in str(found.rows + lost.rows + asked.rows) for key in ("sk-stored-canary", "sk-acme-canary"))


def test_a_server_without_a_key_may_be_off(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(json_reply({"data": []}), path="/models")
    assert asked(tmp_path, upstream.url, "openai", api_key=None).status_of("provider p", "key") == "pass"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        off = asked(tmp_path, f"http://127.0.0.1:{nobody.getsockname()[1]}", "openai", api_key=None, free=True)
    assert (off.failed, off.status_of("provider p", "connect")) == ([], "warn")
    upstream.expect(NOT_FOR_THIS_KEY, path="/models")
    assert asked(tmp_path, upstream.url, "openai", api_key=None).status_of("provider p", "key") == "warn"


@pytest.mark.parametrize(
    ("key", "account", "status"),
    [
        ({"limit": 10, "limit_remaining": 0}, {"total_credits": 100, "total_usage": 0}, "fail"),
        ({}, {"total_credits": 10, "total_usage": 10.5}, "fail"),
        ({"limit": 100, "limit_remaining": 9}, {"total_credits": 100, "total_usage": 0}, "warn"),
        ({}, {"total_credits": 10, "total_usage": 9.5}, "warn"),
    ],
)
def test_money_that_is_nearly_or_wholly_gone(
    upstream: Upstream, tmp_path: Path, key: dict[str, Any], account: dict[str, Any], status: str
) -> None:
    upstream.expect(key_answer(**key), path="/key")
    upstream.expect(json_reply({"data": account}), path="/credits")
    assert asked(tmp_path, upstream.url).status_of("provider p", "key") == status


def test_an_account_this_key_may_not_see_is_no_trouble(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(key_answer(), path="/key")
    upstream.expect(NOT_FOR_THIS_KEY, path="/credits")
    assert asked(tmp_path, upstream.url).one("provider p", "key")["found"] == "accepted; the key has no limit"


def test_a_host_without_an_address_fails_at_its_name(tmp_path: Path) -> None:
    found = asked(tmp_path, f"https://{'xxxxx.' * 50}invalid")  # too long for a name, so that nobody need be asked
    assert found.failed == [("provider p", "dns")]
    assert [row["name"] for row in found.rows if row["group"] == "provider p"] == ["dns"]


def test_a_refused_port_fails_at_connecting(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        found = asked(tmp_path, f"http://127.0.0.1:{port}")
    assert found.failed == [("provider p", "connect")]
    assert found.one("provider p", "connect")["found"] == f"no connection to port {port}: connection refused"


def test_a_provider_that_says_nothing_ends_in_its_time_and_holds_up_no_other(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.expect(then(hang), then(hang), path="/models")
    silent = {"kind": "openai", "base_url": f"{upstream.url}/v1", "api_key": PROVIDER_KEY, "timeouts": {"total": 1}}
    found = visit(tmp_path, usual(tmp_path, providers={"a": silent, "b": silent, "mock": {}}))
    assert found.failed == [("provider a", "answer"), ("provider b", "answer")]
    assert found.one("provider a", "answer")["found"] == "nothing within 1 s"
    assert found.status_of("provider mock", "reach") == "pass"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (say(head("301 Moved", [("Location", f"http://127.0.0.1/{BODY}"), ("Content-Length", "0")])), "fail"),
        (json_reply({"error": BODY}, status=503), "fail"),
        (say(b"SSH-2.0-" + BODY.encode() + b"\r\n\r\n"), "fail"),
    ],
)
def test_what_is_no_answer_of_a_provider_fails(upstream: Upstream, tmp_path: Path, script: Any, status: str) -> None:
    upstream.expect(script, path="/key")
    assert asked(tmp_path, upstream.url).status_of("provider p", "answer") == status


def test_a_server_that_does_not_speak_as_openrouter_does_is_a_warning(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(json_reply([BODY]), path="/key")
    upstream.expect(json_reply([BODY]), path="/credits")
    assert asked(tmp_path, upstream.url).status_of("provider p", "key") == "warn"


@pytest.mark.parametrize(
    ("hours", "status", "side"),
    [(1, "fail", "behind"), (-1, "fail", "ahead of"), (0, "pass", ""), (0.01, "warn", "behind")],
)
def test_a_clock_that_is_off_is_told_with_its_side(
    upstream: Upstream, tmp_path: Path, hours: float, status: str, side: str
) -> None:
    async def dated(wire: Wire) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
        await json_reply({"data": []}, headers=[("Date", date)])(wire)

    upstream.expect(dated, path="/models")
    row = asked(tmp_path, upstream.url, "openai").one("clock", "offset")
    assert row["status"] == status
    assert side in row["found"]


def test_a_proxy_is_gone_through_and_its_password_is_not_shown(upstream: Upstream, tmp_path: Path) -> None:
    upstream.expect(json_reply({"data": []}), path="/models")
    proxy = f"http://me:{PROXY_PASSWORD}@127.0.0.1:{upstream.port}"
    found = asked(tmp_path, "http://provider.invalid", "openai", proxy=proxy)
    assert found.failed == []
    assert f"to the proxy 127.0.0.1:{upstream.port}" in found.one("provider p", "connect")["found"]
    assert upstream.call.target == "http://provider.invalid/api/v1/models"


def test_offline_asks_nobody(upstream: Upstream, tmp_path: Path) -> None:
    provider = {"kind": "openrouter", "base_url": f"{upstream.url}/api/v1", "api_key": PROVIDER_KEY}
    found = visit(tmp_path, usual(tmp_path, providers={"p": provider}), "--offline")
    assert found.one("provider p", "reach")["found"] == "skipped (--offline)"
    assert found.one("clock", "offset")["found"] == "skipped (--offline)"
    assert (found.failed, upstream.calls) == ([], [])


def test_a_mock_elsewhere_is_asked_as_openrouter_is_and_bills_nothing(tmp_path: Path) -> None:
    with Mock() as mock:
        found = visit(tmp_path, usual(tmp_path, providers={"p": mock.provider()}))
        assert mock.bill() == []
    assert found.one("provider p", "key")["found"] == "accepted; $100.00 of credit is left"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for 127.0.0.1, signed by themselves: good for 60 days, for 10, and expired."""
    assert shutil.which("openssl"), "openssl is not on the PATH; install the Debian package `openssl`"
    folder = tmp_path_factory.mktemp("keys")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    request = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "request", "-subj", "/CN=x"]
    sign = ["x509", "-req", "-in", "request", "-signkey", "key", "-extfile", "names"]
    for command in (request, *([*sign, "-days", days, "-out", f"{days}.pem"] for days in ("60", "10", "-1"))):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secured(request: pytest.FixtureRequest, keys: Path) -> Iterator[tuple[Upstream, Path]]:
    """An upstream with the certificate of so many days."""
    certificate = keys / f"{request.param}.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, keys / "key")
    with Upstream(tls=context) as server:
        yield server, certificate


@pytest.mark.parametrize(
    ("secured", "trusted", "status", "words"),
    [
        (60, True, "pass", "valid for 59 more days"),
        (10, True, "warn", "valid for 9 more days only"),
        (-1, True, "fail", "certificate has expired"),
        (60, False, "fail", "self-signed certificate, which is unknown here"),
        (60, False, "fail", "`ca_file:`, or SSL_CERT_FILE"),
    ],
    indirect=["secured"],
)
def test_a_certificate_is_shown_with_its_days(
    secured: tuple[Upstream, Path], tmp_path: Path, trusted: bool, status: str, words: str
) -> None:
    server, certificate = secured
    server.expect(json_reply({"data": []}), path="/models")
    provider = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key": PROVIDER_KEY}
    env = {"SSL_CERT_FILE": str(certificate)} if trusted else {}
    found = visit(tmp_path, usual(tmp_path, providers={"p": provider}), env=env)
    assert found.status_of("provider p", "certificate") == status
    assert words in found.one("provider p", "certificate")["found"].replace("self signed", "self-signed")
    assert found.failed == ([("provider p", "certificate")] if status == "fail" else [])
    assert len(server.calls) == (0 if status == "fail" else 1)
    if status == "fail":
        step = found.one("provider p", "certificate")["next"]
        assert step.endswith(f"openssl s_client -connect {server.url.removeprefix('https://')}")


def test_a_ca_file_is_believed(tmp_path: Path, keys: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "60.pem", keys / "key")
    with Upstream(tls=context) as server:
        server.expect(json_reply({"data": []}), path="/models")
        provider = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key": PROVIDER_KEY}
        provider["ca_file"] = str(keys / "60.pem")
        found = visit(tmp_path, usual(tmp_path, providers={"p": provider}))
    assert found.status_of("provider p", "certificate") == "pass"
    assert found.status_of("provider p", "key") == "pass"
