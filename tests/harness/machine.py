"""A throw-away machine whose PID 1 is the installed systemd: namespaces over this one, to run real units in."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).parents[2]
BOOT_SECONDS = 30.0
COMMAND_SECONDS = 60.0
SYSTEMD = Path("/lib/systemd/systemd")
COMMAND = "/opt/tollkeeper/bin/tollkeeper"
LOG = "/var/log/tollkeeper.log"

_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts", "--cgroup")
_PACKAGES = Path(sysconfig.get_path("purelib"))
_TARGETS = ("sysinit", "basic", "shutdown", "sockets", "network-online", "multi-user", "default")
_TARGET = "[Unit]\nDescription={0}\nDefaultDependencies=no\nAllowIsolate=yes\n"
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
# A virtual environment where docs/install.md puts it: the interpreter and the packages of the tests, this source.
_TOLLKEEPER = """#!/opt/tollkeeper/bin/python
import sys
sys.path.insert(0, "/opt/tollkeeper/source")
from proxy.cli import main
main()
"""
_INSTALLED = ((REPOSITORY, "source"), (Path(sys.base_prefix), "base"), (_PACKAGES, f"lib/{_VERSION}/site-packages"))


def why_not() -> str | None:
    """Say what this machine lacks for making another one; nothing if it can."""
    if os.geteuid() != 0:
        return "making namespaces and control groups needs root"
    probe = subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    if probe.returncode:
        return f"this machine does not allow namespaces: {probe.stderr.decode().strip()}"
    return None if _control_groups("probe") else "there are no control groups to put systemd into"


class Machine:
    """`with Machine(folder, files) as machine:`; `files` are laid over its root, units under /units."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._folder = folder
        self._files = dict(files)
        self._groups: list[Path] = []
        self._process: subprocess.Popen[bytes]
        self._first = 0

    def __enter__(self) -> Self:
        self._lay_out()
        self._groups = _control_groups(f"tollkeeper-{os.getpid()}-{self._folder.name}")
        for group in self._groups:
            group.mkdir()
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with notify:
                notify.bind(str(self._folder / "notify"))
                notify.settimeout(BOOT_SECONDS)
                self._boot()
                while b"READY=1" not in notify.recv(4096).split(b"\n"):
                    continue
        except TimeoutError:
            self.__exit__()
            raise AssertionError(f"the machine did not boot:\n{(self._folder / 'console').read_text()}") from None
        except BaseException:
            self.__exit__()
            raise
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self._first = int(children.read_text().split()[0])
        return self

    def _boot(self) -> None:
        script = str(Path(__file__).with_suffix(".sh"))
        places = [text for path, name in _INSTALLED for text in (str(path), f"/opt/tollkeeper/{name}")]
        joined = [f"echo $$ > {group}/cgroup.procs" for group in self._groups]
        entering = ["sh", "-ec", "; ".join([*joined, 'exec "$@"']), "sh"]
        command = [*entering, *_UNSHARE, "sh", script, str(self._folder), *places]
        with (self._folder / "console").open("wb") as console:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)

    def _lay_out(self) -> None:
        log = f"[Service]\nStandardOutput=append:{LOG}\nStandardError=append:{LOG}\n"
        own = {f"/units/{name}.target": _TARGET.format(name) for name in _TARGETS}
        own |= {
            "/opt/tollkeeper/pyvenv.cfg": "home = /opt/tollkeeper/base/bin\ninclude-system-site-packages = false\n",
            COMMAND: _TOLLKEEPER,
        }
        own |= {"/units/tollkeeper.service.d/log.conf": log}
        for name, text in {**own, **self._files}.items():
            file = self._folder / "in" / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        command = self._folder / "in" / COMMAND.lstrip("/")
        command.chmod(0o755)
        command.with_name("python").symlink_to(f"/opt/tollkeeper/base/bin/{_VERSION}")

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_process"):
            os.kill(
                self._first or self._process.pid, signal.SIGKILL
            )  # PID 1 takes every process of its machine with it
            self._process.wait()
        for group in self._groups:
            _remove(group)

    def run(self, *command: str, check: bool = True, seconds: float = COMMAND_SECONDS) -> str:
        """Run a command inside, as root; return what it printed."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=seconds, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.log}"
        return done.stdout + done.stderr

    def inside(self, *command: str) -> Sequence[str]:
        """The command line that runs `command` inside."""
        flags = ("--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--root", "--wd")
        return ["nsenter", "--target", str(self._first), *flags, *command]

    def python(self, code: str) -> str:
        """Run a program of ours in the machine's network, and nowhere else in it; return what it printed."""
        done = subprocess.run(
            self.in_network(code), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.log}"
        return done.stdout

    def in_network(self, code: str) -> list[str]:
        """The command line of `python`, for what is to go on for a while."""
        return ["nsenter", "--target", str(self._first), "--net", sys.executable, "-c", code]

    def shown(self, name: str, unit: str = "tollkeeper.service") -> str:
        """One property of a unit, as `systemctl show` has it."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    @property
    def log(self) -> str:
        """What the service has printed and logged."""
        return subprocess.run(self.inside("cat", LOG), capture_output=True, text=True, check=False).stdout


def _control_groups(name: str) -> list[Path]:
    """Where a new group has to be made: in systemd's own hierarchies, of whichever version."""
    top = Path("/sys/fs/cgroup")
    places = [top] if (top / "cgroup.procs").exists() else [top / "systemd", top / "unified"]
    return [place / name for place in places if os.access(place / "cgroup.procs", os.W_OK)]


def _remove(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError as error:
            print(f"a control group stays behind: {error}", file=sys.stderr)


def missing_systemd() -> str | None:
    """A sentence naming the Debian package, if systemd is not installed."""
    if SYSTEMD.exists() and shutil.which("systemd-analyze"):
        return None
    return "systemd-analyze is not on the PATH; install the Debian package `systemd`"
