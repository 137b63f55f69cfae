"""`tollkeeper connect`: the exact lines that point a client at this Tollkeeper."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import click
import msgspec
from msgspec.structs import replace

from proxy.cli.client import glance
from proxy.cli.completing import client_names
from proxy.cli.home import Home, home_or_exit
from proxy.cli.snippets import (
    KEY_VARIABLE,
    Choice,
    Client,
    Part,
    Situation,
    choose_model,
    read_clients,
    render,
    root_of,
)
from proxy.policy.values import Listen, Settings

_PATIENCE = 2.0  # seconds the daemon has to say where it listens


@click.command("connect")
@click.argument("client", required=False, shell_complete=client_names)
@click.option("--model", metavar="NAME", help="The model to ask for. Default: default_model, else one that is served.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file (default: searched for).")
def connect(client: str | None, model: str | None, as_json: bool, config_path: str | None) -> None:
    """Print what CLIENT needs to call this Tollkeeper: code, commands or a file. Without CLIENT, list the names.

    The snippet goes to standard output, what is to be said about it to standard error. It never holds a secret:
    where keys are wanted, it reads one from the environment variable TOLLKEEPER_KEY.
    """
    clients = read_clients()
    if client is None:
        click.echo(json.dumps({"clients": list(clients)}, indent=1) if as_json else "\n".join(clients))
        return
    if client not in clients:
        raise click.UsageError(_unknown(client, list(clients)))
    home = home_or_exit(config_path)
    settings = _as_served(home)
    choice = _choice(clients[client], settings, home) if model is None else Choice(model)
    situation = _situation(client, clients[client], settings, choice)
    parts = render(clients[client], situation)
    notes = _notes(clients[client], settings, situation)
    if as_json:
        click.echo(json.dumps(_report(client, situation, parts, notes), indent=1))
    else:
        _print(parts, notes)


def _unknown(client: str, known: list[str]) -> str:
    from proxy.config.problems import suggestion

    return f"there is no client {client!r} here{suggestion(client, known)}; `tollkeeper connect` lists the names"


def _as_served(home: Home) -> Settings:
    """The configuration, with the address a running daemon says it listens on."""
    settings = home.settings()
    url = str(glance(home, "status", _PATIENCE).get("url", ""))
    if url.startswith("unix:"):
        return replace(settings, listen=Listen(socket=url.removeprefix("unix:")))
    parts = urlsplit(url)
    return replace(settings, listen=Listen(parts.hostname, parts.port)) if parts.hostname and parts.port else settings


def _situation(name: str, client: Client, settings: Settings, choice: Choice) -> Situation:
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
    is_open = not settings.callers and not is_marked(settings)
    return Situation(root_of(listen), choice, is_open, listen.socket)


def _choice(client: Client, settings: Settings, home: Home) -> Choice:
    """A model the daemon lists; where none runs, or it lists none that is known, one of those that came with the package."""
    if listed := glance(home, "models", _PATIENCE).get("models"):
        choice = choose_model(client, settings, frozenset(row["name"] for row in listed))
        if choice.is_real:
            return choice
    from proxy.data import snapshot_bytes
    from proxy.policy.names.feed import read_feed
    from proxy.policy.names.resolution import Names

    return choose_model(client, settings, frozenset(Names(settings, read_feed(snapshot_bytes()), {}).offered()))


def _notes(client: Client, settings: Settings, situation: Situation) -> list[str]:
    notes = [] if client.note is None else [client.note]
    if not situation.is_open:
        notes.append(f"The key is read from {KEY_VARIABLE}; `tollkeeper keys create NAME` makes one.")
    if not settings.providers:
        notes.append("No provider is configured: only `tollkeeper serve --mock` would answer.")
    elif not situation.choice.is_real:
        notes.append(f"Put the name of a model in the place of {situation.choice.model}: no list of models is at hand.")
    return notes


def _report(name: str, situation: Situation, parts: list[Part], notes: list[str]) -> dict[str, object]:
    return {
        "client": name,
        "url": f"{situation.root}/v1",
        "socket": situation.socket,
        "model": situation.choice.model,
        "key_variable": None if situation.is_open else KEY_VARIABLE,
        "parts": msgspec.to_builtins(parts),
        "notes": notes,
    }


def _print(parts: list[Part], notes: list[str]) -> None:
    """Several parts are headed by a comment each; a single one stands alone, so that it can go to a file as it is."""
    for number, part in enumerate(parts):
        place = " ".join(word for word in (part.file, part.where and f"({part.where})") if word)
        if len(parts) > 1:
            click.echo(f"{'' if number == 0 else chr(10)}# {place or 'then, in a shell'}")
        elif place:
            click.echo(f"{place}:", err=True)
        click.echo(part.text, nl=False)
    for note in notes:
        click.echo(note, err=True)
