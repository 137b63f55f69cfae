"""`tollkeeper budgets`: where every budget stands, and correcting what one has spent."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, budget_name, cents, in_units, moment, print_table, say, unit_of
from proxy.policy.money.amounts import dollars

_NOTHING_AHEAD = "No budget lasts a day or longer: there is nothing to foretell."
_AMOUNTS = ("cap_usd", "spent_usd", "held_usd", "left_usd")


@click.group("budgets", cls=Suggesting, invoke_without_command=True)
@click.option("--forecast", is_flag=True, help="Show where each will stand at its end, and when it runs out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.pass_context
def budgets(context: click.Context, forecast: bool, as_json: bool, config_path: str | None) -> None:
    """Show every budget: its cap, what is spent, held for calls under way, and left, and when it starts anew.

    One in (shadow) counts and refuses nothing.
    """
    context.obj = config_path
    if context.invoked_subcommand is not None:
        return
    found = ask(home_or_exit(config_path), "forecast" if forecast else "budgets")
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["budgets"] and not found.get("credits"):
        say(_NOTHING_AHEAD if forecast else "No budget is configured, and no key has one.")
    elif forecast:
        _print_forecast(found)
    else:
        names = [("Budget", False), ("Per", False)]
        unit = unit_of(found["budgets"], "left")
        numbers = [
            (heading, True) for heading in ("Cap", "Spent", "Held", "Left", *((f"Left ({unit})",) if unit else ()))
        ]
        print_table(Table([*names, *numbers, ("Starts anew", False)], [_cells(row, unit) for row in found["budgets"]]))


def _without(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(f"the amount takes no option: budgets adjust BUDGET {value} --reason TEXT", context)


@budgets.command("adjust", context_settings={"ignore_unknown_options": True})
@click.argument("budget")
@click.argument("amount")
@click.option("--usd", hidden=True, is_eager=True, expose_value=False, callback=_without)
@click.option("--reason", required=True, help="Why; kept beside the correction.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.pass_context
def adjust(context: click.Context, /, **options: Any) -> None:
    """Add AMOUNT in USD to what BUDGET has spent in its current period; -0.25 gives a quarter back.

    BUDGET is a name as `tollkeeper budgets` shows it, such as key:alice:day.
    """
    params = {"budget": options["budget"], "usd": options["amount"], "reason": options["reason"]}
    found = ask(home_or_exit(options["config_path"] or context.obj), "adjust", params)
    if options["as_json"]:
        click.echo(json.dumps(found, indent=1))
        return
    delta = found["delta_usd"]
    did = f"{dollars(delta.removeprefix('-'))} {'given back to' if delta.startswith('-') else 'charged to'}"
    say(
        f"{did} {found['budget']}: {dollars(found['spent_usd'])} of {dollars(found['cap_usd'])} count as spent now, "
        f"{dollars(found['left_usd'])} left ({found['id']})"
    )


def _print_forecast(found: dict[str, Any]) -> None:
    """What will have been spent when each starts anew, and between which amounts that lies 8 times in 10."""
    names = [("Budget", False), ("Per", False)]
    numbers = [(heading, True) for heading in ("Cap", "Spent", "At its end", "8 in 10: from", "to")]
    rest = [("Runs out", False), ("Sure", False)]
    print_table(Table([*names, *numbers, *rest], [_ahead(row) for row in found["budgets"]]))
    for row in found["credits"]:
        until = "lasts 90 days or more" if row["exhausted_at"] is None else f"lasts until {moment(row['exhausted_at'])}"
        whose = f" ({row['tenant']})" if row["tenant"] else ""
        say(
            f"{row['provider']}{whose}: {dollars(row['left_usd'])} under its key's limit {until} ({row['confidence']})."
        )
    if found["left_off"]:
        say(f"{found['left_off']} more, of which less is spent, were not looked at.")


def _ahead(row: dict[str, Any]) -> list[str]:
    end = row["at_end_usd"]
    ends = ["-"] * 3 if end is None else [cents(end[share]) for share in ("p50", "p10", "p90")]
    amounts = [dollars(row["cap_usd"]), dollars(row["spent_usd"])]
    return [budget_name(row), row["per"], *amounts, *ends, moment(row["exhausted_at"]), row["confidence"]]


def _cells(row: dict[str, Any], unit: str) -> list[str]:
    amounts = [dollars(row[name]) for name in _AMOUNTS] + ([in_units(row[f"left_{unit}"])] if unit else [])
    return [budget_name(row), row["per"], *amounts, moment(row["resets_at"])]
