"""Starting processes on a chosen core, ending them, and reading from /proc what they use."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROXY_CORE = 0
END_SECONDS = 10


class BenchError(Exception):
    """The run cannot go on; the message is one line for whoever started it."""


class Process:
    """A child with everything it forks. Its output goes to a file, quoted when it does not start."""

    def __init__(self, name: str, command: Sequence[str], log: Path, more_env: dict[str, str] | None = None) -> None:
        """Start it on the proxies' core; the upstreams are moved afterwards."""
        self.name = name
        self._log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                _pinned(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | (more_env or {}),
            )

    @property
    def pid(self) -> int:
        """The process itself."""
        return self._child.pid

    @property
    def pids(self) -> list[int]:
        """The process and its descendants."""
        parents = _parents()
        found = [self._child.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def wait_until_answering(self, port: int, request: bytes, most_seconds: float = 15) -> float:
        """Wait for the first 200; return the seconds from the start to it."""
        if not self._comes_true(lambda: _answers(port, request), most_seconds):
            raise BenchError(f"{self.name} did not answer with 200. Its output ends with: {self._last_words()}")
        return time.monotonic() - self.started

    def wait_until_listening(self, port: int) -> None:
        """Wait until connections are taken."""
        if not self._comes_true(lambda: _listens(port), 15):
            raise BenchError(f"{self.name} did not start. Its output ends with: {self._last_words()}")

    def end(self) -> None:
        """Ask it to stop; insist after a while."""
        self._child.terminate()
        try:
            self._child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _comes_true(self, condition: Callable[[], bool], most_seconds: float) -> bool:
        end = time.monotonic() + most_seconds
        while time.monotonic() < end and self._child.poll() is None:
            if condition():
                return True
            time.sleep(0.002)
        return False

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-600:].strip() or "(nothing)"


def run_ours(*arguments: str) -> None:
    """A `tollkeeper` command. Raises `BenchError` with what it said."""
    command = [sys.executable, "-m", "proxy", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode:
        raise BenchError(f"tollkeeper {arguments[0]} failed: {ran.stderr.strip()[-300:]}")


def on_other_core(process: Process) -> None:
    """Move a process beside the load generator."""
    for pid in process.pids:
        os.sched_setaffinity(pid, _other_cores())


def pin_self() -> None:
    """Keep the load generator off the proxies' core, and allow it and its children enough open files."""
    os.sched_setaffinity(0, _other_cores())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def core_count() -> int:
    """The cores of this machine."""
    return os.cpu_count() or 1


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time used so far, to the nanosecond where the kernel offers the process's clock."""
    return sum(_cpu_seconds(pid) for pid in pids)


def mode_ticks(pids: Sequence[int]) -> tuple[int, int]:
    """Ticks in user mode and in the kernel so far: coarse, for their ratio only."""
    user = kernel = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, kernel = user + int(fields[11]), kernel + int(fields[12])
    return user, kernel


def thread_seconds(pid: int) -> dict[int, float]:
    """What every thread has had of the processors so far."""
    found: dict[int, float] = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        try:
            found[int(folder.name)] = int((folder / "schedstat").read_text().split()[0]) / 1e9
        except OSError:  # it has ended meanwhile
            continue
    return found


def resident_bytes(pids: Sequence[int], field: str = "Rss") -> int:
    """`Rss` or `Pss`, summed."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1]) * 1024
    return total


def proxy_core_seconds() -> float:
    """How long the proxies' core has been busy since boot, whoever kept it so."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{PROXY_CORE} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _pinned(command: Sequence[str]) -> list[str]:
    return ["taskset", "-c", str(PROXY_CORE), *command]


def _other_cores() -> set[int]:
    return set(range(core_count())) - {PROXY_CORE} or {PROXY_CORE}


def _cpu_seconds(pid: int) -> float:
    try:
        # clock_getcpuclockid(3): the clock of another process is made of its pid
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _parents() -> dict[int, int]:
    """The parent of every process."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
    return parents


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _answers(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            return connection.recv(65536).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
