"""`tollkeeper keys`: client keys made, changed, listed and revoked while the daemon runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from proxy.cli import Suggesting, filled
from proxy.cli.client import ask
from proxy.cli.completing import key_names, tenant_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, bar, moment, print_table, say
from proxy.policy.money.amounts import dollars

_TERMS = {
    "expires": "when it ends",
    "lossy": "what translations may lose",
    "uid": "the user it is",
    "cache": "what is kept",
}

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


@click.group("keys", cls=Suggesting)
def keys() -> None:
    """Make, change, list and revoke client keys; those of the configuration are listed beside them."""


def _own_words(*default: str) -> Callable[[CommandT], CommandT]:
    """Options for what a key may have its own word on; `default` takes that away."""
    usual = "Default: as elsewhere." if not default else "default: as elsewhere."
    sooner = "|".join(("DURATION", "on", "off", *default))
    lossy = click.Choice(["allow", "warn", "reject", *default])
    same = click.Choice(["on", "off", *default])
    options = (
        click.option("--cache", metavar=sooner, help=f"How long exact answers are given again, such as 1h. {usual}"),
        click.option("--coalesce", type=same, help=f"Whether identical calls under way are sent once. {usual}"),
        click.option("--lossy", type=lossy, help=f"What becomes of calls whose translation loses something. {usual}"),
    )

    def given(command: CommandT) -> CommandT:
        for option in options:
            command = option(command)
        return command

    return given


@keys.command("create")
@click.argument("name")
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="USD/PERIOD",
    help="Such as 5/day, or shadow:5/day to try it out; may be repeated.",
)
@click.option("--limit", "limits", multiple=True, metavar="LIMIT",
              help="60/minute (requests), tokens:100000/minute, concurrent:8, or shadow: and one of these; may be repeated.")  # fmt: skip
@click.option("--models", metavar="PATTERNS", callback=filled,
              help="Models it may use, such as 'openai/*,storyteller'. Default: all.")  # fmt: skip
@click.option("--expires", metavar="DURATION", help="When it ends, such as 30d from now. Default: never.")
@click.option("--tenant", metavar="NAME", shell_complete=tenant_names, callback=filled,
              help="The tenant it belongs to. Default: none.")  # fmt: skip
@_own_words()
@click.option("--uid", metavar="NUMBER", help="The user of this machine (id -u) who needs no secret on a Unix socket.")
@click.option("--timing", is_flag=True, help="Its replies say where their time went, in a Server-Timing header.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def create(**options: Any) -> None:
    """Make a key and print its secret, this once; only a hash of it is kept."""
    params = _new_key(options)
    made = ask(home_or_exit(options["config_path"]), "create", params, reason=options["reason"])
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


@keys.command("update")
@click.argument("key", shell_complete=key_names)
@click.option("--name", metavar="NEW", help="What it is called from now on; what it has spent goes with it.")
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="USD/PERIOD",
    help="Such as 5/day, shadow:5/day, or none; may be repeated.",
)
@click.option("--limit", "limits", multiple=True, metavar="LIMIT",
              help="60/minute, tokens:100000/minute, concurrent:8, shadow:60/minute, or none; may be repeated.")  # fmt: skip
@click.option("--models", metavar="PATTERNS", callback=filled,
              help="Models it may use, such as 'openai/*,storyteller', or all.")  # fmt: skip
@click.option("--expires", metavar="DURATION", help="When it ends, such as 30d from now, or never.")
@click.option("--tenant", metavar="NAME", shell_complete=tenant_names, callback=filled,
              help="The tenant it belongs to from now on, or none.")  # fmt: skip
@_own_words("default")
@click.option("--uid", metavar="NUMBER", help="The user of this machine who needs no secret on a Unix socket, or none.")
@click.option("--timing/--no-timing", default=None, help="Whether its replies say where their time went.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def update(key: str, config_path: str | None, as_json: bool, reason: str, **options: Any) -> None:
    """Give a key other terms, from now on. Each option replaces what was; what is left out stays. The secret stays."""
    found = ask(home_or_exit(config_path), "update", {"key": key, **_changes(options)}, reason=reason)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    called = "" if found["name"] == key else f", now {found['name']}"
    terms = ", ".join(_TERMS.get(name, name) for name in found["changed"] if name != "name")
    say(f"Changed for the key {key}{called}: {terms}." if terms else f"The key {key} is now {found['name']}.")
    for budget in found["carried"]:
        say(f"{budget} goes on with what {key} has spent.")


@keys.command("rotate")
@click.argument("key", shell_complete=key_names)
@click.option(
    "--grace", metavar="DURATION", help="How long the secret it has goes on, such as 24h. Default: not at all."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def rotate(key: str, grace: str | None, as_json: bool, config_path: str | None, reason: str) -> None:
    """Give a key a new secret and print it, this once; its terms and what it has spent stay."""
    from proxy.config.units import duration_seconds

    try:
        seconds = 0.0 if grace is None else duration_seconds(grace)
    except ValueError as error:
        raise click.UsageError(f"--grace {error}") from None
    found = ask(home_or_exit(config_path), "rotate", {"key": key, "grace_seconds": seconds}, reason=reason)
    if as_json:
        row = {"name": key, "key": found["secret"], "key_hash": found["key_hash"], "old_until": found["old_until"]}
        click.echo(json.dumps(row, indent=1))
        return
    click.echo(found["secret"])
    old = f"goes on until {moment(found['old_until'])}" if found["old_until"] else "is refused from now on"
    click.echo(f"This is the new secret of the key {key}, shown this once. The one it had {old}.", err=True)


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
        rows = [_cells(key) for key in found["keys"]]
        if any(key["tenant"] for key in found["keys"]):
            columns.insert(1, ("Tenant", False))
            rows = [[row[0], key["tenant"] or "-", *row[1:]] for row, key in zip(rows, found["keys"], strict=True)]
        print_table(Table(columns, rows))


@keys.command("revoke")
@click.argument("name", shell_complete=key_names)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def revoke(name: str, as_json: bool, config_path: str | None, reason: str) -> None:
    """Refuse a key from now on; calls it has under way go on to their end."""
    found = ask(home_or_exit(config_path), "revoke", {"key": name}, reason=reason)
    click.echo(json.dumps(found, indent=1) if as_json else f"The key {name} is revoked.")


def _new_key(options: dict[str, Any]) -> dict[str, Any]:
    from proxy.config.new_key import read_new_key

    expires = None if options["expires"] == "never" else options["expires"]
    params = {"name": options["name"], **_terms({**options, "expires": expires})}
    return _checked(params, read_new_key)


def _changes(options: dict[str, Any]) -> dict[str, Any]:
    """Only what was given; `none`, `all` and `never` take away what was."""
    from proxy.config.new_key import read_key_changes

    cleared = {
        "budgets": ("none",),
        "limits": ("none",),
        "models": "all",
        "expires": "never",
        "tenant": "none",
        **dict.fromkeys(("lossy", "coalesce", "cache"), "default"),
        "uid": "none",
    }
    asked = {name: value for name, value in options.items() if value or value is False}
    given = {name: () if value == cleared.get(name) else value for name, value in asked.items()}
    terms = _terms({**dict.fromkeys(cleared), **{name: value or None for name, value in given.items()}})
    terms = {name: value for name, value in terms.items() if name.removesuffix("_ms") in given}
    return _checked(terms | ({"name": given["name"]} if "name" in given else {}), read_key_changes)


def _checked(params: dict[str, Any], read: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    try:
        read(params)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return params


def _terms(options: dict[str, Any]) -> dict[str, Any]:
    """The terms of a key as the options spell them, as JSON has them."""
    from proxy.config.new_key import budget_term, cache_term, limit_term
    from proxy.config.units import duration_from_now

    option = "--budget"
    try:
        budgets = [budget_term(text) for text in options["budgets"] or ()]
        option = "--limit"
        limits = [limit_term(text) for text in options["limits"] or ()]
        option = "--expires"
        seconds = None if options["expires"] is None else duration_from_now(options["expires"])
    except ValueError as error:
        raise click.UsageError(f"{option} {error}") from None
    models = [pattern.strip() for pattern in (options["models"] or "").split(",") if pattern.strip()]
    expires_ms = 0 if seconds is None else int((time.time() + seconds) * 1000)
    terms = {"models": models, "budgets": budgets, "limits": limits, "expires_ms": expires_ms}
    own = {name: options.get(name) or None for name in ("tenant", "lossy")}
    own |= {name: cache_term(text) if (text := options.get(name)) else None for name in ("coalesce", "cache")}
    uid = options["uid"] or None
    own["uid"] = int(uid) if uid and uid.isdecimal() else uid
    return {**terms, "timing": bool(options.get("timing")), **own}


def _cells(key: dict[str, Any]) -> list[str]:
    budgets = [
        f"{bar(b['spent_usd'], b['cap_usd'])} of {dollars(b['cap_usd'])}/{b['per']}{' (shadow)' if b['shadow'] else ''}"
        for b in key["budgets"]
    ]
    expires = "expired" if key["expired"] else moment(key["expires_at"])
    if key["old_secret_until"]:
        expires += f"\n(old secret: {moment(key['old_secret_until'])})"
    return [
        key["name"],
        key["from"],
        dollars(key["spent_usd"]),
        "\n".join(budgets) or "-",
        "\n".join(key["limits"]) or "-",
        moment(key["last_used_at"]),
        expires,
    ]
