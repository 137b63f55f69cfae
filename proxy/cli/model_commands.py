"""`tollkeeper models sync`, `compare`, `enable`, `disable`, `undo`, `diff`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from proxy.cli.client import ask, follow
from proxy.cli.completing import key_names, model_names
from proxy.cli.home import home_or_exit
from proxy.cli.tables import Table, moment, print_table, say
from proxy.config.problems import number_of

_CONFIG = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration file (default: searched for)."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_KEY = click.option("--key", metavar="NAME", shell_complete=key_names, help="For this key only. Default: everybody.")
_REASON = click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would change.")


@click.command("sync")
@_JSON
@_CONFIG
def sync(as_json: bool, config_path: str | None) -> None:
    """Fetch every provider's list of models now, and say what is new in it."""
    lines = [line for raw in follow_sync(config_path) if (line := json.loads(raw))]
    if as_json:
        click.echo(json.dumps({"lines": lines}, indent=1))
        return
    for line in lines:
        if line["event"] == "provider":
            problem = line.get("problem")
            told = problem or f"{number_of(line.get('models', 0), 'model')}, {line['news']}"
            say(f"{line['provider']}: {told} ({line['seconds']:.1f} s)")
    for line in lines:
        if line["event"] == "change":
            say(f"  {line['kind']:<10} {line['provider']}: {line['model']}{_terms(line)}")
    end = lines[-1]
    found = f"{number_of(end.get('models', 0), 'model')} of {number_of(end['of'], 'provider')}"
    say(f"{found} in {end['seconds']:.1f} s: {end['news']}")


def follow_sync(config_path: str | None) -> list[str]:
    """The lines the daemon tells, a bar on a terminal meanwhile."""
    found: list[str] = []
    bar = None
    for raw in follow(home_or_exit(config_path), "sync", {}):
        if not raw:
            continue
        found.append(raw.decode())
        line = json.loads(raw)
        if line["event"] == "provider" and sys.stderr.isatty():
            bar = bar or click.progressbar(length=line["of"], label="Fetching lists of models", file=sys.stderr)
            bar.update(1, line["provider"])
        if line["event"] == "done":
            break
    if bar is not None:
        bar.render_finish()
    return found


@click.command("compare")
@click.argument("names", nargs=-1, required=True, metavar="NAMES", shell_complete=model_names)
@_JSON
@_CONFIG
def compare(names: tuple[str, ...], as_json: bool, config_path: str | None) -> None:
    """Compare models side by side: what they do and take, their sizes, their prices."""
    home = home_or_exit(config_path)
    found = {}
    for name in names:
        answer = ask(home, "models", {"query": name})
        row = next(row for row in answer["models"] if row["name"] == name)
        if not answer["known"]:
            raise click.ClickException(f"{name}: {row['problem']}")
        found[name] = {**row, "known": answer["known"][0]}
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    rows = [[title, *(text(facts) for facts in found.values())] for title, text in _COMPARED]
    print_table(Table([("", False), *((name, False) for name in found)], rows))


@click.command("disable")
@click.argument("pattern")
@_KEY
@_REASON
@_DRY_RUN
@_CONFIG
def disable(**asked: Any) -> None:
    """Switch off every model that PATTERN matches: its calls get 404, as those of a name nobody knows."""
    _switch(asked, enabled=False)


@click.command("enable")
@click.argument("pattern")
@_KEY
@_REASON
@_DRY_RUN
@_CONFIG
def enable(**asked: Any) -> None:
    """Switch on again what PATTERN matches."""
    _switch(asked, enabled=True)


@click.command("undo")
@_REASON
@_DRY_RUN
@_CONFIG
def undo(reason: str, dry_run: bool, config_path: str | None) -> None:
    """Take the latest enable or disable back; once more takes that back."""
    asked = {"reason": reason or "undone", "rehearse": dry_run}
    _say_switched(ask(home_or_exit(config_path), "undo_switch", asked), config_path)


