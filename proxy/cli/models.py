"""`tollkeeper models`: what can be asked for, and where each name goes."""

from __future__ import annotations

import json

import click

from proxy.cli.completing import model_names
from proxy.cli.serve import settings_or_exit
from proxy.data import snapshot_bytes
from proxy.errors import ModelNotFound
from proxy.policy.feed import read_feed
from proxy.policy.names import Names


@click.command()
@click.argument("query", required=False, shell_complete=model_names)
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def models(query: str | None, config_path: str | None, as_json: bool) -> None:
    """List the names clients may send, or those that contain QUERY, and what each one becomes."""
    from proxy.exchange.listings import with_cached  # brings the HTTP library along

    settings = settings_or_exit(config_path)
    catalogue = with_cached(read_feed(snapshot_bytes()), settings.state_dir)
    names = Names(settings, catalogue, {})
    listed = [name for name in names.offered() if query is None or query.lower() in name.lower()]
    rows = [_row(names, name) for name in dict.fromkeys(([query] if query else []) + listed)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    width = max((len(str(row["name"])) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['name']:{width}}  ->  {row['target'] or row['problem']}")


def _row(names: Names, name: str) -> dict[str, str | None]:
    try:
        plan = names.look_up(name).plan
    except ModelNotFound as error:
        return {"name": name, "target": None, "problem": error.message}
    targets = [f"{target.provider}: {target.model}" for target in plan.targets]
    return {"name": name, "target": ", then ".join(targets), "problem": None}
