"""`tollkeeper providers`: how providers fare, and trying one."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, print_table, say


@click.group("providers", cls=Suggesting)
def providers() -> None:
    """How providers fare, and trying one."""


@providers.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def list_providers(as_json: bool, config_path: str | None) -> None:
    """List the providers of the daemon that runs: where each is, whose key it gets, and how it fares."""
    found = ask(home_or_exit(config_path), "providers")
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    columns = [
        ("Provider", False),
        ("Kind", False),
        ("Address", False),
        ("Key", False),
        ("Calls", True),
        ("State", False),
    ]
    print_table(Table(columns, [_cells(row) for row in found["providers"]]))


@providers.command("test")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.pass_context
def test(context: click.Context, name: str, as_json: bool, config_path: str | None) -> None:
    """Ask the provider NAME what costs nothing: about our key, or for its models. Exit status 1 where all is not well."""
    found = ask(home_or_exit(config_path), "test_provider", {"name": name})
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        say(f"{name}: {'ok' if found['ok'] else 'not ok'}, after {found['seconds']:.3f} s: {found['meaning']}")
        say(f"asked: {found['asked']}")
        if found["next_step"]:
            say(f"what to do: {found['next_step']}")
    context.exit(0 if found["ok"] else 1)


def _cells(row: dict[str, Any]) -> list[str]:
    state = "ok" if not row["failures"] else f"{row['failures']} failures in a row"
    if row["breaker"] == "open":
        state = f"left alone for {row['retry_in_seconds'] or 0:.0f} s more, after {row['failures']} failures"
    return [row["provider"], row["kind"], row["base_url"], row["key_source"], f"{row['in_flight']:,}", state]
