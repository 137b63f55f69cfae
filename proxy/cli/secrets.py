"""`tollkeeper secrets`: the master keys that stored secrets hang on; another one put in their place, and old ones out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, moment, print_table, say
from proxy.config.problems import number_of

_CONFIG = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration file (default: searched for)."
)
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why, for the audit.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what it would do.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_MOST_NAMED = 3


@click.group("secrets", cls=Suggesting)
def secrets() -> None:
    """The master keys that stored secrets hang on."""


@secrets.command("status")
@_JSON
@_CONFIG
def status(as_json: bool, config_path: str | None) -> None:
    """Which master keys there are, what hangs on each, and what cannot be opened; exit status 1 if anything cannot."""
    found = ask(home_or_exit(config_path), "secrets")
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _print(found)
    sys.exit(not found["ok"])


@secrets.command("rotate")
@_REASON
@_DRY_RUN
@_JSON
@_CONFIG
def rotate(config_path: str | None, reason: str, dry_run: bool, as_json: bool) -> None:
    """Put a new master key first, and all that is stored under it. One that was cut short is gone on with."""
    found = ask(home_or_exit(config_path), "rotate_secrets", {"rehearse": dry_run}, reason=reason)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        for line in _rotated(found):
            say(line)
    sys.exit(bool(found["unreadable"]))


@secrets.command("prune")
@_REASON
@_DRY_RUN
@_JSON
@_CONFIG
def prune(config_path: str | None, reason: str, dry_run: bool, as_json: bool) -> None:
    """Take out the master keys that only decrypt; refused while anything needs one."""
    found = ask(home_or_exit(config_path), "prune_secrets", {"rehearse": dry_run}, reason=reason)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["removed"]:
        say("There is no master key but the active one.")
    else:
        say(f"{'Would take out' if dry_run else 'Taken out'}: {', '.join(found['removed'])}.")
        if not dry_run:
            say("Backups of the ledger from before want a copy of it: keep that as long as you keep them.")


def _print(found: dict[str, Any]) -> None:
    say(f"Master keys stand in {found['source']}" + ("." if found["writable"] else ", which is changed by hand."))
    if found["master_keys"]:
        say("")
        rows = [(row["label"], row["state"], str(row["data_keys"])) for row in found["master_keys"]]
        print_table(Table([("Master key", False), ("State", False), ("Data keys", True)], rows))
    if found["data_keys"]:
        say("")
        columns = [(heading, False) for heading in ("Data key", "Of", "Under", "Since", "Seals")]
        print_table(Table(columns, [tuple(_cells(row)) for row in found["data_keys"]]))
    say("")
    for line in _said(found):
        say(line)


def _cells(row: dict[str, Any]) -> Iterator[str]:
    yield from (row["id"], row["tenant"] or "everybody", row["master_key"], moment(row["created"]))
    named, more = row["entries"][:_MOST_NAMED], len(row["entries"]) - _MOST_NAMED
    told = [
        *named,
        *([f"{more} more"] if more > 0 else []),
        *([f"{row['files']} kept for clients"] * bool(row["files"])),
    ]
    yield ", ".join(told) or "nothing"


def _said(found: dict[str, Any]) -> Iterator[str]:
    """What is wrong, or what to do next."""
    if found["problem"]:
        yield f"red: {found['problem']}"
    yield from (f"red: data key {row['id']}: {row['problem']}" for row in found["data_keys"] if row["problem"])
    yield from (f"red: {row['entry']}: {row['problem']}" for row in found["unreadable"])
    if found["ok"]:
        yield "Everything can be opened." if found["data_keys"] else "Nothing is sealed yet."
    old = [row for row in found["master_keys"] if row["state"] == "decrypts only"]
    if any(row["data_keys"] for row in old):
        yield "Not all of it is under the active master key: `tollkeeper secrets rotate` goes on with it."
    elif old:
        names = ", ".join(row["label"] for row in old)
        yield f"Nothing needs {names} any more: `tollkeeper secrets prune` takes it out."
    if found["unreadable"] and not any(row["problem"] for row in found["data_keys"]):
        yield "The master keys are there again: `tollkeeper reload` has the daemon take them."


def _rotated(found: dict[str, Any]) -> Iterator[str]:
    would, keys = found["rehearsed"], number_of(found["wrapped"], "data key")
    if found["is_new"]:
        yield f"{'Would make' if would else 'Made'} the master key {found['master_key']}, and put it first."
    else:
        yield f"A rotation to {found['master_key']} was not at its end: {'would go' if would else 'gone'} on with it."
    yield f"{'Would put' if would else 'Put'} {keys} under it."
    yield from (f"red: {why}" for why in found["unreadable"])
    if not would:
        yield "Keep a copy of the new master key apart from backups. The old ones only decrypt; see"
        yield "`tollkeeper secrets status`, then `tollkeeper secrets prune` takes them out."
