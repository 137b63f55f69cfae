"""`tollkeeper connect`: the exact lines that point a client at this Tollkeeper."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from msgspec.structs import replace

from proxy.cli.client import glance, overheard
from proxy.cli.completing import client_names
from proxy.cli.home import Home, end_with, home_or_exit, is_anothers
from proxy.cli.snippets import (
    KEY_VARIABLE,
    Choice,
    Client,
    Part,
    Situation,
    choose_model,
    may_speak,
    read_clients,
    render,
    root_of,
)
from proxy.config.problems import ConfigProblems

if TYPE_CHECKING:
    from proxy.policy.values import Settings

_PATIENCE = 2.0  # seconds the daemon has to say where it listens


@click.command("connect")
@click.argument("client", required=False, shell_complete=client_names)
@click.option("--model", metavar="NAME", help="The model to ask for. Default: default_model, else one that is served.")
@click.option("--write", is_flag=True, help="Put CLIENT's file where CLIENT looks for it, beside what is in it.")
@click.option("--yes", is_flag=True, help="With --write: change an existing file without asking.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def connect(client: str | None, **options: Any) -> None:
    """Print what CLIENT needs to call this Tollkeeper: code, commands or a file. Without CLIENT, list the names.

    A file, or the code or commands of a client that has none, goes to standard output; what is to be said about it, and
    what is to be typed besides a file, to standard error. It never holds a secret: where keys are wanted, it reads one
    from the environment variable TOLLKEEPER_KEY.
    """
    clients = read_clients()
    if client is None:
        if options["write"]:
            raise click.UsageError("--write wants a CLIENT; `tollkeeper connect` lists them")
        click.echo(json.dumps({"clients": list(clients)}, indent=1) if options["as_json"] else "\n".join(clients))
        return
    if client not in clients:
        raise click.UsageError(_unknown(client, list(clients)))
    row, model = clients[client], options["model"]
    if options["write"] and not any(part.file for part in row.parts):
        raise click.UsageError(f"{client} has no file to write: what connect prints goes into a program or a shell")
    home = home_or_exit(options["config_path"])
    settings, broken = _as_served(home)
    choice = Choice(model) if model is not None else _choice(row, settings, home)
    situation = _situation(client, row, settings, choice, home)
    parts = render(row, situation)
    if options["write"]:
        _write(parts, options["yes"])
    notes = _notes(row, settings, situation, broken)
    if options["as_json"]:
        click.echo(json.dumps(_report(client, situation, parts, notes), indent=1))
    else:
        _print(parts, notes, options["write"])


def _write(parts: list[Part], agreed: bool) -> None:
    from proxy.cli.client_file import write  # few need it

    for part in parts:
        if part.file:
            click.echo(write(part, agreed), err=True)


def _unknown(client: str, known: list[str]) -> str:
    from proxy.config.problems import suggestion

    return f"there is no client {client!r} here{suggestion(client, known)}; `tollkeeper connect` lists the names"


def _as_served(home: Home) -> tuple[Settings, str]:
    """The configuration, with the address a running daemon says it listens on.

    Of one that is broken that is all that is known, and the text says so; without a daemon it ends the command.
    """
    from proxy.policy.values import Listen

    url, broken = str(glance(home, "status", _PATIENCE).get("url", "")), ""
    try:
        settings = home.read().loaded.settings
        url = url or str(_overheard(home, settings, "status").get("url", ""))
    except ConfigProblems as problems:
        if not url:
            end_with(problems)
        from proxy.config.load import load

        settings = replace(load(None, {}).settings, state_dir=home.state_dir)
        broken = f"Warning: this is from the daemon that runs; the configuration is broken by now: {problems}"
    parts = urlsplit(url)
    if url.startswith("unix:"):
        settings = replace(settings, listen=Listen(socket=url.removeprefix("unix:")))
    elif parts.hostname and parts.port:
        settings = replace(settings, listen=Listen(parts.hostname, parts.port))
    return settings, broken


def _told(home: Home, settings: Settings, order: str) -> dict[str, Any]:
    """What a running daemon answers: to whom its control socket is barred, what its admin port tells everybody."""
    return glance(home, order, _PATIENCE) or _overheard(home, settings, order)


def _overheard(home: Home, settings: Settings, order: str) -> dict[str, Any]:
    return overheard(settings.admin, order) if is_anothers(Path(home.state_dir)) else {}


def _situation(name: str, client: Client, settings: Settings, choice: Choice, home: Home) -> Situation:
    """How clients meet the configured Tollkeeper. Ends the command where this client cannot, or where nobody knows."""
    from proxy.stores.mark import is_marked

    listen = settings.listen
    if listen.socket is not None and not any("@word:socket@" in part.text for part in client.parts):
        raise click.ClickException(
            f"this Tollkeeper listens on the Unix socket {listen.socket}, to which {name} cannot connect; "
            "curl can, and with listen.host and listen.port in the place of listen.socket every client can"
        )
    if listen.socket is None and listen.port == 0:
        raise click.ClickException(
            "listen.port is 0, so that the port is another one at every start: the daemon prints it "
            "('Listening on'); set listen.port to have one that can be written down"
        )
    barred = not os.access(settings.state_dir, os.X_OK) and os.path.exists(settings.state_dir)
    is_open = not settings.callers and not is_marked(settings) and not barred
    is_open = bool(_told(home, settings, "keys").get("open", is_open))
    return Situation(root_of(listen), choice, is_open, listen.socket)


def _choice(client: Client, settings: Settings, home: Home) -> Choice:
    """A model the daemon lists; where none runs, or it lists none that is known, one of those that came with the package."""
    listed = _told(home, settings, "models").get("models")
    if listed:
        choice = choose_model(client, settings, frozenset(row["name"] for row in listed))
        if choice.is_real:
            return choice
    from proxy.data import snapshot_bytes
    from proxy.policy.names.feed import read_feed
    from proxy.policy.names.resolution import Names

    offered = Names(settings, read_feed(snapshot_bytes()), {}).offered()
    return replace(choose_model(client, settings, frozenset(offered)), is_asked=bool(listed))


def _notes(client: Client, settings: Settings, situation: Situation, broken: str) -> list[str]:
    notes = [] if client.note is None else [client.note]
    if not situation.is_open:
        notes.append(f"The key is read from {KEY_VARIABLE}; `tollkeeper keys create NAME` makes one.")
    if not situation.choice.is_asked and is_anothers(Path(settings.state_dir)):
        notes.append(
            f"The daemon's own list of models could not be asked: {settings.state_dir} belongs to another user. "
            "--model NAME names the model."
        )
    if broken:
        return [*notes, *_no_model(situation), broken]
    if settings.providers and not any(may_speak(p, client.protocol) for p in settings.providers.values()):
        notes.append(
            f"Warning: {client.title} calls /v1/{client.protocol}, which {' and '.join(settings.providers)} "
            f"do{'es' if len(settings.providers) == 1 else ''} not speak: its calls are translated, which may lose something. "
            f"A provider of kind openrouter or {'anthropic' if client.protocol == 'messages' else 'openai'} speaks it."
        )
    if not settings.providers:
        notes.append("No provider is configured: only `tollkeeper serve --mock` would answer.")
    return notes + (_no_model(situation) if settings.providers else [])


def _no_model(situation: Situation) -> list[str]:
    model = situation.choice
    return (
        []
        if model.is_real
        else [f"Put the name of a model in the place of {model.model}: no list of models is at hand."]
    )


def _report(name: str, situation: Situation, parts: list[Part], notes: list[str]) -> dict[str, object]:
    return {
        "client": name,
        "url": f"{situation.root}/v1",
        "socket": situation.socket,
        "model": situation.choice.model,
        "key_variable": None if situation.is_open else KEY_VARIABLE,
        "parts": [{name: getattr(part, name) for name in ("language", "text", "file", "where")} for part in parts],
        "notes": notes,
    }


def _print(parts: list[Part], notes: list[str], is_written: bool) -> None:
    """The file alone goes to standard output, so that it can go to its place as it is; without one, everything does."""
    file = next((part for part in parts if part.file), None)
    for part in parts:
        if file is None or (is_written and part is not file):
            click.echo(part.text, nl=False)
        elif part is not file:
            click.echo(f"\nthen, in a shell:\n{part.text}", nl=False, err=True)
        elif not is_written:
            click.echo(f"{file.file}{f' ({file.where})' if file.where else ''}:", err=True)
            click.echo(part.text, nl=False)
    for note in notes:
        click.echo(note, err=True)
