"""Keeps the catalogue and the providers' model lists fresh, in the background; no call ever waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.data import images_bytes
from proxy.dialects import DIALECTS, Incoming
from proxy.errors import ProviderError
from proxy.exchange.upstream import Upstream
from proxy.policy.images.catalogue import ImageCatalogue
from proxy.policy.images.feed import accept_images, read_images, read_rows
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.feed import accept, read_feed
from proxy.policy.values import Provider, Settings
from proxy.wire.call import Call
from proxy.wire.endpoints import endpoint_for

FILE_NAME = "catalogue.json"
IMAGES_NAME = "images.json"
_AT_ONCE = 4
_MOST_LISTED = 5000

Changed = Callable[[], None]
Told = Callable[[str, str], None]


def cached_images(state_dir: str) -> ImageCatalogue:
    """The models that draw as a former run kept them in `state_dir`, else as they were shipped."""
    shipped = read_images(images_bytes())
    try:
        cached = read_images((Path(state_dir) / IMAGES_NAME).read_bytes())
    except (OSError, ValueError):
        return shipped
    return shipped if accept_images(shipped, cached) else cached


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
        self.images = cached_images(settings.state_dir)
        self.listed: dict[str, frozenset[str]] = {}
        self.settings = settings
        self._upstream = upstream
        self._told = told
        self._rows: list[dict[str, Any]] = []  # of models that draw, as they came
        self._folder = Path(settings.state_dir)

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
                await self._take_images(provider)
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
        await self._keep(FILE_NAME, body)

    async def _take_images(self, provider: Provider) -> None:
        """The models that draw, each with the records of its endpoints; who has none to tell keeps what is known."""
        headers = own_headers(provider)
        rows = read_rows(await self._upstream.get_json(provider, "/images/models", headers))
        before, places = {row["id"]: row for row in self._rows}, asyncio.Semaphore(_AT_ONCE)

        async def with_endpoints(row: dict[str, Any]) -> dict[str, Any]:
            path = f"/images/models/{quote(row['id'], safe='/:@~')}/endpoints"
            try:
                async with places:
                    told = msgspec.json.decode(await self._upstream.get_json(provider, path, headers))
                return {**row, "endpoints": told["endpoints"]}
            except (ProviderError, msgspec.DecodeError, KeyError, TypeError):
                return {**row, "endpoints": before.get(row["id"], {}).get("endpoints")}

        self._rows = list(await asyncio.gather(*map(with_endpoints, rows)))
        body = msgspec.json.encode({"data": self._rows})
        new = await asyncio.to_thread(read_images, body)
        if (reason := accept_images(self.images, new)) is not None:
            self._told("catalogue_refused", reason)
            return
        self.images = new
        await self._keep(IMAGES_NAME, body)

    async def _keep(self, name: str, body: bytes) -> None:
        try:
            await asyncio.to_thread(_write, self._folder / name, body)
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
