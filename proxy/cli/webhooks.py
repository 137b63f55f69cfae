"""`tollkeeper webhooks`: what clients were told of their jobs, and sending a message once more."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, moment, print_table, say


@click.group("webhooks", cls=Suggesting)
def webhooks() -> None:
    """What clients were told of their jobs by webhook."""


@webhooks.command("list")
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=100, help="So many. Default: 100.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def list_webhooks(limit: int, as_json: bool, config_path: str | None) -> None:
    """List the last messages, and what became of each: waiting, delivered, given_up, gone, dropped or off."""
    found = ask(home_or_exit(config_path), "webhooks", {"limit": limit})
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["webhooks"]:
        say("No job has asked for a webhook.")
    else:
        headings = ("Message", "Key", "Host", "State", "Why", "Made", "Job")
        print_table(Table([(heading, False) for heading in headings], [_cells(row) for row in found["webhooks"]]))


@webhooks.command("replay")
@click.argument("message")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def replay(message: str, config_path: str | None) -> None:
    """Send MESSAGE once more, and for a day if need be. One that is taken switches its address on again."""
    ask(home_or_exit(config_path), "replay_webhook", {"name": message})
    say(f"{message} is being sent again")


def _cells(row: dict[str, Any]) -> list[str]:
    return [row["id"], row["key"], row["host"], row["state"], row["reason"], moment(row["made_at"]), row["job"]]
