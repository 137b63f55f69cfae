"""`tollkeeper images`: which models draw, and what pictures would cost."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.completing import key_names, model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, in_units, print_table, say, unit_of
from proxy.policy.money.amounts import dollars

_MEMBERS = ("size", "aspect_ratio", "resolution", "quality")
_MAKES = ("edits", "transparent", "svg", "jpeg", "webp", "several", "seeded", "streams")


@click.group("images", cls=Suggesting)
def images() -> None:
    """Pictures: which models draw them, and what they would cost."""


@images.command("estimate")
@click.option("--model", "models", metavar="NAME", multiple=True, required=True, shell_complete=model_names,
              help="The model; may be repeated.")  # fmt: skip
@click.option("--n", type=click.IntRange(1, 100_000), default=1, help="How many pictures. Default: 1.")
@click.option("--size", metavar="SIZE", help="Such as 1024x1536, or a resolution such as 2K.")
@click.option("--aspect-ratio", metavar="RATIO", help="Such as 16:9.")
@click.option("--resolution", metavar="NAME", help="Such as 2K.")
@click.option("--quality", metavar="WORD", help="Such as low, medium or high.")
@click.option("--references", type=click.IntRange(0, 16), default=0, help="Pictures to work from. Default: 0.")
@click.option("--key", metavar="NAME", shell_complete=key_names, help="The name of the client key that would call.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def images_estimate(models: tuple[str, ...], as_json: bool, config_path: str | None, **asked: Any) -> None:
    """What pictures would cost: each, in all, and what that leaves of every budget, several models side by side."""
    params = {name: value for name, value in asked.items() if value is not None}
    found = ask(home_or_exit(config_path), "images_estimate", {"models": list(models), **params})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    columns = [("Model", False), ("Each", True), ("Low", True), ("Expected", True), ("High", True)]
    rows = [[row["model"], *_amounts(row)] for row in found["rows"]]
    if unit := unit_of(found["rows"], "expected"):
        columns.append((f"Expected ({unit})", True))
        for cells, row in zip(rows, found["rows"], strict=True):
            amount = row[f"expected_{unit}"]
            cells.append("-" if amount is None else in_units(amount))
    print_table(Table(columns, rows))
    for row in found["rows"]:
        if "problem" in row:
            say(f"{row['model']}: {row['problem']}")
    _say_budgets(found["rows"])


def _amounts(row: dict[str, Any]) -> list[str]:
    names = ("per_image_usd", "low_usd", "expected_usd", "high_usd")
    return ["-" if row[name] is None else dollars(row[name]) for name in names]


def _say_budgets(rows: list[dict[str, Any]]) -> None:
    """Every budget before, and after the high estimate."""
    cells = [
        [budget["name"], row["model"], dollars(budget["left_usd"]), dollars(budget["left_after_usd"])]
        for row in rows
        for budget in row["budgets"]
    ]
    if cells:
        print_table(Table([("Budget", False), ("Model", False), ("Left before", True), ("Left after", True)], cells))


@images.command("models")
@click.option("--cheapest", "by", flag_value="cheapest", help="The cheapest first.")
@click.option("--fastest", "by", flag_value="fastest", help="The fastest first, by calls that were made here.")
@click.option("--size", metavar="SIZE", help="Only those that draw this size, and what it costs.")
@click.option("--makes", multiple=True, type=click.Choice(_MAKES), help="Only those that can; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def images_models(by: str | None, as_json: bool, config_path: str | None, **asked: Any) -> None:
    """The models that OpenRouter lists as drawing: what a picture costs, how long it took, and why one stands where it does."""
    found = ask(home_or_exit(config_path), "images_models", {"by": by or "name", **asked})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    if not found["models"]:
        say("No model that is listed draws such pictures.")
        return
    columns = [("Model", False), ("Each", True), ("Takes", True), ("Makes", False), ("Why", False)]
    print_table(Table(columns, [_cells(row) for row in found["models"]]))
    if found["read"]:
        say(
            f"This is the list that comes with Tollkeeper, read on {found['read']}; with an OpenRouter provider it is fetched."
        )


def _cells(row: dict[str, Any]) -> list[str]:
    each = "-" if row["per_image_usd"] is None else dollars(row["per_image_usd"])
    seconds = "-" if row["seconds"] is None else f"{row['seconds']} s"
    return [row["model"], each, seconds, ", ".join(row["makes"]) or "-", row["reason"]]
