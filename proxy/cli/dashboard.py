"""`tollkeeper dashboard`: log a browser in, without a token to copy."""

from __future__ import annotations

import json

import click

from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.config.problems import number_of
from proxy.doctor.local_http import reachable_address


@click.command("dashboard")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def dashboard(as_json: bool, config_path: str | None) -> None:
    """Print a link that logs a browser in as owner, once."""
    found = ask(home_or_exit(config_path), "dashboard")
    found["url"] = reachable_address(found["url"])
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(found["url"])
    minutes = number_of(found["seconds"] // 60, "minute")
    click.echo(f"Open it within {minutes}; it works once, and whoever opens it is owner.", err=True)
