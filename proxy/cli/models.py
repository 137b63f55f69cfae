"""`tollkeeper models`: what can be asked for, where each name goes, and what is known of one."""

from __future__ import annotations

import json

import click

from proxy.cli.client import ask
from proxy.cli.completing import model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import say


@click.command()
@click.argument("query", required=False, shell_complete=model_names)
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def models(query: str | None, config_path: str | None, as_json: bool) -> None:
    """List the names clients may send, or those that contain QUERY, and what each one becomes.

    Where QUERY is itself a name: what is known of its models, and who says so.
    """
    found = ask(home_or_exit(config_path), "models", {"query": query})
    rows, known = found["models"], found["known"]
    if as_json:
        click.echo(json.dumps([row | ({"known": known} if row["name"] == query else {}) for row in rows], indent=1))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        says = [text for text in (row["target"], row["problem"]) if text]
        say(f"{row['name']:{width}}  ->  {' - '.join(says)}")
    if not rows:
        say("No name is known: no provider is configured." if query is None else f"No name contains {query!r}.")
    if known:
        from proxy.cli.model_facts import facts_text

        for facts in known:
            say("\n" + facts_text(facts))
