"""A real terminal: a shell inside tmux, whose screen can be read and whose keys can be pressed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from harness.daemon import REPOSITORY
from harness.surroundings import PATIENCE_SECONDS, surroundings

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Tmux:
    """`with Tmux(80, 24) as terminal:`; its server is its own and ends with the block."""

    def __init__(self, width: int, height: int) -> None:
        # a socket's address is short, and a test's folder is not
        self._folder = tempfile.TemporaryDirectory(prefix="tmux-", ignore_cleanup_errors=True)
        self._size = ["-x", str(width), "-y", str(height)]

    def __enter__(self) -> Self:
        shell = "PS1='$ ' exec bash --norc --noprofile"
        self._tmux("-f", "/dev/null", "new-session", "-d", *self._size, "-c", str(REPOSITORY), shell)
        self.wait(lambda screen: screen.startswith("$"))
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")
        self._folder.cleanup()

    def _tmux(self, *words: str) -> str:
        env = surroundings(Path(self._folder.name), LC_ALL="C.UTF-8", TERM="xterm")
        command = ["tmux", "-u", "-S", f"{self._folder.name}/sock", *words]
        return subprocess.run(
            command, check=True, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        ).stdout

    def type(self, text: str) -> None:
        """Characters as they are."""
        self._tmux("send-keys", "-l", text)

    def press(self, *names: str) -> None:
        """Keys by tmux's names: Enter, Escape, Up, C-c."""
        self._tmux("send-keys", *names)

    def run(self, line: str) -> None:
        """A line for the shell."""
        self.type(line)
        self.press("Enter")

    def resize(self, width: int, height: int) -> None:
        """Another size of the window, which tmux tells those in it a little later."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))
        with open(self.state("pane_tty"), "rb", buffering=0) as tty:
            end = time.monotonic() + PATIENCE_SECONDS
            while os.get_terminal_size(tty.fileno()) != (width, height):
                assert time.monotonic() < end, "the terminal never got its size"
                time.sleep(0.02)

    def screen(self, *, colours: bool = False) -> str:
        """What is to be seen, with the escapes of its colours on request."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def state(self, name: str) -> str:
        """One of tmux's variables of the pane: alternate_on, cursor_flag."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def wait(self, fits: Callable[[str], bool], seconds: float = PATIENCE_SECONDS) -> str:
        """The screen, once it is as it should be; tmux tells nobody when it changes."""
        end = time.monotonic() + seconds
        while not fits(screen := self.screen()):
            assert time.monotonic() < end, f"the screen never became so:\n{screen}"
            time.sleep(0.05)
        return screen

    def wait_for(self, *texts: str) -> str:
        """The screen, once all of these are on it."""
        return self.wait(lambda screen: all(text in screen for text in texts))
