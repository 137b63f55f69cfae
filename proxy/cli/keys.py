"""`tollkeeper keys`: client keys made, listed and revoked while the daemon runs."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, bar, moment, print_table, say
from proxy.policy.money.amounts import dollars


@click.group("keys", cls=Suggesting)
def keys() -> None:
    """Make, list and revoke client keys; those of the configuration are listed beside them."""


@keys.command("create")
@click.argument("name")
@click.option("--budget", "budgets", multiple=True, metavar="USD/PERIOD", help="Such as 5/day; may be repeated.")
@click.option("--limit", "limits", multiple=True, metavar="LIMIT",
              help="60/minute (requests), tokens:100000/minute or concurrent:8; may be repeated.")  # fmt: skip
@click.option("--models", metavar="PATTERNS", help="Models it may use, such as 'openai/*,storyteller'. Default: all.")
@click.option("--expires", metavar="DURATION", help="When it ends, such as 30d from now. Default: never.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def create(**options: Any) -> None:
    """Make a key and print its secret, this once; only a hash of it is kept."""
    params = _new_key(options)
    made = ask(home_or_exit(options["config_path"]), "create", params)
    if options["as_json"]:
        click.echo(json.dumps({"name": made["name"], "key": made["secret"], "key_hash": made["key_hash"]}, indent=1))
    else:
        click.echo(made["secret"])
        click.echo(
            f"This is the key {made['name']}. It is shown this once; only its hash is kept: {made['key_hash']}",
            err=True,
        )
    if made["was_open"]:
        click.echo("It is the first key here: from now on every call needs one.", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def list_(as_json: bool, config_path: str | None) -> None:
    """List keys: what each has spent, where its budgets stand, when it was last used. Never a secret."""
    found = ask(home_or_exit(config_path), "keys")
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["keys"]:
        say("There is no key; everybody on this machine may call." if found["open"] else "There is no key left.")
    else:
        columns = [("Key", False), ("From", False), ("Spent", True), ("Budgets", False), ("Limits", False)]
        columns += [("Last used", False), ("Expires", False)]
        print_table(Table(columns, [_cells(key) for key in found["keys"]]))


@keys.command("revoke")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def revoke(name: str, as_json: bool, config_path: str | None) -> None:
    """Refuse a key from now on; calls it has under way go on to their end."""
    found = ask(home_or_exit(config_path), "revoke", {"name": name})
    click.echo(json.dumps(found, indent=1) if as_json else f"The key {name} is revoked.")


def _new_key(options: dict[str, Any]) -> dict[str, Any]:
    from proxy.config.new_key import budget_term, limit_term, read_new_key
    from proxy.config.units import duration_seconds

    option = "--budget"
    try:
        budgets = [budget_term(text) for text in options["budgets"]]
        option = "--limit"
        limits = [limit_term(text) for text in options["limits"]]
        option = "--expires"
        seconds = None if options["expires"] is None else duration_seconds(options["expires"])
        option = ""
        models = [pattern.strip() for pattern in (options["models"] or "").split(",") if pattern.strip()]
        expires_ms = None if seconds is None else int((time.time() + seconds) * 1000)
        params = {"name": options["name"], "models": models, "budgets": budgets, "limits": limits}
        params["expires_ms"] = expires_ms
        read_new_key(params)
    except ValueError as error:
        raise click.UsageError(f"{option} {error}".strip()) from None
    return params


def _cells(key: dict[str, Any]) -> list[str]:
    budgets = [f"{bar(b['spent_usd'], b['cap_usd'])} of {dollars(b['cap_usd'])}/{b['per']}" for b in key["budgets"]]
    expires = "expired" if key["expired"] else moment(key["expires_at"])
    return [
        key["name"],
        key["from"],
        dollars(key["spent_usd"]),
        "\n".join(budgets) or "-",
        "\n".join(key["limits"]) or "-",
        moment(key["last_used_at"]),
        expires,
    ]
