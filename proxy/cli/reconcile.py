"""`tollkeeper reconcile`: what providers billed, beside what the ledger has."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, moment, print_table, say
from proxy.policy.money.amounts import dollars

_NONE = (
    "No bill was read yet: OpenRouter is asked every ten minutes while the daemon runs; "
    "`tollkeeper reconcile --now` asks at once."
)


@click.command("reconcile")
@click.option("--day", metavar="DAY", help="Only this UTC day, such as 2026-11-27.")
@click.option("--now", is_flag=True, help="Read every bill first; wants a running daemon.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def reconcile(day: str | None, now: bool, as_json: bool, config_path: str | None) -> None:
    """Show what each provider billed a day, what the ledger has, and what explains the difference.

    Nothing here costs anything, and no call's cost is changed: what a closed day lacks stands beside it, as a correction.
    """
    found = ask(home_or_exit(config_path), "reconcile" if now else "reconciliation")
    if day is not None:
        found = {name: [row for row in rows if row["day"] == day] for name, rows in found.items()}
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["days"]:
        say(_NONE if day is None else f"No bill of {day} was read.")
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    names = [("Day (UTC)", False), ("Provider", False), ("State", False)]
    numbers = [(heading, True) for heading in ("Billed", "Booked", "Others", "Drift", "%")]
    rest = [("Why", False), ("Read until", False)]
    print_table(Table([*names, *numbers, *rest], [_cells(row) for row in found["days"]]))
    for one in found["corrections"]:
        whose = f"{one['provider']}{_of(one)}"
        say(f"{one['day']} {whose}: {dollars(one['delta_usd'])} stand beside the ledger's sum ({one['cause']})")


def _cells(row: dict[str, Any]) -> list[str]:
    amounts = [dollars(row[name]) for name in ("billed_usd", "booked_usd", "foreign_usd", "drift_usd")]
    names = [row["day"], f"{row['provider']}{_of(row)}", row["state"]]
    return [*names, *amounts, f"{row['drift_percent']:g}", ", ".join(row["causes"]) or "-", moment(row["until"])]


def _of(row: dict[str, Any]) -> str:
    return f" ({row['tenant']})" if row["tenant"] else ""
