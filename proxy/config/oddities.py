"""What may be meant otherwise than it is written: sentences for `check` and the start, which hold no value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from proxy.config.problems import Path, path_text
from proxy.config.secrets import Concealed
from proxy.policy.values import Provider
from proxy.secret import Secret

_BARE_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_QUOTES = ('"', "'")
_ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings", "/models")
_BODIES, _SMALL_BODY = ("max_body", "max_body_total"), 64 * 1024
_KEEPING = ("ledger", "jobs")  # what is older than `keep` is deleted


def oddities(tree: Mapping[str, Any], providers: Iterable[Provider], keys: Mapping[str, Secret]) -> Iterator[str]:
    """Yield a sentence for each; `keys` are secrets of callers and operators by what they are called."""
    yield from _bare_variables(tree, ())
    for section in _KEEPING:
        if isinstance(kept := tree.get(section), Mapping) and isinstance(kept.get("keep"), int | float):
            yield f"{section}.keep is a number without a unit, which counts seconds: write it as days, such as 400d"
    for name in _BODIES:
        if isinstance(most := tree.get(name), int) and most < _SMALL_BODY:
            yield f"{name} is a number without a unit, which counts bytes, and few calls are as small: write it as 64MiB"
    secrets = {f"of provider {p.name} ({p.key_source})": p.api_key for p in providers if p.api_key is not None}
    for whose, secret in {**secrets, **keys}.items():
        if _is_quoted(secret.reveal()):
            yield f"the key {whose} stands in quotes, which count as part of it: take them out where it is set"
    for provider in providers:
        if (better := _below_v1(provider)) is not None:
            yield f"provider {provider.name} has a local base_url without a path, and such servers answer below /v1: {better}"
        if (better := _above_endpoint(provider)) is not None:
            yield f"provider {provider.name} has a base_url that ends in the path of an endpoint, which every call adds: {better}"


def _bare_variables(entries: Mapping[str, Any] | list[Any], path: Path) -> Iterator[str]:
    """A text that is a variable without braces, which stays as it is."""
    for name, item in entries.items() if isinstance(entries, Mapping) else enumerate(entries):
        if isinstance(item, dict | list):
            yield from _bare_variables(item, (*path, name))
        elif isinstance(item, str) and _BARE_VARIABLE.fullmatch(item) and not isinstance(item, Concealed):
            place = path_text((*path, name))
            yield f"{place} begins with $ and is taken as it stands: a variable is written with braces, ${{NAME}}"


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES


def _below_v1(provider: Provider) -> str | None:
    """The address that is likely meant, where a server of one's own is named without a path."""
    parts = urlsplit(provider.base_url)
    host = parts.hostname or ""
    if provider.kind != "openai" or parts.path.strip("/") or not is_local(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{parts.port}' if parts.port else ''}/v1"


def _above_endpoint(provider: Provider) -> str | None:
    """The address that is likely meant, where that of one endpoint stands."""
    address = provider.base_url.rstrip("/")
    return next((address.removesuffix(path) for path in _ENDPOINTS if address.endswith(path)), None)


def is_local(host: str) -> bool:
    """Whether a host is of one's own network, by its name or address."""
    if host.endswith((".local", ".internal", ".localhost")) or (host and "." not in host and ":" not in host):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
