"""Where the examples of the pages are run: a home without anything, one with keys, and daemons before the mock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from example_blocks import BLOCKS, ROOT
from harness.daemon import Daemon
from harness.http import Reply
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS, surroundings

ALICE, ADMIN = "sk-alice-example", "token-example"
PROMPT = "Every call passes the toll, and every toll is written down."
KEYS = {
    "ALERT_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "SMTP_PASSWORD": "smtp-secret",
    "SLACK_URL": "https://hooks.slack.com/services/T/B/x",
    "OPENROUTER_API_KEY": "sk-or-example",
    "ANTHROPIC_API_KEY": "sk-ant-example",
    "ALICE_KEY": ALICE,
    "ACME_KEY": "sk-or-acme",
}
BROKEN = """\
listen:
  prot: 8655
providers:
  openrouter:
    api_key: ${OPENROUTER_KEY}
    base_url: https://openrouter.ai/api/v1
routes: [{match: "openai/*", provider: openruter}]
retries: {attempts: 0}
"""


@dataclass
class Scene:
    """A home to type commands in."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    daemon: Daemon | None = None
    request_id: str = ""

    def run(self, command: str) -> str:
        """What a shell prints for it, with paths, ports and ids as the pages have them."""
        for written, real in self._stands_for():
            command = command.replace(written, real)
        env = surroundings(
            self.folder, PATH=f"{self.folder}/bin:{os.environ['PATH']}", TZ="UTC", COLUMNS="130", **self.env
        )
        done = subprocess.run(
            ["bash", "-c", command], check=False, cwd=self.folder, env=env, text=True, timeout=PATIENCE_SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        printed = done.stdout
        for written, real in self._stands_for():
            printed = printed.replace(real, written)
        return printed if not printed or printed.endswith("\n") else f"{printed}\n"

    def change(self, **sections: object) -> None:
        """Other sections in the daemon's file."""
        file = self.folder / "config.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **sections}))

    def sections(self, name: str) -> dict[str, object]:
        """A section of the daemon's file."""
        found: dict[str, object] = yaml.safe_load((self.folder / "config.yaml").read_text())[name]
        return found

    def _stands_for(self) -> Iterator[tuple[str, str]]:
        yield "/home/alice", str(self.folder)
        if self.daemon is not None:
            yield "127.0.0.1:8655", f"127.0.0.1:{self.daemon.port}"
            yield "127.0.0.1:8656", f"127.0.0.1:{self.daemon.admin_port}"
        if self.request_id:
            yield "req_dfd3ac90e835c0674f1a00ac", self.request_id


def home(folder: Path, **env: str) -> Scene:
    """A home with the command, and the files the examples speak of."""
    (folder / "bin").mkdir()
    command = folder / "bin" / "tollkeeper"
    command.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        PYTHONPATH={ROOT} exec {sys.executable} -m proxy "$@"
        """)
    )
    command.chmod(0o755)
    (folder / ".curlrc").write_text("silent\n")  # as on a terminal
    shutil.copy(ROOT / "config.example.yaml", folder)
    (folder / "config.example.yaml").chmod(0o600)
    (folder / "broken.yaml").write_text(BROKEN)
    (folder / ".config" / "fish" / "completions").mkdir(parents=True)
    theirs = next(block.body for block in BLOCKS if block.body.startswith("model_list:"))
    (folder / "litellm.yaml").write_text(theirs)
    return Scene(folder, env)


def with_keys(folder: Path) -> Scene:
    """The same, with a configuration that wants keys."""
    scene = home(folder, **KEYS, TOLLKEEPER_CONFIG=str(folder / "keys.yaml"))
    (folder / "keys.yaml").write_text(
        'providers: {openrouter: {api_key: "${OPENROUTER_API_KEY}"}}\nkeys: {alice: {key: "${ALICE_KEY}"}}\n'
    )
    return scene


@contextmanager
def running(folder: Path) -> Iterator[Scene]:
    """The daemon of the commands' examples: alice has made four calls."""
    day, month = {"usd": 1, "per": "day", "tz": "UTC"}, {"usd": 5, "per": "month", "tz": "UTC"}
    limits = [{"requests": 60, "per": "minute"}]
    config = {
        "providers": {"mock": {}},
        "keys": {"alice": {"key": ALICE, "limits": limits, "budgets": [day, month]}},
        "budgets": [{"usd": 100, "per": "month", "tz": "UTC"}],
        "sessions": {"budget": 1},
        "admin": {"port": 0, "token": ADMIN},
        "shutdown": {"drain": 1},
    }
    scene = home(folder, TOLLKEEPER_CONFIG=str(folder / "config.yaml"), ADMIN_TOKEN=ADMIN)
    with Daemon(config, folder, key=ALICE, env={"TZ": "UTC"}) as daemon:
        scene.daemon = daemon
        for model in ("mock/echo?cost=0.31", "mock/echo?cost=0.12", "mock/echo"):
            assert said(daemon, model, session_id="ses-4f1c").status == 200
        scene.request_id = str(said(daemon, "mock/slow?ttft=0.3", stream=True).request_id)
        yield scene


@contextmanager
def in_the_open(folder: Path, mock: Mock) -> Iterator[Scene]:
    """A daemon without keys, before OpenRouter as the mock plays it."""
    scene = home(folder, TOLLKEEPER_CONFIG=str(folder / "config.yaml"))
    config = {"providers": {"openrouter": mock.provider(), "mock": {}}, "catalogue": {"refresh": "never"}}
    with Daemon({**config, "shutdown": {"drain": 1}}, folder) as daemon:
        scene.daemon = daemon
        yield scene


def said(daemon: Daemon, model: str, **members: object) -> Reply:
    """A chat with the prompt of the examples."""
    messages = [{"role": "user", "content": PROMPT}]
    return daemon.post("/v1/chat/completions", {"model": model, "messages": messages, **members})
