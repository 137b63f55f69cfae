"""What a start loads: what a call needs, and nothing that waits for its first use. Without a clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.events import chat_reply
from harness.http import Connection, Reply, request_bytes
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply
from harness.upstream import Upstream

# in the daemon's own process, before all else
TELLS = """
import os, sys, threading
def tell():
    while True:
        with open(os.environ["ASK_FOR_MODULES"]) as asked:
            asked.read()
        with open(os.environ["MODULES"], "w") as told:
            told.write("\\n".join(name for name, module in sorted(sys.modules.items()) if module is not None))
threading.Thread(target=tell, daemon=True).start()
"""
WAIT_FOR_USE = {
    "aiohttp.web",
    "aiohttp.client",
    "aiohttp.connector",
    "http.server",
    "argparse",
    "sqlalchemy",
    "alembic",
    "rich",
    "pygments",
    "difflib",
    "proxy.mock.server",
    "proxy.doctor",
    "proxy.config.new_key",
    "proxy.web.operator.dashboard",
}
PYDANTIC = "/pydantic_core/"


class Inside(Daemon):
    """A daemon that tells which modules it has loaded."""

    def __init__(self, upstream: Upstream, folder: Path) -> None:
        self._ask, self._told = folder / "ask", folder / "told"
        os.mkfifo(self._ask)
        os.mkfifo(self._told)
        (folder / "sitecustomize.py").write_text(TELLS)
        env = {"ASK_FOR_MODULES": str(self._ask), "MODULES": str(self._told), "PYTHONPATH": str(folder)}
        super().__init__(config_for(upstream), folder, key=CLIENT_KEY, env=env)

    def loaded(self) -> set[str]:
        with self._ask.open("w"):
            pass
        return set(self._told.read_text().split("\n"))


@pytest.fixture
def inside(upstream: Upstream, tmp_path: Path) -> Iterator[Inside]:
    with Inside(upstream, tmp_path) as daemon:
        yield daemon


def admin(daemon: Daemon, path: str) -> Reply:
    with Connection(daemon.admin_port) as connection:
        connection.send(request_bytes("GET", path, (), None, f"127.0.0.1:{daemon.admin_port}"))
        return connection.read_reply("GET")


def test_what_waits_for_its_use_is_not_loaded_when_it_listens(inside: Inside) -> None:
    loaded = inside.loaded()
    assert "proxy.app" in loaded
    assert loaded & WAIT_FOR_USE == set()


def test_calls_and_questions_of_the_ledger_need_no_sqlalchemy(inside: Inside, upstream: Upstream) -> None:
    upstream.expect(json_reply(chat_reply()), again=True)
    reply = inside.chat()
    assert reply.status == 200
    assert admin(inside, "/budgets").status == 200
    assert admin(inside, "/usage").json["total"]["calls"] == 1  # from the ledger, brought up to date first
    assert admin(inside, f"/calls/{reply.header('x-tollkeeper-request-id')}").status == 200
    assert inside.loaded() & WAIT_FOR_USE == set()


def test_what_read_the_configuration_is_gone_until_it_is_read_again(daemon: Daemon) -> None:
    assert PYDANTIC not in memory_map(daemon)
    assert {file.read_text() for file in Path(f"/proc/{daemon.pid}/task").glob("*/children")} == {""}
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log(lambda line: line.get("event") == "reloaded")
    assert PYDANTIC in memory_map(daemon)


def memory_map(daemon: Daemon) -> str:
    return Path(f"/proc/{daemon.pid}/maps").read_text()


def test_what_was_left_out_of_the_imports_is_there_again_afterwards() -> None:
    code = (
        "import os, sys; before = dict(os.environ);"
        "from proxy.cli.lean_imports import import_config_lean, import_lean; import_lean(); import_config_lean();"
        "assert {'aiohttp', 'structlog', 'pydantic'} < sys.modules.keys() and not {'rich', 'greenlet'} & sys.modules.keys();"
        "import rich, greenlet;"
        "assert dict(os.environ) == before;"
        "import aiohttp, prometheus_client, importlib.metadata;"
        "assert aiohttp.ClientSession.__module__ == 'aiohttp.client' and aiohttp.http.SERVER_SOFTWARE.endswith(aiohttp.__version__);"
        "assert aiohttp.__version__ == importlib.metadata.version('aiohttp') and not hasattr(aiohttp, 'nonesuch');"
        "assert prometheus_client.Counter"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_a_webhook_is_sent_to_whom_the_authorities_of_the_machine_vouch_for(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", "key", "-out", "cert"], cwd=tmp_path, check=True, capture_output=True)
    code = """
import asyncio, ssl
from proxy.cli.lean_imports import import_lean
import_lean()
import proxy.app
from proxy.exchange.background.webhooks import client, post
from proxy.policy.operators import Hook
from proxy.secret import Secret

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    writer.close()

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert", "key")
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    session = client()
    address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    told = await post(session, Hook(Secret("h"), None), address, ("id", b"{}"))
    print(told.status)
    await session.close()

asyncio.run(main())
"""
    env = os.environ | {"SSL_CERT_FILE": str(tmp_path / "cert"), "PYTHONPATH": str(REPOSITORY)}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    )
    assert told.stdout == "204\n"
