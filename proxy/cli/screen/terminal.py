"""The terminal while `top` has it: keys as they are pressed, a screen of its own, and everything as before at the end."""

from __future__ import annotations

import codecs
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from proxy.cli.screen.columns import Line

if TYPE_CHECKING:
    from rich.live import Live

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CONTROLS = 6  # where the control characters stand in what tcgetattr gives
_REST_SECONDS = 0.05  # how late the rest of an escape sequence may be

_SEQUENCES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
}
_SINGLE = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x1b": "escape", "\x1a": "ctrl-z"}


def keys(text: str) -> list[str]:
    """What was pressed, by name or as the character it is; sequences and controls nobody knows are left out."""
    pressed: list[str] = []
    while text:
        known = next((sequence for sequence in _SEQUENCES if text.startswith(sequence)), None)
        length = len(known) if known else _sequence_length(text)
        word, text = text[:length], text[length:]
        name = _SEQUENCES.get(word) or _SINGLE.get(word) or (word if len(word) == 1 and word.isprintable() else None)
        pressed += [name] if name else []
    return pressed


def _sequence_length(text: str) -> int:
    """Characters up to the end of an escape sequence; 1 where there is none."""
    if not text.startswith(("\x1b[", "\x1bO")):
        return 1
    end = next((at for at, char in enumerate(text[2:], 2) if "@" <= char <= "~"), len(text) - 1)
    return end + 1


class Waking:
    """Ends a wait from another thread, or from a signal, whose number it hands over; 0 is no signal."""

    def __init__(self) -> None:
        self.readable, self.writable = os.pipe()
        os.set_blocking(self.readable, False)
        os.set_blocking(self.writable, False)

    def wake(self) -> None:
        """A full pipe wakes as well."""
        with suppress(BlockingIOError):
            os.write(self.writable, b"\0")

    def read(self) -> bytes:
        """What has come since; nothing where nothing has."""
        with suppress(BlockingIOError):
            return os.read(self.readable, 4096)
        return b""


class Terminal:
    """The screen and the keyboard of standard input and output, as `opened` gives them."""

    def __init__(self, live: Live, waking: Waking) -> None:
        self._live = live
        self._waking = waking
        self._keyboard = sys.stdin.fileno()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as they are now; a terminal that does not say has the usual ones."""
        size = os.get_terminal_size(sys.stdout.fileno())
        return size if all(size) else os.terminal_size((80, 24))

    def show(self, lines: Sequence[Line]) -> None:
        """Draw over what is there, without clearing it first."""
        from rich.text import Text

        self._live.console.size = self.size
        text = Text("\n", no_wrap=True, overflow="crop").join(Text.assemble(*line) for line in lines)
        self._live.update(text, refresh=True)

    def wait(self) -> list[str]:
        """The keys that were pressed; none when something else is new. "stop": a signal said so, or nobody is there."""
        ready, _, _ = select.select([self._keyboard, self._waking.readable], [], [])
        pressed = ["stop"] if any(byte in _STOPPING for byte in self._waking.read()) else []
        return pressed + (self._pressed() if self._keyboard in ready else [])

    def _pressed(self) -> list[str]:
        try:
            data = os.read(self._keyboard, 1024)
            if data.endswith(b"\x1b") and select.select([self._keyboard], [], [], _REST_SECONDS)[0]:
                data += os.read(self._keyboard, 1024)
        except OSError:  # the terminal was closed
            data = b""
        return keys(self._decoder.decode(data)) if data else ["stop"]


@contextmanager
def opened(waking: Waking) -> Iterator[Terminal]:
    """Have the terminal inside the block; after it, however it ends, everything is as before."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=sys.stdout, highlight=False)
    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    with _by_key(sys.stdin.fileno()), _signals_to(waking), live:
        yield Terminal(live, waking)


@contextmanager
def _by_key(keyboard: int) -> Iterator[None]:
    """Keys come one by one and are not echoed; Ctrl-Z is a key, since the screen must be left before we stop."""
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        now = termios.tcgetattr(keyboard)
        now[_CONTROLS][termios.VSUSP] = bytes([os.fpathconf(keyboard, "PC_VDISABLE") & 0xFF])
        termios.tcsetattr(keyboard, termios.TCSANOW, now)
        yield
    finally:
        with suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


@contextmanager
def _signals_to(waking: Waking) -> Iterator[None]:
    """Signals that would end us, and changes of the terminal's size, wake the loop instead."""

    def heard(number: int, frame: Any) -> None:
        """Python has written the number to the pipe already."""

    before = {number: signal.signal(number, heard) for number in (*_STOPPING, signal.SIGWINCH)}
    former = signal.set_wakeup_fd(waking.writable, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        for number, handler in before.items():
            signal.signal(number, handler)
