"""`tollkeeper admins`: admin tokens by name, each with a role, made, changed and ended while the daemon runs."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any, get_args

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import Home, home_or_exit
from proxy.cli.tables import Table, moment, print_table, say
from proxy.policy.operators import Role

TOKEN_PREFIX = "tk-admin-"
_CONFIG = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration file (default: searched for)."
)
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group("admins", cls=Suggesting)
def admins() -> None:
    """Make, list, rotate and revoke the tokens of the admin port; those of the configuration are listed beside them."""


@admins.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(get_args(Role)), required=True, help="What it may; see `docs/roles.md`.")
@click.option("--tenant", metavar="NAME", help="It sees this tenant's rows only.")
@click.option("--expires", metavar="DURATION", default="90d", help="When it ends, such as 30d from now, or never.")
@_REASON
@_JSON
@_CONFIG
def create(name: str, role: str, tenant: str | None, expires: str, **options: Any) -> None:
    """Make a token and print it, this once; only a hash of it is kept."""
    home = home_or_exit(options["config_path"])
    token, token_hash = _new_token()
    value = {"role": role, "token_hash": token_hash, "tenant": tenant, "expires": _moment(expires)}
    wanted = {member: item for member, item in value.items() if item is not None}
    was_free = not ask(home, "settings", {"section": "admins"})["sections"]["admins"]
    _put(home, {"name": name, "value": wanted, "version": _version(home, name)}, options["reason"])
    _say_token(name, token, options, f"This is the token of {name} ({role})")
    if was_free and not options["as_json"]:
        click.echo("It is the first one here: from now on what is only read wants a token, too.", err=True)


@admins.command("rotate")
@click.argument("name")
@click.option("--expires", metavar="DURATION", help="When it ends, such as 30d from now, or never. Default: as it was.")
@_REASON
@_JSON
@_CONFIG
def rotate(name: str, expires: str | None, **options: Any) -> None:
    """Give a stored name a new token and print it, this once; the one it had is refused from now on."""
    home = home_or_exit(options["config_path"])
    found = ask(home, "setting", {"section": "admins", "name": name})
    token, token_hash = _new_token()
    value = {**found["value"], "token_hash": token_hash, "token": None}
    if expires is not None:
        value["expires"] = _moment(expires)
    wanted = {member: item for member, item in value.items() if item is not None}
    _put(home, {"name": name, "value": wanted, "version": found["version"]}, options["reason"])
    _say_token(name, token, options, f"This is the new token of {name}")


@admins.command("list")
@_JSON
@_CONFIG
def list_(as_json: bool, config_path: str | None) -> None:
    """List whoever has a token: role, tenant, when it ends, and where it stands. Never a token."""
    found = ask(home_or_exit(config_path), "settings", {"section": "admins"})["sections"]["admins"]
    rows = [{"name": name, "from": told["source"], **_shown(told["value"])} for name, told in found.items()]
    if as_json:
        click.echo(json.dumps({"admins": rows}, indent=1))
    elif not rows:
        say("There is no admin token but `admin: token:`, if that is set; `tollkeeper admins create` makes one.")
    else:
        cells = [
            (row["name"], row["role"], row["tenant"] or "-", _ends(row["expires"]), row["from"].rpartition("/")[2])
            for row in rows
        ]
        columns = ("Admin", "Role", "Tenant", "Expires", "Stands in")
        print_table(Table([(column, False) for column in columns], cells))


@admins.command("revoke")
@click.argument("name")
@_REASON
@_CONFIG
def revoke(name: str, reason: str, config_path: str | None) -> None:
    """Refuse a token from now on."""
    ask(home_or_exit(config_path), "delete_setting", {"section": "admins", "name": name, "reason": reason})
    click.echo(f"The token of {name} is revoked.")


def _new_token() -> tuple[str, str]:
    """A token, and what is kept of it."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return token, f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def _version(home: Home, name: str) -> int:
    """The version of a name that is free."""
    there = ask(home, "settings", {"section": "admins"})["sections"]["admins"]
    if name in there:
        raise click.ClickException(f"there is an admin {name} already; `tollkeeper admins rotate` gives it a new token")
    return 0


def _put(home: Home, wanted: dict[str, Any], reason: str) -> None:
    ask(home, "put_setting", {"section": "admins", **wanted, "reason": reason})


def _say_token(name: str, token: str, options: dict[str, Any], what: str) -> None:
    if options["as_json"]:
        click.echo(json.dumps({"name": name, "token": token}, indent=1))
        return
    click.echo(token)
    click.echo(f"{what}. It is shown this once; only its hash is kept.", err=True)


def _moment(duration: str) -> str | None:
    """So long from now; None is never."""
    from proxy.config.units import duration_from_now

    if duration == "never":
        return None
    try:
        at = datetime.fromtimestamp(time.time() + duration_from_now(duration), UTC)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--expires {error}") from None
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _shown(value: dict[str, Any]) -> dict[str, Any]:
    return {member: value.get(member) for member in ("role", "tenant", "expires")}


def _ends(expires: str | None) -> str:
    """A moment as other tables have it; a day as it is written."""
    return moment(expires) if expires is None or "T" in expires else expires
