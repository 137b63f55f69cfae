"""TLS that fails says why, to the client and in the log, and names what would mend it."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.daemon import Daemon, chat_body
from harness.events import chat_reply
from harness.steps import json_reply
from harness.upstream import Upstream

StartDaemon = Callable[..., Daemon]
# what each certificate is: the name it is for, its days, and what is said of it where its file is believed
CERTIFICATES = {
    "good": ("IP:127.0.0.1", "60", ""),
    "expired": ("IP:127.0.0.1", "-1", "its certificate has expired"),
    "elsewhere": ("DNS:other.example", "60", "its certificate is for another name"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`key`, and certificates of it by name, signed by themselves."""
    folder = tmp_path_factory.mktemp("certificates")
    request = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "request", "-subj", "/CN=x"]
    subprocess.run(["openssl", *request], cwd=folder, check=True, capture_output=True)
    for name, (whose, days, _) in CERTIFICATES.items():
        (folder / "names").write_text(f"subjectAltName={whose}\n")
        sign = f"x509 -req -in request -signkey key -extfile names -days {days} -out {name}.pem"
        subprocess.run(["openssl", *sign.split()], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secured(request: pytest.FixtureRequest, folder: Path) -> Iterator[Upstream]:
    """An upstream with the certificate of that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{request.param}.pem", folder / "key")
    with Upstream(tls=context) as server:
        yield server


def provider(url: str, **members: object) -> dict[str, object]:
    """The configuration of one provider, tried once."""
    entry = {"kind": "openai", "base_url": f"{url}/v1", "api_key": "sk-x", **members}
    return {"providers": {"p": entry}, "routes": [], "models": {}, "retries": {"attempts": 1}}


def told(daemon: Daemon) -> str:
    """The message of a call that finds no provider, which the log has as well."""
    reply = daemon.post("/v1/chat/completions", chat_body("p/x"))
    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
    message = str(reply.error["message"])
    line = daemon.wait_for_log(lambda line: line.get("event") == "tls_handshake_failed")
    assert message == f"p cannot be reached: {line['reason'].removeprefix('p: ')}."
    return message


@pytest.mark.parametrize("secured", ["good"], indirect=True)
def test_an_unknown_authority(start_daemon: StartDaemon, secured: Upstream) -> None:
    daemon = start_daemon(**provider(secured.url))
    message = told(daemon)
    assert "it shows a self-signed certificate, which is unknown here" in message
    assert "`ca_file:`, or SSL_CERT_FILE" in message
    assert secured.calls == []


@pytest.mark.parametrize("secured", ["expired", "elsewhere"], indirect=True)
def test_a_certificate_of_a_known_authority_that_does_not_hold(
    start_daemon: StartDaemon, secured: Upstream, folder: Path, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["secured"]
    message = told(start_daemon(**provider(secured.url, ca_file=str(folder / f"{name}.pem"))))
    assert CERTIFICATES[name][2] in message
    assert "`ca_file:`, not those of SSL_CERT_FILE" in message


@pytest.mark.parametrize("secured", ["good"], indirect=True)
def test_a_ca_file_is_believed(start_daemon: StartDaemon, secured: Upstream, folder: Path) -> None:
    daemon = start_daemon(**provider(secured.url, ca_file=str(folder / "good.pem")))
    secured.expect(json_reply(chat_reply()))
    assert daemon.chat("p/x").json == chat_reply()
