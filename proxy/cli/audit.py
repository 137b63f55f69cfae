"""`tollkeeper audit`: who changed what, when, from where and why; and whether that is all of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

import click

from proxy.cli.client import ask
from proxy.cli.home import Home, home_or_exit
from proxy.cli.tables import Table, moment, print_table, say
from proxy.config.problems import number_of
from proxy.web.operator.timestamps import moment_ms

_AT_ONCE = 1000
_LONGEST = 60


@click.command("audit")
@click.option("--since", metavar="DATE", help="From this day or moment on. Default: everything.")
@click.option("--until", metavar="DATE", help="Up to the end of this day, or to this moment.")
@click.option("--actor", metavar="NAME", help="Only what they did, such as 'uid 1000', or a pattern.")
@click.option("--action", metavar="NAME", help="Only what is called so, such as key.create, or 'key.*'.")
@click.option("--target", metavar="NAME", help="Only what was done to this, such as keys.bob, or a pattern.")
@click.option("--last", type=click.IntRange(1, 1000), default=30, help="So many rows, the newest first. Default: 30.")
@click.option("--verify", is_flag=True, help="Say whether a row was changed, removed or cut off; exit status 1 if so.")
@click.option("--head", "heads", multiple=True, metavar="HASH",
              help="With --verify: a row must have this hash, noted elsewhere, as from the log; may be repeated.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--jsonl", "as_jsonl", is_flag=True, help="Every row, the oldest first, a line each, as it is hashed.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def audit(config_path: str | None, as_jsonl: bool, verify: bool, heads: tuple[str, ...], **options: Any) -> None:
    """What operators did: by command, over the admin port, by signal. DATE is 2026-11-21, today, or 7d (ago)."""
    if (verify and as_jsonl) or (as_jsonl and options["as_json"]):
        raise click.UsageError("--jsonl stands alone")
    if heads and not verify:
        raise click.UsageError("--head goes with --verify")
    home = home_or_exit(config_path)
    if verify:
        _verify(ask(home, "audit_verification", {"heads": heads}), as_json=options["as_json"])
    elif as_jsonl:
        for row in _every(home, _filters(options, home.zone)):
            click.echo(json.dumps(row, ensure_ascii=False))
    else:
        found = ask(home, "audit", {**_filters(options, home.zone), "limit": options["last"]})
        click.echo(json.dumps(found, indent=1)) if options["as_json"] else _print(found["rows"])


def _filters(options: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    given = {name: options[name] for name in ("actor", "action", "target")}
    try:
        for name in ("since", "until"):
            if options[name] is not None:
                given[f"{name}_ms"] = moment_ms(options[name], zone, is_end=name == "until")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"--{name}") from None
    return given


def _every(home: Home, filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All rows, page by page; the moment in words is no part of what is hashed."""
    after: int | None = 0
    while after is not None:
        asked = {**filters, "after": after, "limit": _AT_ONCE, "oldest_first": True, "as_kept": True}
        found = ask(home, "audit", asked)
        for row in found["rows"]:
            yield {name: value for name, value in row.items() if name != "at"}
        after = found["next"]


def _verify(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif found["ok"] and found["rows"]:
        newest = found["newest"]
        rows = number_of(found["rows"], "row")
        say(f"The audit is whole: {rows}, the newest is {newest['seq']} with the hash {newest['hash']}.")
    elif found["ok"]:
        say("The audit is whole: nothing was done yet.")
    for problem in [] if as_json else found["problems"]:
        click.echo(f"The audit is not whole: {problem}.", err=True)
    sys.exit(0 if found["ok"] else 1)


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("Nothing was done.")
        return
    cells = [
        (
            str(row["seq"]),
            moment(row["at"]),
            row["actor"],
            row["source"],
            row["action"],
            row["target"],
            _short(_difference(row["before"], row["after"])),
            row["reason"],
        )
        for row in rows
    ]
    names = ("When", "Who", "From", "Did", "To", "Change", "Why")
    print_table(Table([("No.", True), *((name, False) for name in names)], cells))


def _difference(before: Any, after: Any) -> str:
    """What differs, member by member where both have members."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(f"{name}: {_text(before.get(name))} -> {_text(after.get(name))}" for name in names)
    if before is None:
        return "" if after is None else _text(after)
    return f"{_text(before)} -> {'gone' if after is None else _text(after)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
