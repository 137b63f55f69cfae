"""`tollkeeper top`: what the daemon does now, on a screen that keeps itself up to date."""

from __future__ import annotations

import json
import os
import sys

import click

from proxy.cli.home import home_or_exit
from proxy.cli.tables import terminal_width


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
    from proxy.cli.screen.columns import plain
    from proxy.cli.screen.drawing import Canvas, draw
    from proxy.cli.screen.view import View
    from proxy.cli.screen.watch import Source

    source = Source(home)
    if as_json:
        click.echo(json.dumps(source.answers(), indent=1))
    elif once or not _is_terminal():
        paper = Canvas(terminal_width(), None, home.zone)
        click.echo("\n".join(plain(line) for line in draw(source.snapshot(), View(), paper)))
    else:
        from proxy.cli.screen.looking import watch_screen

        watch_screen(home, source, interval)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
