"""`tollkeeper reload`: have the running daemon read its configuration again."""

from __future__ import annotations

import click

from proxy.cli.client import ask
from proxy.cli.home import home_or_exit


@click.command("reload")
@click.option("--yes", is_flag=True, help="Also where every provider or every budget would be dropped.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def reload(yes: bool, config_path: str | None, reason: str) -> None:
    """Have the daemon read its configuration again, and say what changed: it is taken on whole, or not at all."""
    home = home_or_exit(config_path)
    changes = ask(home, "reload", {"yes": True} if yes else {}, reason=reason)["changes"]
    for change in changes or ["nothing has changed"]:
        click.echo(change)
