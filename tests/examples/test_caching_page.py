"""Every block of docs/caching.md: its configuration is taken, its commands print what it shows."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from example_blocks import BLOCKS, ROOT, shows
from example_scenes import home
from harness.daemon import Daemon
from harness.mock import Mock

PAGE = "docs/caching.md"
MINE = [block for block in BLOCKS if block.page == PAGE]


def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    keys = {"NIGHTLY_KEY": "sk-nightly-example", "SUPPORT_KEY": "sk-support-example"}
    scene = home(tmp_path, TOLLKEEPER_CONFIG=str(tmp_path / "config.yaml"), **keys)
    stale = []
    with Mock() as mock:
        config = {
            **yaml.safe_load(next(block.body for block in MINE if block.language == "yaml")),
            "providers": {"openrouter": mock.provider()},
            "catalogue": {"refresh": "never"},
        }
        with Daemon(config, tmp_path, env=keys) as daemon:
            scene.daemon = daemon
            for block in (block for block in MINE if not block.language):
                fresh = "".join(f"$ {command}\n{scene.run(command)}" for command, _ in block.commands)
                if shows(block.body, fresh):
                    continue
                stale.append(f"{block} shows\n{block.body}\nand now it is\n{fresh}")
                if "WRITE_EXAMPLES" in os.environ:
                    file = ROOT / PAGE
                    file.write_text(file.read_text().replace(block.body, fresh))
            assert daemon.stop() == 0, daemon.output
    assert "WRITE_EXAMPLES" in os.environ or not stale, "\n".join(stale)
    assert {block.language for block in MINE} == {"yaml", ""}
