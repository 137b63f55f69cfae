"""`tollkeeper tenants`: sites, teams and customers that keys belong to; made and changed beside the configuration file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from proxy.cli import Suggesting, filled
from proxy.cli.client import ask
from proxy.cli.completing import tenant_names
from proxy.cli.home import Home, home_or_exit
from proxy.cli.tables import Table, bar, budget_name, print_table, say
from proxy.config.problems import number_of
from proxy.policy.money.amounts import dollars

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_CONFIG = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration file (default: searched for)."
)
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
_TERMS = (
    click.option("--parent", metavar="NAME", callback=filled, help="The tenant it belongs to, or none."),
    click.option("--credential", "credentials", multiple=True, metavar="PROVIDER",
                 help="A key of its own there: asked for, or a line of stdin each; may be repeated."),
    click.option("--default-model", metavar="MODEL", help="The model of its calls that name none, or none."),
    click.option("--max-output", metavar="TOKENS", help="The most output tokens one of its calls may ask for, or none."),
    click.option("--models", metavar="PATTERNS", callback=filled,
                 help="Models it may use, such as 'openai/*,storyteller', or all."),
    click.option("--budget", "budgets", multiple=True, metavar="USD/PERIOD",
                 help="Of all its keys together, such as 50/month, or none; may be repeated."),
    click.option("--limit", "limits", multiple=True, metavar="LIMIT",
                 help="Of all its keys together, such as 600/minute or concurrent:20, or none; may be repeated."),
    click.option("--zdr/--no-zdr", default=None, help="Whether its calls go only where nothing is kept of them."),
)  # fmt: skip
_CLEARS = {"parent": "none", "default_model": "none", "max_output": "none", "models": "all", "budgets": ("none",), "limits": ("none",)}  # fmt: skip


def _terms(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what a tenant is."""
    for option in reversed(_TERMS):
        command = option(command)
    return command


@click.group("tenants", cls=Suggesting)
def tenants() -> None:
    """Sites, teams or customers: each with keys, models, budgets and credentials of its own."""


@tenants.command("list")
@_JSON
@_CONFIG
def list_(as_json: bool, config_path: str | None) -> None:
    """List tenants: how many keys each has, what it has spent, where its budgets stand."""
    found = ask(home_or_exit(config_path), "tenants")
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not found["tenants"]:
        say("There is no tenant; `tollkeeper tenants create NAME` makes one.")
    else:
        columns = [("Tenant", False), ("Parent", False), ("Keys", True), ("Own credentials", False), ("Calls", True)]
        columns += [("Spent", True), ("Budgets", False)]
        print_table(Table(columns, [_cells(tenant) for tenant in found["tenants"]]))


@tenants.command("show")
@click.argument("name", shell_complete=tenant_names)
@_JSON
@_CONFIG
def show(name: str, as_json: bool, config_path: str | None) -> None:
    """One tenant: what it says, its keys and children, where its budgets stand. Never a credential."""
    (tenant,) = ask(home_or_exit(config_path), "tenants", {"tenant": name})["tenants"]
    if as_json:
        click.echo(json.dumps(tenant, indent=1))
        return
    say(f"{name}, of {tenant['parent']}" if tenant["parent"] else name)
    for heading, told in _rows(tenant):
        say(f"  {heading:16} {told}")


@tenants.command("create")
@click.argument("name")
@_terms
@_REASON
@_CONFIG
def create(name: str, config_path: str | None, reason: str, **options: Any) -> None:
    """Make a tenant; keys join it with `tollkeeper keys create KEY --tenant NAME`."""
    home, value = home_or_exit(config_path), _changed({}, options)
    _put(home, {"name": name, "value": value, "version": 0, "reason": reason})


@tenants.command("update")
@click.argument("name", shell_complete=tenant_names)
@_terms
@_REASON
@_CONFIG
def update(name: str, config_path: str | None, reason: str, **options: Any) -> None:
    """Change a tenant, from now on. Each option replaces what was; what is left out stays."""
    home = home_or_exit(config_path)
    former = ask(home, "setting", {"section": "tenants", "name": name})
    value = _changed(former["value"], options)
    if value == former["value"]:
        raise click.UsageError("nothing is to be changed: give an option")
    _put(home, {"name": name, "value": value, "version": former["version"], "reason": reason})


