"""`tollkeeper mock` as a process."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.mock import mock
from proxy.mock.behaviours import EXPECTED, OWN_OPTIONS

RUN = [sys.executable, "-c", "from proxy.cli.mock import mock; mock()"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_one_line_and_runs_until_told_to_stop(number: signal.Signals) -> None:
    with subprocess.Popen([*RUN, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"OpenRouter (http://127\.0\.0\.1:\d+)/api/v1 .*bill (\S+)", line)
        assert found is not None
        with urllib.request.urlopen(found[2], timeout=60) as reply:
            assert json.load(reply) == {"rows": [], "count": 0, "total": "0"}
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""


def test_a_taken_port_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(mock, ["--port", str(taken.getsockname()[1])])
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1 port" in result.output


def test_importing_the_command_does_not_import_the_server() -> None:
    code = "import sys, proxy.cli.mock; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_model_name_and_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mock.md").read_text()
    assert [name for name in OWN_OPTIONS if f"| `mock/{name}` |" not in page] == []
    assert [option for option in EXPECTED if not re.search(rf"`{option}[=`]", page)] == []
