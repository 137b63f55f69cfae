"""Keeps the catalogue and the providers' model lists fresh, in the background; no call ever waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from proxy.dialects import DIALECTS, Incoming
from proxy.errors import ProviderError
from proxy.exchange.upstream import Upstream
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.feed import accept, read_feed
from proxy.policy.values import Provider, Settings
from proxy.wire.call import Call
from proxy.wire.endpoints import endpoint_for

FILE_NAME = "catalogue.json"
_MOST_LISTED = 5000

Changed = Callable[[], None]
Told = Callable[[str, str], None]


def with_cached(snapshot: Catalogue, state_dir: str) -> Catalogue:
    """The catalogue a former run kept in `state_dir`, if it is fit to take the snapshot's place."""
    try:
        cached = read_feed((Path(state_dir) / FILE_NAME).read_bytes())
    except (OSError, ValueError):
        return snapshot
    return snapshot if accept(snapshot, cached) else cached


class Listings:
    """What the providers say they serve. `changed` is called after every round, `told` with (event, reason)."""

    def __init__(self, settings: Settings, catalogue: Catalogue, upstream: Upstream, told: Told) -> None:
        self.catalogue = catalogue
        self.listed: dict[str, frozenset[str]] = {}
        self.settings = settings
        self._upstream = upstream
        self._told = told
        self._file = Path(settings.state_dir) / FILE_NAME

    async def keep_fresh(self, changed: Changed) -> None:
        """Fetch everything now and then again every `catalogue: refresh`, until cancelled."""
        while self.settings.catalogue_refresh is not None:
            await asyncio.gather(*(self._refresh(provider) for provider in self.settings.providers.values()))
            changed()
            await asyncio.sleep(self.settings.catalogue_refresh)

    async def _refresh(self, provider: Provider) -> None:
        try:
            # by default OpenRouter lists models that answer in text only
            path = "/models?output_modalities=all" if provider.kind == "openrouter" else "/models"
            body = await self._upstream.get_json(provider, path, own_headers(provider))
            if provider.kind == "openrouter":
                await self._take_catalogue(body)
            else:
                self.listed[provider.name] = _listed_ids(body)
        except (ProviderError, ValueError) as error:
            self._told("models_not_refreshed", f"{provider.name}: {error}")

    async def _take_catalogue(self, body: bytes) -> None:
        new = await asyncio.to_thread(read_feed, body)
        reason = accept(self.catalogue, new)
        if reason is not None:
            self._told("catalogue_refused", reason)
            return
        self.catalogue = new
        try:
            await asyncio.to_thread(_write, self._file, body)
        except OSError as error:
            self._told("catalogue_not_cached", str(error))


def own_headers(provider: Provider) -> list[tuple[str, str]]:
    """The headers of a request of our own."""
    call = Call(endpoint_for("GET", "/models"), "/models", "", "GET", b"")
    return DIALECTS[provider.kind].headers(call, provider, Incoming((("Accept", "application/json"),)))


def _listed_ids(body: bytes) -> frozenset[str]:
    """The ids of a `/models` answer; Ollama's `data` may be null (wire.md T101)."""
    try:
        data = msgspec.json.decode(body).get("data") or []
        return frozenset([entry["id"] for entry in data if isinstance(entry.get("id"), str)][:_MOST_LISTED])
    except (msgspec.DecodeError, AttributeError, TypeError, KeyError):
        raise ValueError("its list of models cannot be read") from None


def _write(file: Path, body: bytes) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_suffix(".new")
    new.write_bytes(body)
    new.replace(file)
