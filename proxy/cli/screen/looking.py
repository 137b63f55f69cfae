"""The screen of `tollkeeper top` while somebody looks at it."""

from __future__ import annotations

import os
import signal
from datetime import tzinfo

import click
from msgspec.structs import replace

from proxy.cli.home import Home
from proxy.cli.screen.columns import Line
from proxy.cli.screen.drawing import Canvas, draw
from proxy.cli.screen.snapshot import Snapshot
from proxy.cli.screen.terminal import Terminal, Waking, opened
from proxy.cli.screen.view import Action, View, press
from proxy.cli.screen.watch import Gone, News, Source, Watch


def watch_screen(home: Home, source: Source, interval: float) -> None:
    """The screen, until it is left for good; Ctrl-Z leaves it until we go on."""
    seen, waking = _Seen(source.snapshot(), home.zone), Waking()
    with Watch(source, interval, waking.wake) as watch:
        while True:
            with opened(waking) as terminal:
                action = _until_left(terminal, seen, watch)
            if action == "quit":
                return
            os.kill(0, signal.SIGTSTP)


def _until_left(terminal: Terminal, seen: _Seen, watch: Watch) -> Action:
    """Draw, wait, take in; the action that leaves the screen."""
    while True:
        terminal.show(seen.lines(*terminal.size))
        if action := seen.take(terminal.wait(), watch):
            return action


class _Seen:
    """The latest answers, and what the operator has chosen to see of them."""

    def __init__(self, first: Snapshot, zone: tzinfo) -> None:
        self._latest = first
        self._zone = zone
        self._gone: str | None = None
        self._view = View()

    def lines(self, width: int, height: int) -> list[Line]:
        """The screen."""
        return draw(self._latest, self._view, Canvas(width, height, self._zone), self._gone)

    def take(self, pressed: list[str], watch: Watch) -> Action | None:
        """Take in what is new, then what was pressed; the action that leaves the screen, if one does."""
        while not watch.news.empty():
            self._learn(watch.news.get())
        for key in pressed:
            if key == "stop":
                return "quit"
            self._view, action = press(self._view, key, self._view.shown(self._latest.live.calls))
            if action == "end":
                watch.end(str(self._view.ending))
            elif action is not None:
                return action
        if not watch.is_alive:
            raise click.ClickException("asking the daemon has broken off")
        return None

    def _learn(self, news: News) -> None:
        if isinstance(news, Snapshot):
            self._latest, self._gone = news, None
        elif isinstance(news, Gone):
            self._gone = news.sentence
        else:
            self._view = replace(self._view, notice=news.sentence)
