"""`tollkeeper backup`: a copy of the ledger, whether or not a daemon is using it."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.cli.client import ask
from proxy.cli.home import home_or_exit


@click.command("backup")
@click.argument("file", type=click.Path())
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def backup(file: str, config_path: str | None, reason: str) -> None:
    """Copy the ledger to FILE, which must not exist; every call that has ended is in it."""
    target = Path(file).absolute()
    ask(home_or_exit(config_path), "backup", {"file": str(target)}, reason=reason)
    click.echo(f"wrote {target}")
