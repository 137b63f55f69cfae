"""The commands on money as processes, before a daemon with the built-in mock or on the files it left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.commands import Done, typed
from harness.daemon import Daemon

KEY = "sk-alice-canary"
ALICE = {"key": KEY, "budgets": [{"usd": 1, "per": "day"}], "limits": [{"requests": 600, "per": "minute"}]}
TOTAL = "key:alice:day"


class Desk:
    """One configuration and its state directory; `run` is a command on them."""

    def __init__(self, folder: Path, **members: Any) -> None:
        self.folder = folder
        self.config = {
            "providers": {"mock": {}},
            "models": {"dear": {"target": "mock/echo", "price": {"input": 1, "output": 1000}}},
            "keys": {"alice": ALICE},
            "budgets": [{"usd": 100, "per": "total"}],
            "shutdown": {"drain": 1},
            **members,
        }
        with self.daemon():
            pass  # its start writes the configuration and the state directory

    @contextmanager
    def daemon(self) -> Iterator[Daemon]:
        """The daemon, stopped in order at the end unless the test ended it."""
        with Daemon(self.config, self.folder, key=KEY) as running:
            yield running
            if running._process.poll() is None:
                assert running.stop() == 0, running.output

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """A command, with this configuration."""
        return typed(self.folder, *arguments, "--config", str(self.folder / "config.yaml"), **(env or {}))

    def json(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> str:
        """The sentence of a command that could not do it."""
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), done
        return done.stderr
