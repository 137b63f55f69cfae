"""`tollkeeper reload`: have the running daemon read its configuration again."""

from __future__ import annotations

import asyncio
import os

import click

from proxy.cli.client import ask
from proxy.cli.serve import settings_or_exit
from proxy.config import find_config
from proxy.watching import left_alone


@click.command("reload")
@click.option("--yes", is_flag=True, help="Also where every provider or every budget would be dropped.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def reload(yes: bool, config_path: str | None) -> None:
    """Have the daemon read its configuration again, and say what changed: it is taken on whole, or not at all."""
    asyncio.run(left_alone(find_config(config_path, os.environ)))
    changes = ask(settings_or_exit(config_path), "reload", {"yes": True} if yes else {})["changes"]
    for change in changes or ["nothing has changed"]:
        click.echo(change)
