"""`tollkeeper models`: what can be asked for, where each name goes, and what is known of one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from proxy.cli.completing import model_names
from proxy.cli.serve import settings_or_exit
from proxy.data import snapshot_bytes
from proxy.errors import ModelNotFound
from proxy.policy.names.feed import OPENROUTERS_LIST, read_feed
from proxy.policy.names.resolution import Names


@click.command()
@click.argument("query", required=False, shell_complete=model_names)
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def models(query: str | None, config_path: str | None, as_json: bool) -> None:
    """List the names clients may send, or those that contain QUERY, and what each one becomes.

    Where QUERY is itself a name: what is known of its models, and who says so.
    """
    from proxy.cli.model_facts import facts_text, known_of  # brings the HTTP library along
    from proxy.exchange.listings import with_cached
    from proxy.exchange.pricing import price_book

    settings = settings_or_exit(config_path)
    catalogue = with_cached(read_feed(snapshot_bytes()), settings.state_dir)
    names = Names(settings, catalogue, {})
    listed = [name for name in names.offered() if query is None or query.lower() in name.lower()]
    rows = [_row(names, name) for name in dict.fromkeys(([query] if query else []) + listed)]
    known = known_of(settings, names, price_book(settings, names, catalogue), query) if query else []
    for facts in known:
        facts["sources"] = {_dated(source, settings.state_dir): said for source, said in facts["sources"].items()}
    if as_json:
        click.echo(json.dumps([row | ({"known": known} if row["name"] == query else {}) for row in rows], indent=1))
        return
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:{width}}  ->  {row['target'] or row['problem']}")
    for facts in known:
        click.echo("\n" + facts_text(facts))


def _dated(source: str, state_dir: str) -> str:
    """The list the daemon fetched, with its day; the shipped ones have theirs already."""
    from proxy.exchange.listings import FILE_NAME

    file = Path(state_dir) / FILE_NAME
    if source != OPENROUTERS_LIST or not file.exists():
        return source
    return f"{source}, {datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat()}"


def _row(names: Names, name: str) -> dict[str, Any]:
    try:
        plan = names.look_up(name).plan
    except ModelNotFound as error:
        return {"name": name, "target": None, "problem": error.message}
    targets = [f"{target.provider}: {target.model}" for target in plan.targets]
    return {"name": name, "target": ", then ".join(targets), "problem": None}
