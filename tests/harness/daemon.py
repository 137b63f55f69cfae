"""The real daemon as a process: started from a configuration, watched through its log, ended by its own pid."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from harness.http import Connection, Headers, Reply, request_bytes
from harness.surroundings import PATIENCE_SECONDS, surroundings

REPOSITORY = Path(__file__).parents[2]
_LISTENING = re.compile(r"Listening on (http://127\.0\.0\.1:(\d+)/v1|unix:\S+)")
_ADMIN = re.compile(r"Admin on (http://127\.0\.0\.1:(\d+))")
# LISTEN_PID must name the daemon itself, which takes this process over
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="data")
os.execv(sys.argv[2], sys.argv[2:])
"""

Line = dict[str, Any]


class Daemon:
    """`with Daemon(config, folder) as daemon:`; `port` and `admin_port` are known inside the block.

    Without a configuration there is no file, and the environment decides. `key` is sent as the Bearer key of every call that brings no credentials of its own. `listener` is handed over the
    way systemd hands over the socket of its socket unit.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        args: Sequence[str] = (),
        key: str | None = None,
        listener: socket.socket | None = None,
        most_descriptors: int | None = None,
    ) -> None:
        self.folder = folder
        self.key = key
        self.replies_with_errors: list[Reply] = []
        self._config = config and {
            "listen": {"host": "127.0.0.1", "port": 0},
            "admin": {"host": "127.0.0.1", "port": 0},
            "state_dir": str(folder / "state"),
            **config,
        }
        self._env = surroundings(folder, **(env or {}))
        self._args = args
        self._listener = listener
        self._most_descriptors = most_descriptors
        self._told_to_stop = False
        self._news = threading.Condition()
        self._out: list[str] = []
        self._log: list[str] = []
        self._threads: list[threading.Thread] = []
        self._open_streams = 2
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        where = ["--port", "0", "--admin-port", "0"]
        if self._config is not None:
            file = self.folder / "config.yaml"
            file.write_text(yaml.safe_dump(self._config))
            file.chmod(0o600)
            where = ["--config", str(file)]
        command = [sys.executable, "-m", "proxy", "serve", *where, *self._args]
        handed: tuple[int, ...] = ()
        if self._listener is not None:
            handed = (self._listener.fileno(),)
            command = [sys.executable, "-ISc", _HAND_OVER, str(self._listener.fileno()), *command]
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=self._env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=handed,
            preexec_fn=self._limit if self._most_descriptors is not None else None,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._collect(self._process.stdout, self._out, "stdout")
        self._collect(self._process.stderr, self._log, "stderr")
        try:
            self._wait(lambda: self._listening() is not None or not self._open_streams, PATIENCE_SECONDS)
            if not self._open_streams:
                self._process.wait(PATIENCE_SECONDS)
            assert self._process.poll() is None, f"the daemon ended at once:\n{self.output}"
            assert self._listening() is not None, f"the daemon does not start:\n{self.output}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def _limit(self) -> None:
        """In the new process, before the daemon takes it over."""
        most = self._most_descriptors
        assert most is not None
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def _collect(self, stream: IO[str], lines: list[str], name: str) -> None:
        def read() -> None:
            with (self.folder / name).open("w") as copy:
                for line in stream:
                    copy.write(line)
                    with self._news:
                        lines.append(line.rstrip("\n"))
                        self._news.notify_all()
            with self._news:
                self._open_streams -= 1
                self._news.notify_all()

        thread = threading.Thread(target=read, name=f"daemon {name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _read_on(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _close(self) -> None:
        self._read_on()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        with self._news:
            return self._news.wait_for(condition, seconds)

    def _listening(self) -> re.Match[str] | None:
        matches = [_LISTENING.fullmatch(line) for line in self._out]
        return next((match for match in matches if match), None) if self._admin() else None

    def _admin(self) -> re.Match[str] | None:
        return next((match for line in self._out if (match := _ADMIN.fullmatch(line))), None)

    @property
    def url(self) -> str:
        match = self._listening()
        assert match is not None, f"no address was printed:\n{self.output}"
        return match[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].removesuffix("/v1"))

    @property
    def admin_url(self) -> str:
        match = self._admin()
        assert match is not None, f"no admin address was printed:\n{self.output}"
        return match[1]

    @property
    def admin_port(self) -> int:
        return int(self.admin_url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything printed and logged so far."""
        with self._news:
            return "\n".join([*self._out, *self._log])

    def log_lines(self) -> list[Line]:
        """The log so far; a line that is not one JSON object fails."""
        with self._news:
            return [json.loads(line) for line in self._log]

    def wait_for_log(self, fits: Callable[[Line], bool], seconds: float = PATIENCE_SECONDS) -> Line:
        """The first log line that fits, once it is there."""
        return self.wait_for_lines(fits, 1, seconds)[0]

    def wait_for_lines(
        self, fits: Callable[[Line], bool], number: int, seconds: float = PATIENCE_SECONDS
    ) -> list[Line]:
        """Every log line that fits, once there are so many."""
        found: list[Line] = []

        def look() -> bool:
            found[:] = [line for line in map(json.loads, self._log) if fits(line)]
            return len(found) >= number

        assert self._wait(look, seconds), f"no {number} such lines within {seconds} s:\n" + "\n".join(self._log[-20:])
        return found

    def line_of(self, reply: Reply) -> Line:
        """The log line of the call that `reply` answered."""
        return self.wait_for_log(lambda line: line.get("request_id") == reply.request_id)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of /metrics with these labels; 0 where there is none."""
        text = self._admin_page("/metrics").body.decode()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    def asked(self, path: str) -> Any:
        """What the admin port answers to a question."""
        return self._admin_page(path).json

    def _admin_page(self, path: str) -> Reply:
        with Connection(self.admin_port) as connection:
            connection.send(request_bytes("GET", path, (), None, f"127.0.0.1:{self.admin_port}"))
            return connection.read_reply("GET")

    def cpu_seconds(self) -> float:
        """What the daemon has computed so far: unlike time, this does not grow because others are busy."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal_stop(self) -> None:
        """SIGTERM; `stop` waits for the end."""
        self._process.send_signal(signal.SIGTERM)
        self._told_to_stop = True

    def stop(self, seconds: float = PATIENCE_SECONDS) -> int:
        """SIGTERM, unless it was sent before, and the exit code; all that was printed and logged is there by then."""
        if not self._told_to_stop:
            self.signal_stop()
        code = self._process.wait(seconds)
        self._read_on()
        return code

    def connect(self) -> Connection:
        """A raw connection to the data port."""
        return Connection(self.port, self._note)

    def _note(self, reply: Reply) -> None:
        if reply.status >= 400:
            self.replies_with_errors.append(reply)

    def request(self, method: str, target: str, headers: Headers = (), body: bytes | None = None) -> bytes:
        """The bytes of a request to this daemon, with its key."""
        credentials = [("Authorization", f"Bearer {self.key}")] if self.key else []
        named = {name.lower() for name, _ in headers}
        own = [] if named & {"authorization", "x-api-key", "api-key"} else credentials
        if body is not None and "content-type" not in named:
            own.append(("Content-Type", "application/json"))
        return request_bytes(method, target, [*own, *headers], body, f"127.0.0.1:{self.port}")

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes | None = None) -> Reply:
        """One request on a connection of its own, and its reply read to the end."""
        with self.connect() as connection:
            connection.send(self.request(method, target, headers, body))
            return connection.read_reply(method)

    def post(self, target: str, value: Any, headers: Headers = ()) -> Reply:
        """POST JSON; bytes go out as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("POST", target, headers, body)

    def chat(self, model: str = "openai/gpt-4o", headers: Headers = (), **members: Any) -> Reply:
        """A chat completion."""
        return self.post("/v1/chat/completions", chat_body(model, **members), headers)

    def open_chat(self, model: str = "openai/gpt-4o", headers: Headers = (), **members: Any) -> Connection:
        """A chat request sent, its connection open for reading at the test's own pace."""
        connection = self.connect()
        body = json.dumps(chat_body(model, **members)).encode()
        connection.send(self.request("POST", "/v1/chat/completions", headers, body))
        return connection


def chat_body(model: str = "openai/gpt-4o", **members: Any) -> dict[str, Any]:
    """The body of a chat request, with a prompt that must never be logged."""
    return {"model": model, "messages": [{"role": "user", "content": "prompt-canary-7f3a"}], **members}
