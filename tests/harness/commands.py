"""Commands as somebody types them, each in a process of its own that need not import everything anew.

One process imports once and forks for every command; what the command has is its own: arguments, folder, environment,
files, end. `serve`, whose start is a thing of its own, is for `harness.daemon`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO

from harness.surroundings import PATIENCE_SECONDS, surroundings

REPOSITORY = Path(__file__).parents[2]
_IS_MEASURED = any(name.startswith("COVERAGE_") for name in os.environ)  # each process by its own interpreter
_TYPIST = """
import gc, importlib, json, os, pathlib, signal, socket, sys
import proxy.cli
for name in sorted(pathlib.Path(proxy.cli.__file__).parent.glob("*.py")):
    if name.stem not in ("serve", "lean_imports"):
        importlib.import_module(f"proxy.cli.{name.stem}")
for name in sorted(pathlib.Path(proxy.cli.__file__).with_name("stopped").glob("[a-z]*.py")):
    importlib.import_module(f"proxy.cli.stopped.{name.stem}")
import proxy.stores.keys, rich.console, rich.table, sqlalchemy.dialects.sqlite

def become(asked, files):
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["folder"])
    sys.argv = ["tollkeeper", *asked["arguments"]]
    sys.stdin = open(0)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", errors="backslashreplace")

home = socket.socket(fileno=int(sys.argv[1]))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
gc.freeze()
while True:
    data, files, *_ = socket.recv_fds(home, 2**20, 4)
    if not data:
        sys.exit()
    *files, told = files
    if not os.fork():
        home.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        child = os.fork()
        if not child:
            os.close(told)
            become(json.loads(data), files)
            break
        os.write(told, b"%d " % child)
        os.write(told, b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    for file in [*files, told]:
        os.close(file)
proxy.cli.main(prog_name="python -m proxy")
"""

Done = subprocess.CompletedProcess[str]


def typed(home: Path, *arguments: str, folder: Path = REPOSITORY, said: str = "", **env: str) -> Done:
    """What became of `tollkeeper ARGUMENTS`, in an environment of nothing but this home and `env`.

    `said` is what it reads; it has no terminal.
    """
    whole = surroundings(home, **env)
    if _IS_MEASURED:
        command = [sys.executable, "-m", "proxy", *arguments]
        return subprocess.run(
            command, check=False, cwd=folder, env=whole, input=said, capture_output=True, text=True,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    asked = json.dumps({"arguments": arguments, "folder": str(folder), "env": whole}).encode()
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3))
        given.write(said)
        given.seek(0)
        news, told = os.pipe()
        with os.fdopen(told, "wb"):
            socket.send_fds(_typist(), [asked], [given.fileno(), out.fileno(), err.fileno(), told])
        code = _wait(stack.enter_context(os.fdopen(news, "rb", buffering=0)))
        for file in (out, err):
            file.seek(0)
        return Done(["tollkeeper", *arguments], code, out.read(), err.read())


def _wait(news: IO[bytes]) -> int:
    """The exit code; a command that does not end is ended."""
    told = b""
    while select.select([news], [], [], PATIENCE_SECONDS)[0]:
        if not (more := news.read(64)):
            return int(told.split()[1])
        told += more
    os.kill(int(told.split()[0]), signal.SIGKILL)
    raise TimeoutError(f"the command has not ended within {PATIENCE_SECONDS} s")


@cache
def _typist() -> socket.socket:
    """The line to the process that forks, which ends when we do."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent"}
    with its:
        command = [sys.executable, "-c", _TYPIST, str(its.fileno())]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=env, pass_fds=[its.fileno()])
    atexit.register(process.wait)
    atexit.register(ours.close)  # first
    return ours