@tenants.command("delete")
@click.argument("name", shell_complete=tenant_names)
@_REASON
@_CONFIG
def delete(name: str, reason: str, config_path: str | None) -> None:
    """Remove a tenant that no key belongs to any more; what it has spent stays in the ledger."""
    asked = {"section": "tenants", "name": name, "reason": reason}
    for line in ask(home_or_exit(config_path), "delete_setting", asked)["changes"]:
        click.echo(line)


def _put(home: Home, wanted: dict[str, Any]) -> None:
    for line in ask(home, "put_setting", {"section": "tenants", **wanted})["changes"] or ["nothing changed"]:
        click.echo(line)


def _changed(value: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The entry as the configuration would hold it, with what the options say."""
    changed = {**value, **_said(options)}
    if options["credentials"]:
        changed["credentials"] = {**value.get("credentials", {}), **_asked_for(options["credentials"])}
    if options["zdr"] is not None:
        changed["privacy"] = {"zdr": options["zdr"]}
    cleared = [name for name, word in _CLEARS.items() if options[name] == word]
    return {name: item for name, item in changed.items() if name not in cleared}


def _said(options: dict[str, Any]) -> dict[str, Any]:
    from proxy.config.new_key import budget_term, limit_term

    given = {name: options[name] for name, word in _CLEARS.items() if options[name] and options[name] != word}
    option = "--budget"
    try:
        if "budgets" in given:
            given["budgets"] = [budget_term(text) for text in given["budgets"]]
        option = "--limit"
        if "limits" in given:
            given["limits"] = [limit_term(text) for text in given["limits"]]
        option = "--max-output"
        if "max_output" in given:
            given["max_output"] = _tokens(given["max_output"])
    except ValueError as error:
        raise click.UsageError(f"{option} {error}") from None
    if "models" in given:
        given["models"] = [pattern.strip() for pattern in given["models"].split(",") if pattern.strip()]
    return given


def _tokens(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a number of tokens such as 4096, or none")
    return int(text)


def _asked_for(providers: tuple[str, ...]) -> dict[str, str]:
    """A secret on a command line is everybody's on this machine: asked for without echo, or read from stdin."""
    if sys.stdin.isatty():
        return {name: click.prompt(f"The key of {name}", hide_input=True) for name in providers}
    lines = [line.strip() for line in sys.stdin.read().splitlines() if line.strip()]
    if len(lines) != len(providers):
        raise click.UsageError(f"--credential: stdin must hold {number_of(len(providers), 'key')}, a line each")
    return dict(zip(providers, lines, strict=True))


def _cells(tenant: dict[str, Any]) -> list[str]:
    budgets = [
        f"{bar(b['spent_usd'], b['cap_usd'])} of {dollars(b['cap_usd'])}/{b['per']}{' (shadow)' if b['shadow'] else ''}"
        for b in tenant["budgets"]
    ]
    return [
        tenant["name"],
        tenant["parent"] or "-",
        str(len(tenant["keys"])),
        ", ".join(tenant["credentials"]) or "-",
        f"{tenant['calls']:,}",
        dollars(tenant["cost_usd"]),
        "\n".join(budgets) or "-",
    ]


def _rows(tenant: dict[str, Any]) -> list[tuple[str, str]]:
    """What there is to say of it."""
    rows = [
        ("keys", ", ".join(tenant["keys"])),
        ("children", ", ".join(tenant["children"])),
        *((f"key of {provider}", origin) for provider, origin in tenant["credentials"].items()),
        ("default model", tenant["default_model"]),
        ("largest output", f"{tenant['max_output']:,} tokens" if tenant["max_output"] else None),
        ("models", ", ".join(tenant["models"])),
        ("translation", tenant["translation"]),
        ("privacy", "zdr" if tenant["zdr"] else None),
        ("limits", ", ".join(tenant["limits"])),
        *(
            (
                "budget",
                f"{budget_name(b)}: {dollars(b['spent_usd'])} of {dollars(b['cap_usd'])}, {dollars(b['left_usd'])} left",
            )
            for b in tenant["budgets"]
        ),
        ("own calls", f"{tenant['calls']:,}, {dollars(tenant['cost_usd'])}"),
    ]
    return [(heading, told) for heading, told in rows if told]
