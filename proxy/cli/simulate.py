"""`tollkeeper simulate`: what past calls would have cost and taken under another policy."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli.client import ask
from proxy.cli.completing import key_names, model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, print_table, say
from proxy.config.problems import number_of
from proxy.policy.money.amounts import dollars

_MOST_MODELS = 15


@click.command("simulate")
@click.option("--strategy", metavar="NAME", help="The strategy to try; default: that of the name.")
@click.option("--model", metavar="NAME", default="auto", show_default=True, shell_complete=model_names,
              help="A name with candidates, or auto.")  # fmt: skip
@click.option("--candidates", multiple=True, metavar="NAME", shell_complete=model_names,
              help="Choose among these; may be repeated.")  # fmt: skip
@click.option(
    "--calls", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="How many of the newest calls."
)
@click.option("--asked", metavar="PATTERN", default="*", help="Only calls that asked for a name such as gpt-*.")
@click.option(
    "--key", metavar="PATTERN", default="*", shell_complete=key_names, help="Only calls of keys such as ci-*."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def simulate(as_json: bool, config_path: str | None, **asked: Any) -> None:
    """Say what the newest calls would have cost and taken, had they been routed by another policy. Nothing is sent."""
    given = {name: value for name, value in asked.items() if value not in (None, ())}
    found = ask(home_or_exit(config_path), "simulate", given)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    calls, elsewhere = number_of(found["calls"], "call"), f"{found['changed']:,} would have gone elsewhere"
    say(f"{calls} since {found['since']}: {elsewhere} by {found['strategy']}")
    columns = [("", False), ("Was", True), ("Would be", True)]
    was, would = found["was"], found["would_be"]
    rows = [
        ["Cost", dollars(was["cost_usd"]), dollars(would["cost_usd"])],
        ["Time of a call", *(f"{each['latency_ms'] / 1000:.2f} s" for each in (was, would))],
    ]
    print_table(Table(columns, rows))
    models = [[one["model"], f"{one['was']:,}", f"{one['would_be']:,}"] for one in found["models"][:_MOST_MODELS]]
    print_table(Table([("Calls of", False), *columns[1:]], models))
    for why, count in (
        ("no candidate could have served them", found["unserved"]),
        ("they would have gone to a model without a known price", found["unpriced"]),
    ):
        if count:
            say(f"Not compared, as {why}: {number_of(count, 'call')}")
