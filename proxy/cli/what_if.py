"""`tollkeeper what-if`: what past calls would have cost at the price of another model."""

from __future__ import annotations

import json

import click

from proxy.cli.client import ask
from proxy.cli.completing import model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, print_table
from proxy.cli.usage import given_moment_ms
from proxy.policy.money.amounts import dollars


@click.command("what-if")
@click.option("--model", metavar="NAME", required=True, shell_complete=model_names, help="At whose price.")
@click.option("--since", metavar="DAY", default="30d", show_default=True, help="A day such as 2026-11-27, or 7d (ago).")
@click.option("--only", metavar="PATTERN", help="Only calls of names such as gpt-*.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def what_if(model: str, since: str, only: str | None, as_json: bool, config_path: str | None) -> None:
    """Say what calls of text would have cost, had MODEL read and written the same number of tokens. Nothing is sent."""
    home = home_or_exit(config_path)
    asked = {"model": model, "since_ms": given_moment_ms(since, home.zone, "--since", is_end=False), "only": only}
    found = ask(home, "what_if", {name: value for name, value in asked.items() if value is not None})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    columns = [("Model", False), ("Provider", False), ("Calls", True), ("Was", True), (f"At {model}", True)]
    rows = [
        [one["model"], one["provider"], f"{one['calls']:,}", dollars(one["was_usd"]), dollars(one["would_be_usd"])]
        for one in found["rows"]
    ]
    total = [
        "Total",
        "",
        f"{sum(one['calls'] for one in found['rows']):,}",
        dollars(found["was_usd"]),
        dollars(found["would_be_usd"]),
    ]
    print_table(Table(columns, rows, total))
