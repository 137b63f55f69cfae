"""`tollkeeper settings`: what the configuration says, file and store together, and changes of the latter."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, moment, print_table, say

_CONFIG = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration file (default: searched for)."
)
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would change.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group("settings", cls=Suggesting)
def settings() -> None:
    """Show and change what stands beside the configuration file. ENTRY is such as providers.local or budgets.team."""


@settings.command("list")
@click.argument("section", required=False)
@_JSON
@_CONFIG
def list_(section: str | None, as_json: bool, config_path: str | None) -> None:
    """Every entry in force, and where it stands."""
    found = ask(home_or_exit(config_path), "settings", {"section": section})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    rows = [
        (f"{name}.{entry}", told["source"].rpartition("/")[2], str(told["version"] or ""), _short(told["value"]))
        for name, entries in found["sections"].items()
        for entry, told in entries.items()
    ]
    columns = (("Entry", False), ("Stands in", False), ("Version", True), ("Value", False))
    print_table(Table(columns, rows)) if rows else say("Nothing is set; `tollkeeper settings set ENTRY VALUE` does it.")


@settings.command("get")
@click.argument("entry")
@_JSON
@_CONFIG
def get(entry: str, as_json: bool, config_path: str | None) -> None:
    """One entry, as the configuration would hold it; secrets masked."""
    found = ask(home_or_exit(config_path), "setting", dict(_place(entry)))
    click.echo(json.dumps(found, indent=1) if as_json else _yaml(found["value"]), nl=as_json)


@settings.command("set")
@click.argument("entry")
@click.argument("value")
@click.option("--version", type=int, help="Only where it has this version now; 0: only where there is none.")
@_REASON
@_DRY_RUN
@_CONFIG
def set_(entry: str, value: str, dry_run: bool, config_path: str | None, **options: Any) -> None:
    """Set one entry, applied at once. VALUE is YAML or JSON as in the configuration file; - reads it from stdin."""
    text = sys.stdin.read() if value == "-" else value
    wanted = {**dict(_place(entry)), "value": _value(text), **options}
    found = ask(home_or_exit(config_path), "put_setting", {**wanted, "rehearse": dry_run})
    _say_changes(found["changes"], is_rehearsal=dry_run)


@settings.command("remove")
@click.argument("entry")
@_REASON
@_DRY_RUN
@_CONFIG
def remove(entry: str, reason: str, dry_run: bool, config_path: str | None) -> None:
    """Remove one stored entry."""
    asked = {**dict(_place(entry)), "reason": reason, "rehearse": dry_run}
    found = ask(home_or_exit(config_path), "delete_setting", asked)
    _say_changes(found["changes"], is_rehearsal=dry_run)


@settings.command("history")
@click.argument("entry", required=False)
@_JSON
@_CONFIG
def history(entry: str | None, as_json: bool, config_path: str | None) -> None:
    """What was changed, the newest first: when, by whom, why. ENTRY may be a section."""
    found = ask(home_or_exit(config_path), "settings_history", _part(entry))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    rows = [
        (
            moment(row["at"]),
            f"{row['section']}.{row['name']}",
            str(row["version"]),
            row["actor"],
            "removed" if row["value"] is None else _short(row["value"]),
            row["reason"],
        )
        for row in found["versions"]
    ]
    columns = (("When", False), ("Entry", False), ("Version", True), ("Who", False), ("Value", False), ("Why", False))
    print_table(Table(columns, rows)) if rows else say("Nothing was changed yet.")


@settings.command("diff")
@click.argument("entry")
@click.argument("before", type=int, required=False)
@click.argument("after", type=int, required=False)
@_CONFIG
def diff(entry: str, before: int | None, after: int | None, config_path: str | None) -> None:
    """What differs between two versions of an entry; default: the latest and the one before it."""
    import difflib

    found = ask(home_or_exit(config_path), "settings_history", dict(_place(entry)))["versions"]
    values = {0: None, **{row["version"]: row["value"] for row in found}}
    newest = max(values) if after is None else after
    oldest = max(newest - 1, 0) if before is None else before
    for version in (oldest, newest):
        if version not in values or not found:
            raise click.ClickException(f"{entry} has no version {version}; `tollkeeper settings history {entry}`")
    was, became = ([] if values[v] is None else _yaml(values[v]).splitlines() for v in (oldest, newest))
    for line in difflib.unified_diff(was, became, f"version {oldest}", f"version {newest}", lineterm=""):
        click.echo(line)


@settings.command("rollback")
@click.argument("entry")
@click.argument("version", type=int)
@_REASON
@_DRY_RUN
@_CONFIG
def rollback(entry: str, version: int, reason: str, dry_run: bool, config_path: str | None) -> None:
    """Put an earlier version of an entry in force, its secret with it."""
    asked = {**dict(_place(entry)), "version": version, "reason": reason, "rehearse": dry_run}
    found = ask(home_or_exit(config_path), "rollback_setting", asked)
    _say_changes(found["changes"], is_rehearsal=dry_run)


@settings.command("export")
@_CONFIG
def export(config_path: str | None) -> None:
    """What is stored, and what it names of the file, as a configuration to keep; in the place of each secret stands that
    it is in the store."""
    from proxy.config.exported import exported

    found = ask(home_or_exit(config_path), "settings")["sections"]
    click.echo(_yaml(exported(found)), nl=False)


@settings.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_REASON
@_DRY_RUN
@_CONFIG
def import_(file: Path, reason: str, dry_run: bool, config_path: str | None) -> None:
    """Store the entries of a file as `settings export` writes it: all of them, or none; what the configuration says as
    well is left there."""
    from proxy.config.exported import not_in_file, read_exported
    from proxy.config.problems import ConfigProblems

    try:
        changes = read_exported(file)
    except ConfigProblems as problems:
        raise click.ClickException(str(problems)) from None
    home = home_or_exit(config_path)
    changes = not_in_file(changes, ask(home, "settings")["sections"])
    found = ask(home, "change_settings", {"changes": changes, "reason": reason, "rehearse": dry_run})
    _say_changes(found["changes"], is_rehearsal=dry_run)


def _place(entry: str) -> Iterator[tuple[str, str]]:
    section, dot, name = entry.partition(".")
    if not dot or not name:
        raise click.UsageError("name the section and the entry, such as providers.local")
    yield "section", section
    yield "name", name


def _part(entry: str | None) -> dict[str, str]:
    return {} if entry is None else dict(_place(entry)) if "." in entry else {"section": entry}


def _value(text: str) -> Any:
    from proxy.config.loader import parse
    from proxy.config.problems import ConfigProblems

    shifted = (
        "value: " + text if "\n" not in text.strip() else "value:\n" + "".join(f" {x}\n" for x in text.splitlines())
    )
    try:
        document = parse(shifted, "VALUE")
        if document.problems:
            raise ConfigProblems(document.problems)
    except ConfigProblems as problems:
        raise click.ClickException(problems.problems[0].sentence) from None
    return document.tree.get("value")


def _yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def _say_changes(changes: list[str], *, is_rehearsal: bool) -> None:
    for line in changes or ["nothing changes" if is_rehearsal else "nothing has changed"]:
        click.echo(line)
