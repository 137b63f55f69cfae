"""`tollkeeper alerts`: alert rules of one's own, looked at and tried."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, print_table, say
from proxy.policy.alerting.notices import amount
from proxy.policy.alerting.rules import MEASURES

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_CONFIG = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration file (default: searched for)."
)


@click.group("alerts", cls=Suggesting)
def alerts() -> None:
    """Alert rules of one's own: numbers of analytics, and what they must not pass."""


@alerts.command("list")
@_JSON
@_CONFIG
def list_rules(as_json: bool, config_path: str | None) -> None:
    """List them: what each says, what it measured last, and whether it fires."""
    found = ask(home_or_exit(config_path), "alert_rules", {})
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["rules"]:
        say("There is none; `alert_rules:` in the configuration has them.")
    else:
        columns = [("Rule", False), ("Fires", False), ("Over", True), ("State", False), ("Now", True)]
        print_table(Table(columns, [row for one in found["rules"] for row in _rows(one)]))


@alerts.command("test")
@click.argument("name")
@click.option("--quiet", is_flag=True, help="Only measure: nobody is told.")
@_JSON
@_CONFIG
def try_rule(name: str, quiet: bool, as_json: bool, config_path: str | None) -> None:
    """Measure a rule now, and send a test to those it tells."""
    found = ask(home_or_exit(config_path), "test_alert_rule", {"name": name, "notify": not quiet})
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        unit = found["unit"]
        for one in found["watched"]:
            say(f"{one['subject'] or name}: {amount(one['value'], unit)}")
        say("It would fire." if found["passed"] else "It would not fire.")
        for sent in found["sent"]:
            told = "told" if sent["delivered"] else "NOT told"
            say(f"{sent['name'] or sent['host']}: {told}: {sent['reason']}")
        if not found["sent"] and not quiet:
            say("Nobody is told: there is nothing under `alerts:`.")
    if not all(sent["delivered"] for sent in found["sent"]):
        raise SystemExit(1)


@alerts.command("prometheus")
@_CONFIG
def prometheus(config_path: str | None) -> None:
    """Print the rules as a file for Prometheus."""
    click.echo(ask(home_or_exit(config_path), "alert_rules_file", {})["rules"], nl=False)


def _rows(found: dict[str, Any]) -> list[list[str]]:
    rule, unit = found["rule"], found["unit"]
    side = "above" if "above" in rule else "below"
    watches = MEASURES[rule["metric"]].watches
    over = "" if watches else rule.get("over", "1h")
    about = [found["name"], f"{rule['metric']} {side} {amount(rule[side], unit)}", over]
    watched = [one for one in found["watched"] if one["subject"]]
    own = [*about, found["state"], amount(found["watched"][0]["value"], unit) if found["watched"] else "-"]
    if not watched:
        return [own]
    firing = [one for one in watched if one["state"] != "ok"]
    each = [
        ["", f"  {rule.get('each') or watches} {one['subject']}", "", one["state"], amount(one["value"], unit)]
        for one in firing
    ]
    return [[*about, found["state"], f"{len(watched):,} watched"], *each]
