"""What each client wants to be told, filled in for one Tollkeeper: a table of texts, and how they are filled."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from proxy.policy.names.vendors import vendor_of

if TYPE_CHECKING:
    from proxy.policy.values import Listen, Provider, Settings

Protocol = Literal["chat", "responses", "messages"]

KEY_VARIABLE = "TOLLKEEPER_KEY"
_MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5")
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_MARK = re.compile(r"\?(open|keys|told|tcp|socket)(?: |$)")
_NAME = re.compile(r"@(word:)?(url|root|model|openai_model|socket)@")


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A file or some code, as a template or filled in. `where` says more about the place of `file`, for people; `place` is
    where it is looked for, with `${VARIABLE:-default}` in it, and `~apps` for the folder where programs keep settings."""

    language: str
    text: str
    file: str | None = None
    where: str | None = None
    place: str | None = None


class Client(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of clients.toml, which says what its members mean."""

    title: str
    parts: tuple[Part, ...]
    models: tuple[str, ...] = ()
    note: str | None = None
    protocol: Protocol = "chat"


class Choice(Struct, frozen=True):
    """A model to ask for. `is_ours`: it is one of those a client proposes; `is_real`: a provider is known to serve it; `is_asked`: the
    daemon that runs was asked which there are, or it was said."""

    model: str
    is_ours: bool = False
    is_real: bool = True
    is_asked: bool = True


class Situation(Struct, frozen=True):
    """One Tollkeeper as its clients meet it. `root` is its URL without /v1; `socket` the Unix path it listens on."""

    root: str
    choice: Choice
    is_open: bool
    socket: str | None = None


def read_clients() -> dict[str, Client]:
    """The clients, by name."""
    return msgspec.toml.decode(files("proxy.cli").joinpath("clients.toml").read_bytes(), type=dict[str, Client])


def root_of(listen: Listen) -> str:
    """The URL clients of this machine use; an address that stands for all becomes loopback."""
    if listen.socket is not None:
        return "http://localhost"
    host = _ANY_ADDRESS.get(listen.host, listen.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{listen.port}"


def choose_model(client: Client, settings: Settings, offered: Collection[str]) -> Choice:
    """The default model, else one of `offered` the client is known for, else whatever has a name here."""
    if settings.default_model is not None:
        return Choice(settings.default_model)
    mock = next((f"{p.name}/echo" for p in settings.providers.values() if p.kind == "mock"), None)
    if mock is not None and len(settings.providers) == 1:
        return Choice(mock)
    ours = next((model for model in client.models if model in offered), None)
    if ours is not None:
        return Choice(ours, is_ours=True)
    fitting = next((model for model in (*_MODELS, *settings.aliases) if model in offered), None)
    if (found := fitting or mock) is not None:
        return Choice(found)
    first = next(iter(settings.providers), None)
    return Choice("mock/echo" if first is None else f"{first}/MODEL", is_real=False)


def may_speak(provider: Provider, protocol: Protocol) -> bool:
    """Whether a provider is known to speak a protocol, or nobody knows: servers of one's own speak what they do."""
    if provider.kind == "anthropic":
        return protocol != "responses"
    return protocol != "messages" or provider.kind != "openai" or vendor_of(provider) != "openai"


def render(client: Client, situation: Situation) -> list[Part]:
    """The parts with everything filled in, without those that say nothing in this situation."""
    filled = [msgspec.structs.replace(part, text=_fill(part.text, situation)) for part in client.parts]
    return [part for part in filled if part.text]


def _fill(template: str, situation: Situation) -> str:
    model = situation.choice.model
    values = {
        "url": f"{situation.root}/v1",
        "root": situation.root,
        "model": model,
        "openai_model": model if model.startswith("openai/") else f"openai/{model}",
        "socket": situation.socket or "",
    }

    def value(found: re.Match[str]) -> str:
        text = values[found[2]]
        return shlex.quote(text) if found[1] else _inside_quotes(text)

    return "".join(f"{_NAME.sub(value, line)}\n" for line in _lines(template, situation))


def _lines(template: str, situation: Situation) -> Iterator[str]:
    """The lines that stand in this situation, without their marks."""
    holds = {
        "open": situation.is_open,
        "keys": not situation.is_open,
        "told": not situation.choice.is_ours,
        "tcp": situation.socket is None,
        "socket": situation.socket is not None,
    }
    for line in template.splitlines():
        mark = _MARK.match(line)
        if mark is None or holds[mark[1]]:
            yield line[mark.end() :] if mark else line


def _inside_quotes(text: str) -> str:
    """Escaped for double quotes, as JSON, TOML, YAML, Python and JavaScript all read them, in a shell's single ones too."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("'", "\\u0027")
