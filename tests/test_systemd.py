"""The units are sound, tight and true: judged by systemd's own tools, and run by a real systemd."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.inside import CHAT, MANY, PROBE
from harness.machine import Machine, missing_systemd, why_not

UNITS = Path(__file__).parents[1] / "systemd"
SERVICE = UNITS / "tollkeeper.service"
SOCKET = UNITS / "tollkeeper.socket"
USER = UNITS / "user" / "tollkeeper.service"
MOST_EXPOSED = 1.2
SYSTEMD = missing_systemd()
# What a sandbox could break: starting, files watched, secrets sealed, stores written, both lanes, the log.
END_TO_END = [
    f"tests/daemon/test_{name}.py" for name in ("start", "reload", "settings", "two_ways_in", "wire_http", "log_sink")
]
END_TO_END_SECONDS = 240
# The tests themselves look into the kernel's tables of sockets, which the daemon may not.
FOR_THE_TESTS = (
    "WorkingDirectory=/opt/tollkeeper/source",
    "RestrictAddressFamilies=AF_NETLINK",
    f"TimeoutStartSec={END_TO_END_SECONDS}",
)

PROVIDER_KEY = "sk-or-credential-canary"
CONFIG = """\
providers:
  openrouter: {api_key_file: tollkeeper.openrouter, base_url: "http://127.0.0.1:9/api/v1"}
  mock: {}
keys:
  alice: {key: "${ALICE_KEY}"}
catalogue: {refresh: never}
shutdown: {drain: 5}
log: {format: json}
"""


def tool(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one of systemd's own tools, which has to be there."""
    assert SYSTEMD is None, SYSTEMD
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8", **env}, check=False, timeout=60
    )


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Every assignment of a unit, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def as_installed(unit: Path, folder: Path) -> str:
    """A copy of the unit whose command exists here."""
    command = folder / "tollkeeper"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    copy = folder / unit.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={command}", unit.read_text()))
    return str(copy)


@pytest.mark.parametrize(
    ("units", "scope"), [((SERVICE, SOCKET), "--system"), ((SERVICE,), "--system"), ((USER,), "--user")]
)
def test_systemd_has_nothing_to_say_against_the_units(units: tuple[Path, ...], scope: str, tmp_path: Path) -> None:
    copies = [as_installed(unit, tmp_path) for unit in units]
    done = tool("systemd-analyze", scope, "verify", *copies, XDG_RUNTIME_DIR=str(tmp_path))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_judge_of_units_does_judge(tmp_path: Path) -> None:
    copy = Path(as_installed(SERVICE, tmp_path))
    copy.write_text(copy.read_text().replace("Type=notify", "Type=nonsense"))
    done = tool("systemd-analyze", "verify", str(copy))
    assert "Failed to parse service type" in done.stdout + done.stderr


def test_the_service_is_hardly_exposed() -> None:
    done = tool("systemd-analyze", "security", "--offline=true", f"--threshold={int(MOST_EXPOSED * 10)}", str(SERVICE))
    level = re.search(r"Overall exposure level for tollkeeper\.service: (\d+\.\d)", done.stdout)
    assert level, done.stdout + done.stderr
    assert float(level[1]) <= MOST_EXPOSED
    assert done.returncode == 0


@pytest.mark.parametrize("unit", [SERVICE, USER], ids=["system", "user"])
def test_the_units_stay_within_what_debian_12_knows_and_metrics_need(unit: Path) -> None:
    settings = settings_of(unit)
    assert settings["Type"] == ["notify"], "notify-reload is unknown to systemd 252"
    assert "ProcSubset" not in settings, "it would take away /proc/stat, which the process metrics read"
    assert settings["NotifyAccess"] == ["main"]
    assert "WatchdogSec" in settings


def test_the_service_stands_alone_and_the_socket_speaks_for_the_default_port() -> None:
    settings = settings_of(SERVICE)
    assert not {"Sockets", "Requires", "BindsTo", "Requisite"} & set(settings)
    assert "tollkeeper.socket" not in SERVICE.read_text()
    assert settings_of(SOCKET)["ListenStream"] == ["127.0.0.1:8655"]


