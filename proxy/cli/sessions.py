"""`tollkeeper sessions`: the sessions of coding agents, what each has spent, and letting one go on."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.completing import key_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, moment, print_table, say
from proxy.cli.usage import given_moment_ms
from proxy.policy.money.amounts import dollars


@click.group("sessions", cls=Suggesting)
def sessions() -> None:
    """The sessions of coding agents: what each has spent, and letting one spend more."""


@sessions.command("list")
@click.option("--since", metavar="DATE", default="7d", help="Those used from this day or moment on. Default: 7d.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def list_sessions(since: str, as_json: bool, config_path: str | None) -> None:
    """List the sessions used last, a hundred at most: calls, cost, and what the budget of each leaves it."""
    home = home_or_exit(config_path)
    since_ms = given_moment_ms(since, home.zone, "--since", is_end=False)
    found = ask(home, "sessions", {"since_ms": since_ms})
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["sessions"]:
        say("No session has called in this time.")
    else:
        numbers = [(heading, True) for heading in ("Calls", "Cost", "Left")]
        columns = [("Session", False), ("Key", False), ("Last used", False), *numbers]
        print_table(Table(columns, [_cells(row) for row in found["sessions"]]))


@sessions.command("raise")
@click.argument("session")
@click.option("--usd", required=True, help="How much more it may spend, in US dollars.")
@click.option(
    "--key", metavar="NAME", shell_complete=key_names, help="Whose session, where several keys have one of this id."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def raise_session(session: str, usd: str, key: str | None, as_json: bool, config_path: str | None) -> None:
    """Let SESSION spend more than its budget, and go on where it was stopped for a loop. It works at once.

    SESSION is an id as a refusal or `tollkeeper sessions list` names it.
    """
    found = ask(home_or_exit(config_path), "raise_session", {"session": session, "usd": usd, "key": key})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    left = f"; it has {dollars(found['left_usd'])} left" if found["left_usd"] is not None else ""
    say(f"{session} of {found['key']} may spend {dollars(found['usd'])} more{left}")


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["session"],
        row["key"],
        moment(row["last_at"]),
        f"{row['calls']:,}",
        dollars(row["cost_usd"]),
        dollars(row["left_usd"]),
    ]
