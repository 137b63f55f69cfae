"""The mock upstream as a process of its own, and the bill it keeps."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any, Self

from harness.daemon import REPOSITORY
from harness.surroundings import PATIENCE_SECONDS


class Mock:
    """`with Mock() as mock:`; `root` is its address without a path, `bill` what it charged since `forget`. `port` 0: any."""

    root = ""
    _process: subprocess.Popen[str]

    def __init__(self, port: int = 0) -> None:
        self._port = port

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "proxy", "mock", "--port", str(self._port)]
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.root = "http://" + line.partition("http://")[2].partition("/")[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(PATIENCE_SECONDS) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()

    def provider(self, kind: str = "openrouter", **members: Any) -> dict[str, Any]:
        """The configuration of a provider that is this mock."""
        prefix = {"openrouter": "/api/v1", "mock": "/api/v1", "openai": "/openai/v1", "anthropic": "/anthropic/v1"}
        own = {"kind": kind, "base_url": self.root + prefix[kind]}
        return {**own, **({} if kind == "mock" else {"api_key": "sk-upstream"}), **members}

    def bill(self) -> list[dict[str, Any]]:
        """Every call it started, oldest first; amounts are Decimal."""
        rows: list[dict[str, Any]] = json.loads(self._ask("GET"), parse_float=Decimal)["rows"]
        return [{**row, "cost": Decimal(row["cost"])} for row in rows]

    def billed(self) -> Decimal:
        """USD of all of them."""
        return sum((row["cost"] for row in self.bill()), Decimal(0))

    def forget(self) -> None:
        """Start the bill anew."""
        self._ask("DELETE")

    def _ask(self, method: str) -> bytes:
        connection = http.client.HTTPConnection(self.root.removeprefix("http://"), timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, "/mock/bill")
            return connection.getresponse().read()
        finally:
            connection.close()
