"""Every block of docs/use-cases.md: its entries are taken and served, its programs run with the real SDK, its commands print it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from example_blocks import BLOCKS, ROOT, Block, shows
from example_scenes import Scene, home
from harness.daemon import Daemon
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS, surroundings

PAGE = "docs/use-cases.md"
MINE = [block for block in BLOCKS if block.page == PAGE]
WRITES = "WRITE_EXAMPLES" in os.environ


def of(language: str) -> list[Block]:
    return [block for block in MINE if block.language == language]


def entries() -> dict[str, Any]:
    """The entries of the page's files together; the first of a name counts."""
    found: dict[str, Any] = {}
    for block in of("yaml"):
        found = {**yaml.safe_load(block.body).get("models", {}), **found}
    return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("use-cases")
    made = home(folder, TOLLKEEPER_CONFIG=str(folder / "config.yaml"))
    with Mock() as mock:
        config = {
            "providers": {"openrouter": mock.provider(), "mock": {}, "worker": {"kind": "mock"}},
            "catalogue": {"refresh": "never"},
            "models": entries(),
            "shutdown": {"drain": 1},
        }
        with Daemon(config, folder) as daemon:
            made.daemon = daemon
            yield made
            assert daemon.stop() == 0, daemon.output


def test_every_block_is_run_here() -> None:
    kinds = [block.language or ("$" if block.body.startswith("$ ") else "?") for block in MINE]
    assert set(kinds) == {"yaml", "python", "$"}, kinds


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_a_program_runs(block: Block, scene: Scene, tmp_path: Path) -> None:
    assert scene.daemon is not None
    program = block.body.replace("127.0.0.1:8655", f"127.0.0.1:{scene.daemon.port}")
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, env=surroundings(tmp_path), capture_output=True, text=True,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "Who goes there?\n"), done.stderr


def test_the_commands_print_what_the_page_shows(scene: Scene) -> None:
    stale = []
    for block in MINE:
        if not block.body.startswith("$ "):
            continue
        fresh = "".join(f"$ {command}\n{scene.run(command)}" for command, _ in block.commands)
        if not shows(block.body, fresh):
            stale.append(f"{block} shows\n{block.body}\nand now it is\n{fresh}")
            if WRITES:
                file = ROOT / PAGE
                file.write_text(file.read_text().replace(block.body, fresh))
    assert WRITES or not stale, "\n".join(stale)


@pytest.mark.parametrize("name", [name for name, entry in entries().items() if "system" in entry])
def test_every_entry_of_the_page_is_served(name: str, scene: Scene) -> None:
    assert scene.daemon is not None
    needed = entries()[name].get("variables", {})
    given = {variable: "Ada" for variable, said in needed.items() if said.get("required")}
    reply = scene.daemon.chat(name, tollkeeper={"variables": given})
    assert reply.status == 200, reply.body
    assert (reply.header("x-tollkeeper-use-case") or "").startswith(f"{name}@1+")


def test_what_init_writes_has_the_ready_made_ones_as_comments() -> None:
    starter = (ROOT / "proxy" / "config" / "starter.yaml").read_text()
    ready = next(block for block in of("yaml") if "creative_writing" in block.body)
    written = re.sub(r"^  ", "  # ", ready.body.partition("\n")[2], flags=re.MULTILINE)
    assert written in starter
