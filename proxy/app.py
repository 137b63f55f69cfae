"""The wiring: settings in, running daemon out. The only file that puts the parts together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import structlog
from aiohttp import http_parser, web

from proxy.data import prices_bytes, snapshot_bytes
from proxy.exchange.bookkeeping import Bookkeeping
from proxy.exchange.held import Keeping
from proxy.exchange.leaving import Drainer
from proxy.exchange.listings import Listings, with_cached
from proxy.exchange.lookup import Lookups
from proxy.exchange.serve import Exchange
from proxy.exchange.toll import Toll
from proxy.exchange.upstream import Upstream
from proxy.policy.catalogue import Catalogue, read_feed
from proxy.policy.money import usd_text
from proxy.policy.names import Names
from proxy.policy.pricebook import PriceBook, PriceOverride, per_token
from proxy.policy.settlement import Settlement
from proxy.policy.values import Listen, Settings
from proxy.stores.failures import StoreError
from proxy.stores.records import Hold
from proxy.telemetry import Telemetry
from proxy.web.admin import Admin
from proxy.web.api import Api, Parts
from proxy.web.connection import Server
from proxy.web.guard import Guard
from proxy.web.keys import Keyring
from proxy.web.models import ModelList

log = structlog.get_logger()

LOOKUP_SECONDS = 3.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class StartError(Exception):
    """The daemon cannot start; the message is one line for the operator."""


class Daemon:
    """A running daemon. `url` and `admin_url` are known once `start` has returned."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = ""
        self.admin_url = ""
        self._stack = AsyncExitStack()
        self._api: Api | None = None
        self._books: Bookkeeping | None = None
        self._ready = False

    async def start(self) -> None:
        """Open everything, listeners last. Raises `StartError`."""
        _refuse_unsafe_runtime()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        settings = await self._with_mock(self.settings)
        books = self._open_books(settings)
        upstream = Upstream()
        self._stack.push_async_callback(upstream.close)
        catalogue = with_cached(read_feed(snapshot_bytes()), settings.state_dir)
        listings = Listings(settings, catalogue, upstream, _told)
        lookups = Lookups(upstream)
        self._stack.push_async_callback(lookups.finish, LOOKUP_SECONDS)
        telemetry = Telemetry(settings, books, lambda name: name in settings.aliases or name in known_models(self._api))
        self._stack.callback(telemetry.close)
        toll = _toll(settings, listings, books, lookups, telemetry.metrics.anomaly)
        books.resolve_orphans(toll.keeping, settings.providers)
        api = Api(
            _parts(settings, listings, Exchange(settings.providers, settings.retries, upstream, toll)),
            telemetry.finished,
            _log_crash,
        )
        self._api = api
        telemetry.watch(lambda: list(api.running.values()))
        admin = Admin(Guard(settings.admin), self._problems, telemetry.page, settings.admin_token)
        self.url = await self._listen(api.answer, settings.listen) + "/v1"
        self.admin_url = await self._listen(admin.answer, settings.admin)
        refresher = asyncio.create_task(
            listings.keep_fresh(lambda catalogue, listed: _take(api.parts, settings, catalogue, listed)),
            name="refresh model lists",
        )
        self._stack.callback(refresher.cancel)
        self._ready = True

    async def stop(self) -> None:
        """Stop accepting, let running calls finish for the drain window, cut the rest, close everything."""
        api = self._api
        if api is not None and not api.parts.closing:
            api.parts.closing = True
            if api.running:
                await asyncio.wait(api.running, timeout=self.settings.drain)
            for task in list(api.running):
                task.cancel()
            if api.running:
                await asyncio.wait(api.running, timeout=5)
        await self._stack.aclose()

    def cut_short(self) -> None:
        """End the drain window now (a second SIGTERM)."""
        for task in list(self._api.running) if self._api else ():
            task.cancel()

    def _open_books(self, settings: Settings) -> Bookkeeping:
        try:
            books = Bookkeeping(Path(settings.state_dir), settings.money, _told)
        except StoreError as error:
            raise StartError(str(error)) from None
        except OSError as error:
            raise StartError(f"the state directory {settings.state_dir} cannot be used: {error.strerror}") from None
        self._stack.callback(books.close)
        self._books = books
        return books

    def _problems(self) -> list[str]:
        if not self._ready:
            return ["starting"]
        problems = ["shutting down"] if self._api is None or self._api.parts.closing else []
        if self._books is not None and not self._books.journal.healthy:
            problems.append(f"the journal cannot be written ({self._books.journal.failure})")
        if self._books is not None and self._books.ledger_problem:
            problems.append(self._books.ledger_problem)
        return problems

    async def _with_mock(self, settings: Settings) -> Settings:
        """Give every mock provider without an address a built-in upstream of its own."""
        providers = dict(settings.providers)
        for name, provider in providers.items():
            if provider.kind == "mock" and not provider.base_url:
                from proxy.mock.server import start_mock  # only where it is wanted: it costs start-up time

                mock = await start_mock()
                self._stack.push_async_callback(mock.close)
                providers[name] = msgspec.structs.replace(provider, base_url=mock.base_url)
        return msgspec.structs.replace(settings, providers=providers)

    async def _listen(self, handler: Handler, listen: Listen) -> str:
        """Serve on an address; return its URL without a path."""
        runner = web.ServerRunner(Server(handler), shutdown_timeout=1.0)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        where = listen.socket or f"{listen.host}:{listen.port}"
        try:
            if listen.socket is not None:
                await _unix_site(runner, listen.socket)
                return f"unix:{listen.socket}"
            site = web.TCPSite(runner, listen.host, listen.port, backlog=1024, reuse_address=True)
            await site.start()
        except OSError as error:
            raise StartError(f"cannot listen on {where}: {error.strerror or error}") from None
        host, port = runner.addresses[-1][:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _unix_site(runner: web.ServerRunner, path: str) -> None:
    """Serve on a Unix socket only its owner and group may open; a stale one is replaced."""
    file = Path(path)
    if file.is_socket():
        file.unlink()
    await web.UnixSite(runner, path, backlog=1024).start()
    file.chmod(0o660)


def known_models(api: Api | None) -> frozenset[str]:
    """The names listed to clients: what may stand in a metric's label."""
    return api.parts.models.names if api is not None else frozenset()


def _toll(
    settings: Settings, listings: Listings, books: Bookkeeping, lookups: Lookups, anomaly: Callable[[str], None]
) -> Toll:
    """The toll, and the wiring by which every settlement wakes those who wait for room."""

    def resolved(hold: Hold, settlement: Settlement, over_pusd: int) -> None:
        toll.settled()
        for doubt in settlement.doubts:
            anomaly(doubt)
            _told("cost_anomaly", f"{doubt} in the usage of {hold.id}")
        if over_pusd:
            anomaly("over_hold")
            _told("cost_anomaly", f"over_hold by {usd_text(over_pusd)} USD in {hold.id}")

    keeping = Keeping(
        books=books.books,
        limiter=books.limiter,
        journal=books.journal,
        lookups=lookups,
        resolved=resolved,
        waits=settings.money.fsync == "always",
    )
    names = Names(settings, listings.catalogue, listings.listed)
    toll = Toll(keeping, _prices(settings, names, listings.catalogue), settings.money.rules)
    return toll


def _prices(settings: Settings, names: Names, catalogue: Catalogue) -> PriceBook:
    """Prices by catalogue, by the vendors' shipped lists, and of the operator's own."""
    overrides = {}
    for alias, own in settings.money.prices.items():
        overrides[alias] = PriceOverride(
            per_token(own.input_usd),
            per_token(own.output_usd),
            per_token(own.cached_input_usd),
            names.look_up(alias).plan.targets[0],
        )
    direct = {"openai": read_feed(prices_bytes("openai")), "anthropic": read_feed(prices_bytes("anthropic"))}
    return PriceBook(catalogue, direct, overrides)


def _parts(settings: Settings, listings: Listings, exchange: Exchange) -> Parts:
    names = Names(settings, listings.catalogue, listings.listed)
    providers = settings.providers
    first = next((p.name for p in providers.values() if p.kind == "openrouter"), next(iter(providers)))
    return Parts(
        exchange=exchange,
        drainer=Drainer(),
        guard=Guard(settings.listen),
        keys=Keyring(settings.callers),
        names=names,
        models=ModelList(names, listings.catalogue),
        default_provider=first,
        max_body=settings.max_body,
    )


def _take(parts: Parts, settings: Settings, catalogue: Catalogue, listed: dict[str, frozenset[str]]) -> None:
    """Put fresh lists in place of the old ones; calls under way keep the plan they have."""
    parts.names = Names(settings, catalogue, listed)
    parts.exchange.toll.prices = _prices(settings, parts.names, catalogue)
    parts.models = ModelList(parts.names, catalogue)


def _refuse_unsafe_runtime() -> None:
    if not __debug__:
        raise StartError("do not run with -O: the HTTP library relies on its assertions")
    if http_parser.HttpRequestParser.__module__ == http_parser.__name__:
        raise StartError(
            "the HTTP library's C parser is missing; install aiohttp from a wheel, unset AIOHTTP_NO_EXTENSIONS"
        )
    if sys.version_info < (3, 11):
        raise StartError("Python 3.11 or newer is needed")


def _log_crash(request_id: str) -> None:
    log.exception("crashed", request_id=request_id)


def _told(event: str, reason: str) -> None:
    log.warning(event, reason=reason)