@click.command("diff")
@click.argument("name", required=False)
@click.argument("before", type=click.IntRange(1), required=False)
@click.argument("after", type=click.IntRange(1), required=False)
@click.option("--since", metavar="DATE", help="From this day or moment on. Default: everything that is kept.")
@_JSON
@_CONFIG
def diff(since: str | None, as_json: bool, config_path: str | None, **versions: Any) -> None:
    """What was new in the lists of models: new, gone, dearer, cheaper, deprecated; the newest first.

    With NAME BEFORE AFTER: what that entry of `models:` said in two of its versions.
    """
    if versions["name"] is not None:
        _print_versions(versions, as_json, config_path)
        return
    found = ask(home_or_exit(config_path), "model_news", {"since": since})
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    rows = [
        [moment(row["at"]), row["kind"], row["provider"], row["model"], _terms(row).strip(), ", ".join(row["aliases"])]
        for row in found["changes"]
    ]
    columns = (("When", False), ("What", False), ("At", False), ("Model", False), ("$/M", False), ("Names", False))
    print_table(Table(columns, rows)) if rows else say("Nothing was new yet; lists are compared from the second on.")


def _print_versions(versions: dict[str, Any], as_json: bool, config_path: str | None) -> None:
    if versions["after"] is None:
        raise click.UsageError("the versions of a name want two numbers: tollkeeper models diff NAME BEFORE AFTER")
    found = ask(home_or_exit(config_path), "model_diff", versions)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for line in found["lines"] or ["Both say the same."]:
        say(line)


COMMANDS = {command.name or "": command for command in (sync, compare, enable, disable, undo, diff)}


def _switch(asked: dict[str, Any], *, enabled: bool) -> None:
    config_path, dry_run = asked.pop("config_path"), asked.pop("dry_run")
    found = ask(home_or_exit(config_path), "switch_models", {**asked, "enabled": enabled, "rehearse": dry_run})
    _say_switched(found, config_path, asked["key"])


def _say_switched(found: dict[str, Any], config_path: str | None, key: str | None = None) -> None:
    for line in found["changes"] or ["nothing changes" if found["rehearsed"] else "nothing has changed"]:
        say(line)
    if key is not None and found["changes"] and not found["rehearsed"]:
        say(f"That is so for the key {key} alone; `tollkeeper models undo` takes this back.")
    elif found["changes"] and not found["rehearsed"]:
        off = ask(home_or_exit(config_path), "models", {"off": True})["off"]
        say(f"{off:,} of the names are switched off for everybody now; `tollkeeper models undo` takes this back.")


def _terms(line: dict[str, Any]) -> str:
    """What it was and became, as far as there is something to say."""
    told = [text for text in (line.get("before"), line.get("after")) if text]
    return f" {' -> '.join(told)}" if told else ""


def per_million(usd: str | None) -> str:
    """USD for a million tokens, as a cell has it."""
    return "?" if usd is None else usd


def size(tokens: int | None) -> str:
    """A number of tokens, as a cell has it."""
    return "?" if tokens is None else f"{tokens:,}"


def _other_prices(facts: dict[str, Any]) -> str:
    price = facts["known"]["price"]
    return f"{price['cached_input_usd']} cached" if isinstance(price, dict) and "cached_input_usd" in price else ""


def seconds_text(seconds: float | None, unknown: str = "") -> str:
    """To the hundredth."""
    return unknown if seconds is None else f"{seconds:.2f} s"


_COMPARED = (
    ("goes to", lambda facts: facts["target"] or ""),
    ("$/M input", lambda facts: per_million(facts["input_usd"])),
    ("$/M output", lambda facts: per_million(facts["output_usd"])),
    ("other prices", _other_prices),
    ("context window", lambda facts: size(facts["context_length"])),
    ("largest output", lambda facts: size(facts["max_output"])),
    ("first token", lambda facts: seconds_text(facts["first_token_seconds"], "?")),
    (
        "tokens a second",
        lambda facts: "?" if facts["tokens_per_second"] is None else f"{facts['tokens_per_second']:.0f}",
    ),
    ("takes", lambda facts: ", ".join(facts["takes"]).replace("_", " ")),
    ("makes", lambda facts: ", ".join(facts["makes"]).replace("_", " ")),
    ("released", lambda facts: facts["released"] or "?"),
    ("ends", lambda facts: facts["ends"] or "-"),
)
