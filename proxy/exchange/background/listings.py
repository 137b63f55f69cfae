"""Keeps the catalogue and the providers' model lists fresh, in the background; no call ever waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from proxy.dialects import DIALECTS, Incoming
from proxy.errors import ProviderError
from proxy.exchange.background.kept_lists import FILE_NAME, IMAGES_NAME, LISTED_NAME, cached_images, kept_lists
from proxy.exchange.upstream import Upstream
from proxy.policy.images.feed import accept_images, read_images, read_rows
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.feed import accept, read_feed
from proxy.policy.names.news import Change, Listed, compare, listed_of
from proxy.policy.values import Provider, Settings
from proxy.wire.call import Call
from proxy.wire.endpoints import endpoint_for
from proxy.wire.json_text import is_parsed_quickly

_AT_ONCE = 4
_MOST_LISTED = 5000

Told = Callable[[str, str], None]


class Step(Struct, frozen=True):
    """One provider's list was fetched: how many models it has, what was new in it, and how long that took; or why not."""

    provider: str
    models: int
    changes: tuple[Change, ...]
    seconds: float
    problem: str = ""


class _NotBelieved(Exception):
    """The message says what is odd about a list."""


class Listings:
    """What the providers say they serve. `changed` is called after every round, `found` with what a list has that it had
    not, `told` with (event, reason); `beside` asks for what the lists do not tell."""

    def __init__(self, settings: Settings, catalogue: Catalogue, upstream: Upstream, told: Told) -> None:
        self.catalogue = catalogue
        self.images = cached_images(settings.state_dir)
        self.listed: dict[str, frozenset[str]] = {}
        self.settings = settings
        self.changed: Callable[[], object] = _nothing
        self.found: Callable[[tuple[Change, ...]], object] = _nothing
        self.beside: Callable[[], Awaitable[object]] = _none
        self._upstream = upstream
        self._told = told
        self._rows: list[dict[str, Any]] = []  # of models that draw, as they came
        self._folder = Path(settings.state_dir)
        self._turn = asyncio.Lock()
        self._before = kept_lists(settings.state_dir)
        if not catalogue.is_snapshot:
            self._before |= {
                p.name: listed_of(catalogue) for p in settings.providers.values() if p.kind == "openrouter"
            }

    async def keep_fresh(self) -> None:
        """Fetch everything now and then again every `catalogue: refresh`, until cancelled."""
        while self.settings.catalogue_refresh is not None:
            await self._round(_nothing)
            await asyncio.sleep(self.settings.catalogue_refresh)

    async def sync(self, tell: Callable[[Step], object]) -> list[Step]:
        """Fetch every list once, and take them on; `tell` gets each step as it is done."""
        steps = await self._round(tell)
        await self.beside()
        return steps

    async def _round(self, tell: Callable[[Step], object]) -> list[Step]:
        """One at a time."""
        async with self._turn:
            rounds = [self._step(provider, tell) for provider in self.settings.providers.values()]
            steps = await asyncio.gather(*rounds)
            self.changed()
            if changes := tuple(change for step in steps for change in step.changes):
                self.found(changes)
            await self._keep()
            return steps

    async def _step(self, provider: Provider, tell: Callable[[Step], object]) -> Step:
        began, problem = time.monotonic(), ""
        changes: tuple[Change, ...] = ()
        now: dict[str, Listed] = {}
        try:
            now = await self._refresh(provider)
        except _NotBelieved as error:
            problem = f"its list is not believed: {error}"
            self._told("catalogue_refused", str(error))
        except (ProviderError, ValueError) as error:
            problem = str(error)
            self._told("models_not_refreshed", f"{provider.name}: {error}")
        else:
            before, self._before[provider.name] = self._before.get(provider.name), now
            changes = () if before is None else tuple(compare(provider.name, before, now))
        step = Step(provider.name, len(now), changes, round(time.monotonic() - began, 3), problem)
        tell(step)
        return step

    async def _refresh(self, provider: Provider) -> dict[str, Listed]:
        # by default OpenRouter lists models that answer in text only
        path = "/models?output_modalities=all" if provider.kind == "openrouter" else "/models"
        body = await self._fetched(provider, path)
        if provider.kind == "openrouter":
            try:  # each list is good without the other
                await self._take_images(provider)
            except (ProviderError, ValueError) as error:
                self._told("models_not_refreshed", f"{provider.name}: {error}")
            await self._take_catalogue(body)
            return listed_of(self.catalogue)
        listed = _listed_ids(body)
        self.listed[provider.name] = frozenset(listed)
        return listed

    async def _fetched(self, provider: Provider, path: str) -> bytes:
        """A list, which is read as a whole. Raises ValueError where that would be more than any list there is."""
        body = await self._upstream.get_json(provider, path, own_headers(provider))
        if not is_parsed_quickly(body):
            raise ValueError("its list of models is too long to be one")
        return body

    async def _take_catalogue(self, body: bytes) -> None:
        new = await asyncio.to_thread(read_feed, body)
        reason = accept(self.catalogue, new)
        if reason is not None:
            raise _NotBelieved(reason)
        self.catalogue = new
        await self._write(FILE_NAME, body)

    async def _take_images(self, provider: Provider) -> None:
        """The models that draw, each with the records of its endpoints; who has none to tell keeps what is known."""
        headers = own_headers(provider)
        rows = read_rows(await self._fetched(provider, "/images/models"))
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
        await self._write(IMAGES_NAME, body)

    async def _keep(self) -> None:
        """For the next start, which is to see what is new since; the catalogue has a file of its own."""
        direct = [p.name for p in self.settings.providers.values() if p.kind != "openrouter"]
        ends = {
            name: {model: listed.expires for model, listed in self._before[name].items()}
            for name in direct
            if name in self._before
        }
        await self._write(LISTED_NAME, msgspec.json.encode(ends))

    async def _write(self, name: str, body: bytes) -> None:
        try:
            await asyncio.to_thread(_write, self._folder / name, body)
        except OSError as error:
            self._told("catalogue_not_cached", str(error))


def _nothing(_: Any = None) -> None:
    """Nobody wants to know."""


async def _none() -> None:
    """There is nothing else."""


def own_headers(provider: Provider) -> list[tuple[str, str]]:
    """The headers of a request of our own."""
    call = Call(endpoint_for("GET", "/models"), "/models", "", "GET", b"")
    return DIALECTS[provider.kind].headers(call, provider, Incoming((("Accept", "application/json"),)))


def _listed_ids(body: bytes) -> dict[str, Listed]:
    """The models of a `/models` answer, with the day Mistral says one ends; Ollama's `data` may be null (wire.md T101)."""
    try:
        data = msgspec.json.decode(body).get("data") or []
        named = [entry for entry in data if isinstance(entry.get("id"), str)][:_MOST_LISTED]
        return {entry["id"]: Listed(expires=_day(entry.get("deprecation"))) for entry in named}
    except (msgspec.DecodeError, AttributeError, TypeError, KeyError):
        raise ValueError("its list of models cannot be read") from None


def _day(value: object) -> str | None:
    return value[:10] if isinstance(value, str) and value else None


def _write(file: Path, body: bytes) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_suffix(".new")
    new.write_bytes(body)
    new.replace(file)
