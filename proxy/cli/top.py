"""`tollkeeper top`: what the daemon does now, on a screen that keeps itself up to date."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import tzinfo
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from proxy.cli.home import Home, home_or_exit
from proxy.cli.screen.columns import Line, plain
from proxy.cli.screen.drawing import Canvas, draw
from proxy.cli.screen.snapshot import Snapshot
from proxy.cli.screen.view import Action, View, press
from proxy.cli.screen.watch import Gone, News, Source, Watch
from proxy.cli.tables import terminal_width

if TYPE_CHECKING:
    from proxy.cli.screen.terminal import Terminal


@click.command("top")
@click.option("--interval", metavar="SECONDS", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True,
              help="How often the daemon is asked.")  # fmt: skip
@click.option("--once", is_flag=True, help="Print what there is now as plain text, and end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with the daemon's answers, and end.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def top(interval: float, once: bool, as_json: bool, config_path: str | None) -> None:
    """Watch calls under way, budgets and what they come to, and the latest calls that ended; end a call.

    ? lists the keys. Without a terminal it prints what there is now.
    """
    home = home_or_exit(config_path)
    source = Source(home)
    if as_json:
        click.echo(json.dumps(source.answers(), indent=1))
    elif once or not _is_terminal():
        paper = Canvas(terminal_width(), None, home.zone)
        click.echo("\n".join(plain(line) for line in draw(source.snapshot(), View(), paper)))
    else:
        _watch(home, source, interval)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def _watch(home: Home, source: Source, interval: float) -> None:
    """The screen, until it is left for good; Ctrl-Z leaves it until we go on."""
    from proxy.cli.screen.terminal import Waking, opened

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