def confined(program: str, name: str, *further: str) -> str:
    """The service's unit around another Python program that runs once, its output in a file of that name."""
    once = SERVICE.read_text().replace("Type=notify", "Type=oneshot").replace("Restart=on-failure", "Restart=no")
    unit = re.sub(r"(?m)^ExecStart=.*$", f"ExecStart=/opt/tollkeeper/bin/python {program}", once)
    output = [f"StandardOutput=file:/var/log/{name}", "StandardError=inherit"]
    return "\n".join([unit, "[Service]", *output, *further, ""])


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the daemon installed as docs/install.md says."""
    assert SYSTEMD is None, SYSTEMD
    if reason := why_not():
        pytest.skip(f"the units cannot be run here: {reason}")
    files = {
        "/units/tollkeeper.service": SERVICE.read_text(),
        "/units/tollkeeper.socket": SOCKET.read_text(),
        "/units/tollkeeper.service.d/soon.conf": "[Service]\nWatchdogSec=3s\nTimeoutStartSec=20s\n",
        "/units/probe.service": confined("/opt/tollkeeper/probe.py", "probe"),
        "/units/tests.service": confined("-m pytest -n 2 " + " ".join(END_TO_END), "tests", *FOR_THE_TESTS),
        "/opt/tollkeeper/probe.py": PROBE,
        "/etc/tollkeeper/config.yaml": CONFIG,
        "/etc/credstore/tollkeeper.openrouter": f"{PROVIDER_KEY}\n",
        "/etc/default/tollkeeper": "ALICE_KEY=sk-alice\n",
    }
    with Machine(tmp_path_factory.mktemp("machine"), files) as running:
        yield running


@pytest.fixture
def service(machine: Machine) -> Iterator[Machine]:
    """The service, running; stopped in the end."""
    machine.run("systemctl", "reset-failed")
    machine.run("systemctl", "start", "tollkeeper.service")
    yield machine
    machine.run("systemctl", "stop", "tollkeeper.service", "tollkeeper.socket")


def wait_until(machine: Machine, holds: Callable[[], bool], seconds: float) -> None:
    """Ask systemd again and again; each question takes it some milliseconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s:\n{machine.log}"


def asked(machine: Machine) -> tuple[int, str]:
    """One chat completion: status and body."""
    status, body = json.loads(machine.python(f"{CHAT}\nprint(json.dumps(chat()))"))
    return status, body


def test_the_service_is_ready_when_systemd_says_so_and_answers(service: Machine) -> None:
    assert service.shown("ActiveState") == "active"
    status, body = asked(service)
    assert status == 200, body
    assert json.loads(body)["choices"][0]["message"]["content"] == "Hello"
    assert "in flight" in service.shown("StatusText")


def test_the_providers_key_comes_as_a_credential_and_is_shown_nowhere(service: Machine) -> None:
    line = next(line for line in service.log.splitlines() if line.startswith("Provider openrouter"))
    assert "/run/credentials/tollkeeper.service/tollkeeper.openrouter" in line
    assert PROVIDER_KEY not in service.log + service.run("systemctl", "show", "tollkeeper.service")
    assert "sk-alice" not in service.log + service.run("systemctl", "show", "tollkeeper.service")


def test_the_state_is_the_services_own(service: Machine) -> None:
    mode, owner = service.run("stat", "-L", "-c", "%a %u", "/var/lib/tollkeeper").split()
    assert mode == "700"
    assert int(owner) >= 61184, "DynamicUser= takes its numbers from there on"
    assert service.run("readlink", "/var/lib/tollkeeper").strip() == "private/tollkeeper"


def test_a_process_under_the_unit_can_do_what_it_needs_and_nothing_else(machine: Machine) -> None:
    machine.run("sh", "-c", "touch /tmp/of-the-system; chmod 600 /etc/default/tollkeeper")
    machine.run("systemctl", "start", "probe.service")
    found = json.loads(machine.run("cat", "/var/log/probe"))
    status = found.pop("status")
    works = {name for name, outcome in found.items() if outcome == "works"}
    assert works == {
        "write its state",
        "read the configuration",
        "read a credential",
        "read what process metrics need",
        "use the network",
    }, found
    assert status.pop("Seccomp") == "2"
    assert status.pop("NoNewPrivs") == "1"
    assert set(status.values()) == {"0" * 16}


