"""A real daemon before the mock command as a process of its own: OpenRouter-, OpenAI- and Anthropic-shaped providers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from harness.daemon import REPOSITORY, Daemon

KEY = "sk-alice-sdk-test"


@pytest.fixture(scope="module")
def mock_root() -> Iterator[str]:
    """The address of a `tollkeeper mock` process, without a path."""
    command = [sys.executable, "-m", "proxy", "mock", "--port", "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield "http://" + line.partition("http://")[2].partition("/")[0]
        process.terminate()
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def daemon(mock_root: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon, with a key and three providers."""
    config = {
        "providers": {
            "openrouter": {"api_key": "sk-or-upstream", "base_url": f"{mock_root}/api/v1"},
            "direct": {"kind": "openai", "api_key": "sk-oai-upstream", "base_url": f"{mock_root}/openai/v1"},
            "claude": {"kind": "anthropic", "api_key": "sk-ant-upstream", "base_url": f"{mock_root}/anthropic/v1"},
        },
        "keys": {"alice": {"key": KEY}},
        "models": {"house": {"target": "openai/gpt-4o", "defaults": {"max_tokens": 3}}},
        "retries": {"first_wait": 0.01},
    }
    with Daemon(config, tmp_path_factory.mktemp("sdk"), key=KEY) as running:
        yield running
        assert running.stop() == 0, running.output
