"""What commands import before they do anything, when they ask a daemon that runs, and where none does. Without a clock."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.surroundings import surroundings

from proxy.cli.stopped.orders import SUBJECTS

LIBRARIES = {
    "aiohttp", "alembic", "asyncio", "cryptography", "prometheus_client", "pydantic", "sqlalchemy", "structlog", "uvloop"
}  # fmt: skip
OURS = {
    "proxy.app", "proxy.config.load", "proxy.doctor.visit", "proxy.exchange.record", "proxy.policy.values", "proxy.stores.database",
    "proxy.web.operator.admin_api", "proxy.wire.call",
}  # fmt: skip
HEAVY = LIBRARIES | OURS
ALL_COMMANDS = """
import sys
import click
from proxy.cli import main
for name in main.list_commands(None):
    assert main.get_command(click.Context(main), name), name
print("\\n".join(sys.modules))
"""


CONFIG = {"providers": {"mock": {}}, "models": {"one": "mock/echo"}, "keys": {"ann": {"key": "sk-ann-1234567890"}}}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIG, tmp_path_factory.mktemp("imports")) as running:
        yield running


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a daemon that has ended."""
    with Daemon(CONFIG, tmp_path_factory.mktemp("left")) as ended:
        pass
    return ended.folder


def imported(folder: Path, *words: str) -> set[str]:
    """What one command imports, by the interpreter's own account."""
    command = [sys.executable, "-X", "importtime", "-m", "proxy", *words]
    env = surroundings(folder, PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_no_command_imports_anything_heavy_before_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALL_COMMANDS], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    assert "proxy.cli.usage" in modules
    assert modules & (HEAVY | {"rich", "yaml", "http.server", "difflib"}) == set()


@pytest.mark.parametrize(
    "words",
    ["usage", "savings", "sessions list", "keys list", "budgets", "explain one", "models", "audit", "settings list",
     "tenants list", "providers list", "health", "connect"],
)  # fmt: skip
def test_what_is_asked_of_a_daemon_needs_nothing_heavy(daemon: Daemon, tmp_path: Path, words: str) -> None:
    assert imported(tmp_path, *words.split(), "--config", str(daemon.folder / "config.yaml")) & HEAVY == set()


@pytest.mark.parametrize(
    "words",
    ["usage", "keys list", "tenants list", "budgets", "explain one", "models", "savings", "sessions list", "audit", "settings list", "experiments list",
     "alerts list"],
)  # fmt: skip
def test_what_is_read_of_files_needs_neither_a_server_nor_sqlalchemy(left: Path, tmp_path: Path, words: str) -> None:
    found = imported(tmp_path, *words.split(), "--config", str(left / "config.yaml"))
    assert "proxy.config.load" in found
    assert found & (LIBRARIES - {"asyncio", "pydantic"}) == set()


def test_every_order_on_files_is_in_the_module_that_the_table_names() -> None:
    there = {module: tuple(importlib.import_module(f"proxy.cli.stopped.{module}").ORDERS) for module in SUBJECTS}
    assert there == SUBJECTS


def test_the_doctor_needs_neither_a_server_nor_sqlalchemy_before_it_looks() -> None:
    code = "import proxy.doctor.visit, sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & (LIBRARIES - {"asyncio", "pydantic"}) == set()
