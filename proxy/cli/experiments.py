"""`tollkeeper experiments`: calls of one name shared out among several models, step by step."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, print_table, say

_REASON = click.option("--reason", default="", help="Why; the audit keeps it.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_CONFIG = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration file (default: searched for)."
)
_METRICS = ("cost", "first_token", "total", "errors", "flags", "judge", "feedback")


@click.group("experiments", cls=Suggesting)
def experiments() -> None:
    """Experiments: calls of one name shared out among several models, the share growing step by step."""


@experiments.command("list")
@_JSON
@_CONFIG
def list_experiments(as_json: bool, config_path: str | None) -> None:
    """List them: where each stands, and whether an arm has won."""
    found = ask(home_or_exit(config_path), "experiments", {})
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["experiments"]:
        say("There is none; `experiments:` in the configuration has them.")
    else:
        columns = [("Experiment", False), ("State", False), ("Share", True), ("Calls", True), ("Winner", False)]
        print_table(Table(columns, [_row(one) for one in found["experiments"]]))


@experiments.command("show")
@click.argument("name")
@click.option("--metric", type=click.Choice(_METRICS), help="By this instead of what it is about.")
@_JSON
@_CONFIG
def show(name: str, metric: str | None, as_json: bool, config_path: str | None) -> None:
    """Show one: every arm with its share, its calls and errors, and what it comes to, with an interval that holds however
    often one looks."""
    given = {"name": name} if metric is None else {"name": name, "metric": metric}
    _say(ask(home_or_exit(config_path), "experiment", given), as_json=as_json)


@experiments.command("ramp")
@click.argument("name")
@click.option("--share", type=click.FloatRange(0, 100), metavar="PERCENT",
              help="What all arms but the first are to have together. Default: what its ramp has next.")  # fmt: skip
@_REASON
@_JSON
@_CONFIG
def ramp(name: str, share: float | None, reason: str, as_json: bool, config_path: str | None) -> None:
    """Go on: to the next share of its ramp, or where it was held. One that is over begins anew."""
    found = ask(home_or_exit(config_path), "ramp_experiment", {"name": name, "share": share}, reason=reason)
    _say(found, as_json=as_json)


@experiments.command("hold")
@click.argument("name")
@_REASON
@_JSON
@_CONFIG
def hold(name: str, reason: str, as_json: bool, config_path: str | None) -> None:
    """Stay at the share it has; its guards go on."""
    found = ask(home_or_exit(config_path), "hold_experiment", {"name": name}, reason=reason)
    _say(found, as_json=as_json)


@experiments.command("rollback")
@click.argument("name")
@_REASON
@_JSON
@_CONFIG
def rollback(name: str, reason: str, as_json: bool, config_path: str | None) -> None:
    """Send everybody back to the first arm, at once."""
    found = ask(home_or_exit(config_path), "rollback_experiment", {"name": name}, reason=reason)
    _say(found, as_json=as_json)


@experiments.command("finish")
@click.argument("name")
@click.option("--winner", metavar="TARGET", help="The arm that all calls go to. Default: the one that has won.")
@_REASON
@_JSON
@_CONFIG
def finish(name: str, winner: str | None, reason: str, as_json: bool, config_path: str | None) -> None:
    """End it: from now on all calls go to one arm."""
    found = ask(home_or_exit(config_path), "finish_experiment", {"name": name, "winner": winner}, reason=reason)
    _say(found, as_json=as_json)


def _say(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    winner = f"; winner {found['winner']}" if found["winner"] else ""
    say(f"{found['name']}: {found['state'].replace('_', ' ')}{winner}")
    columns = [("Arm", False), ("Share", True), ("Calls", True), ("Errors", True), ("Mean", True), ("95 %", True)]
    shadows = [{**arm, "target": f"{arm['target']} (shadow)"} for arm in found.get("shadows", ())]
    print_table(Table(columns, [_arm(arm) for arm in (*found["arms"], *shadows)]))
    say(found["reason"])


def _row(found: dict[str, Any]) -> list[str]:
    newcomers = sum(arm["share"] for arm in found["arms"][1:])
    calls = sum(arm["calls"] for arm in found["arms"])
    return [found["name"], found["state"].replace("_", " "), f"{newcomers:g} %", f"{calls:,}", found["winner"] or "-"]


def _arm(arm: dict[str, Any]) -> list[str]:
    metric = arm["metric"]
    if metric["mean"] is None:
        return [arm["target"], f"{arm['share']:g} %", f"{arm['calls']:,}", f"{arm['errors']:,}", "-", "-"]
    interval = f"{metric['low']:.6g} … {metric['high']:.6g}"
    numbers = [f"{arm['calls']:,}", f"{arm['errors']:,}", f"{metric['mean']:.6g}", interval]
    return [arm["target"], f"{arm['share']:g} %", *numbers]
