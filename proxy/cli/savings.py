"""`tollkeeper savings`: what would have cost less."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import say, say_line
from proxy.cli.usage import given_moment_ms
from proxy.policy.money.amounts import dollars


@click.command("savings")
@click.option("--since", metavar="DAY", default="30d", show_default=True, help="A day such as 2026-11-27, or 7d (ago).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def savings(since: str, as_json: bool, config_path: str | None) -> None:
    """Say what would have cost less, how sure that is, and how to try it. Nothing is changed."""
    home = home_or_exit(config_path)
    found = ask(home, "savings", {"since_ms": given_moment_ms(since, home.zone, "--since", is_end=False)})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    say(f"{dollars(found['spent_usd'])} were spent on calls of text since {found['since'][:10]}.")
    if not found["savings"]:
        say("Nothing is known that would have cost a cent less.")
    for one in found["savings"]:
        _print(one)


def _print(one: dict[str, Any]) -> None:
    to = f" -> {one['to']}" if one["to"] else ""
    say("")
    say_line(
        f"{dollars(one['saves_usd'])}  {one['kind'].replace('_', ' ')}: {one['model']} at {one['provider']}{to} ({one['confidence']})"
    )
    say_line(f"  {one['why']}")
    say_line(f"  try: {one['how']}")
