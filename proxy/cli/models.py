"""`tollkeeper models`: what can be asked for, where each name goes, and what is known of one."""

from __future__ import annotations

import json
from typing import Any

import click

from proxy.cli import Suggesting
from proxy.cli.client import ask
from proxy.cli.completing import model_names
from proxy.cli.home import home_or_exit
from proxy.cli.model_commands import COMMANDS, per_million, seconds_text, size
from proxy.cli.tables import Table, print_table, say

_COLUMNS = (
    ("Name", False), ("At", False), ("$/M in", True), ("$/M out", True), ("Context", True), ("Output", True),
    ("Released", False), ("First token", True), ("Tokens/s", True), ("Takes", False),
)  # fmt: skip

_ORDERS = ("name", "input", "output", "context", "largest_output", "released", "first_token", "speed")
_OF_SPEED = ("First token", "Tokens/s")


@click.command("models")
@click.argument("query", required=False, shell_complete=model_names)
@click.option("--provider", metavar="NAME", help="Only what this provider serves.")
@click.option("--author", metavar="NAME", help="Only models of this author, such as anthropic.")
@click.option("--takes", multiple=True, metavar="WHAT",
              help="Only what takes images, files, audio, video, tools, json_schema, reasoning …; may be repeated.")  # fmt: skip
@click.option("--makes", multiple=True, metavar="WHAT", help="Only what makes text, images, embeddings, speech …")
@click.option("--max-input", "max_input_usd", metavar="USD", help="Only up to this price of a million input tokens.")
@click.option("--max-output", "max_output_usd", metavar="USD", help="The same for output tokens.")
@click.option("--min-context", type=click.IntRange(1), help="Only from this context window on, in tokens.")
@click.option("--min-output", type=click.IntRange(1), help="Only what may write so many tokens.")
@click.option("--max-first-token", type=click.FloatRange(0), metavar="SECONDS", help="Only what begins by then.")
@click.option("--min-speed", type=click.FloatRange(0), metavar="N", help="Only what says so many tokens a second.")
@click.option("--free", is_flag=True, help="Only what costs nothing.")
@click.option("--released", metavar="DATE", help="Only from this day on: 2026-11-21, today, or 30d (ago).")
@click.option("--off", is_flag=True, help="Those that are switched off for everybody.")
@click.option("--sort", type=click.Choice(_ORDERS), help="Cheapest, largest, newest or quickest first.")
@click.option("--limit", type=click.IntRange(1), help="So many at most.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def _listing(config_path: str | None, as_json: bool, **wanted: Any) -> None:
    """List the names clients may send, or those that contain QUERY, and what each one becomes.

    Where QUERY is itself a name: what is known of its models, and who says so. With options: those that fit, as a table.
    The words sync, compare, enable, disable, undo and diff are commands of their own.
    """
    given = {name: value for name, value in wanted.items() if value not in (None, (), False)}
    found = ask(home_or_exit(config_path), "models", given)
    rows, known, query = found["models"], found["known"], wanted["query"]
    if as_json:
        click.echo(json.dumps([row | ({"known": known} if row["name"] == query else {}) for row in rows], indent=1))
    elif given.keys() - {"query"}:
        _print_table(rows)
    else:
        _print_lines(rows, query)
        _print_known(known)
    if found["off"] and not (as_json or wanted["off"]):
        say(f"{found['off']} more are switched off; `tollkeeper models --off` lists them.")


class _Models(Suggesting):
    """A command that lists, and behind some words other commands."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        command = self.commands.get(args[0]) if args else None
        if command is not None:
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return _listing.make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return ctx.command.invoke(ctx)


models = _Models("models", COMMANDS, True, help=_listing.help, params=_listing.params)


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("No model that is known fits all of it.")
        return
    cells = [
        [
            row["name"],
            row["provider"] or "",
            per_million(row["input_usd"]),
            per_million(row["output_usd"]),
            size(row["context_length"]),
            size(row["max_output"]),
            row["released"] or "",
            seconds_text(row["first_token_seconds"]),
            "" if row["tokens_per_second"] is None else f"{row['tokens_per_second']:.0f}",
            ", ".join(row["takes"]).replace("_", " "),
        ]
        for row in rows
    ]
    shown = [at for at, (title, _) in enumerate(_COLUMNS) if title not in _OF_SPEED or any(row[at] for row in cells)]
    print_table(Table([_COLUMNS[at] for at in shown], [[row[at] for at in shown] for row in cells]))


def _print_lines(rows: list[dict[str, Any]], query: str | None) -> None:
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        says = [text for text in (row["target"], row["problem"]) if text]
        say(f"{row['name']:{width}}  ->  {' - '.join(says)}")
    if not rows:
        say(
            "No name is known: no provider is configured, or none has been asked for its models."
            if query is None
            else f"No name contains {query!r}."
        )


def _print_known(known: list[dict[str, Any]]) -> None:
    if known:
        from proxy.cli.model_facts import facts_text

        for facts in known:
            say("\n" + facts_text(facts))