@pytest.mark.timeout(END_TO_END_SECONDS + 60)
def test_the_end_to_end_tests_that_a_sandbox_could_break_pass_under_the_unit(machine: Machine) -> None:
    machine.run("systemctl", "start", "tests.service", check=False, seconds=END_TO_END_SECONDS + 30)
    output = machine.run("cat", "/var/log/tests")
    assert machine.shown("Result", "tests.service") == "success", output[-5000:]
    assert int(re.findall(r"(\d+) passed", output)[-1]) > 80


def test_reload_keeps_the_process(service: Machine) -> None:
    before = service.shown("MainPID")
    service.run("systemctl", "reload", "tollkeeper.service")
    assert asked(service)[0] == 200
    # `systemctl reload` returns when the signal is sent; the unit says `reloading` until the daemon has read it all.
    wait_until(service, lambda: service.shown("ActiveState") != "reloading", 20)
    assert (service.shown("ActiveState"), service.shown("MainPID")) == ("active", before)
    assert service.shown("NRestarts") == "0"


def test_the_doctor_sees_the_service_as_root(service: Machine) -> None:
    asking = (
        "set -a; . /etc/default/tollkeeper; CREDENTIALS_DIRECTORY=/etc/credstore exec /opt/tollkeeper/bin/tollkeeper"
    )
    printed = service.run("sh", "-c", f"{asking} doctor --json", check=False)
    found = {(row["group"], row["name"]): row for row in json.loads(printed)["checks"]}
    assert ("systemd", "active") in found, printed
    assert found["systemd", "active"]["status"] == "pass", found
    assert found["systemd", "enabled"]["next"] == "systemctl enable tollkeeper"
    assert found["daemon", "control socket"]["status"] == found["ports", "data port"]["status"] == "pass"
    assert found["state", "directory"]["found"].startswith("/var/lib/tollkeeper, ")
    failed = [name for name, row in found.items() if row["status"] == "fail"]
    assert failed == [("provider openrouter", "connect")], "nobody listens where its base_url points"
    assert PROVIDER_KEY not in printed and "sk-alice" not in printed


def test_stopping_is_clean(service: Machine) -> None:
    service.run("systemctl", "stop", "tollkeeper.service")
    assert service.shown("Result") == "success"
    assert service.shown("ExecMainStatus") == "0"


def test_a_daemon_that_hangs_is_replaced(service: Machine) -> None:
    before = service.shown("MainPID")
    service.run("kill", "-STOP", before)
    wait_until(service, lambda: service.shown("NRestarts") == "1", 20)
    wait_until(service, lambda: service.shown("ActiveState") == "active", 20)
    assert service.shown("MainPID") != before
    assert "Fatal Python error: Aborted" in service.log, "the traceback says where it hung"
    assert asked(service)[0] == 200


def test_a_broken_configuration_ends_in_a_failed_unit_and_a_reason_not_in_a_storm(machine: Machine) -> None:
    machine.run("sh", "-c", "echo 'prividers: {}' > /etc/tollkeeper/config.yaml")
    try:
        machine.run("systemctl", "start", "tollkeeper.service", check=False)
        wait_until(machine, lambda: machine.shown("ActiveState") == "failed", 30)
        assert int(machine.shown("NRestarts")) <= 5
        assert "did you mean providers?" in machine.log
    finally:
        machine.run("sh", "-c", 'printf %s "$0" > /etc/tollkeeper/config.yaml', CONFIG)
        machine.run("systemctl", "reset-failed")


def test_the_socket_starts_the_service_and_keeps_the_port_while_it_restarts(machine: Machine) -> None:
    machine.run("systemctl", "reset-failed")
    machine.run("systemctl", "start", "tollkeeper.socket")
    try:
        assert machine.shown("ActiveState") == "inactive"
        assert asked(machine)[0] == 200, "the first call starts the service"
        calls = subprocess.Popen(machine.in_network(MANY), stdout=subprocess.PIPE, text=True)
        with calls:
            assert calls.stdout is not None
            assert calls.stdout.readline() == "calling\n"
            for _ in range(3):
                machine.run("systemctl", "restart", "tollkeeper.service")
            assert asked(machine)[0] == 200
            calls.terminate()
            counted = json.loads(calls.stdout.readline())
        assert counted["refused"] == counted["broken"] == 0, counted
        assert counted["answered"] > 10
    finally:
        machine.run("systemctl", "stop", "tollkeeper.service", "tollkeeper.socket")
