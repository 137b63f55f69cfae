"""The wiring: settings in, running daemon out. The only file that puts the parts together."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing, closing
from functools import partial

import structlog
from msgspec import Struct

from proxy import __version__
from proxy.alerts.budgets import Alerts, tell_tried
from proxy.alerts.rules import Rules, open_alerts
from proxy.changes import first_admission, first_parts, keep_up, swap, take_lists, with_versions
from proxy.compare.opening import open_compare
from proxy.config.differing import in_words
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.background.kept_lists import kept_catalogue
from proxy.exchange.background.listings import Listings
from proxy.exchange.background.lookup import Lookups
from proxy.exchange.background.responses import Background
from proxy.exchange.results import Results
from proxy.exchange.routing.trials import Step
from proxy.exchange.serve import Exchange
from proxy.exchange.spoken_apis import SpokenApis
from proxy.exchange.upstream import Upstream
from proxy.experiments import Experiments
from proxy.jobs.jobs import Jobs
from proxy.listeners import StartError, listen, refuse_unsafe_runtime
from proxy.mocks import Mocks
from proxy.model_news import ModelNews
from proxy.policy.names.resolution import Names
from proxy.policy.tenants import Accounts
from proxy.policy.values import Settings
from proxy.reconciling import begin_reconciling
from proxy.shutdown import Shutdown
from proxy.stores.failures import LedgerUnavailable, StateUnusable, StoreError
from proxy.stores.keyset import KeySet
from proxy.stores.secrets.safe import Safe
from proxy.stores.secrets.sealing import Sealer
from proxy.telemetry import Telemetry
from proxy.web.client.api import Api
from proxy.web.client.own_usage import live_state
from proxy.web.operator.access.actor import Actor
from proxy.web.operator.access.admin_auth import AdminAuth
from proxy.web.operator.access.trail import Trail
from proxy.web.operator.admin import Admin
from proxy.web.operator.admin_api import Declined
from proxy.web.operator.answers import ProviderTriedAnswer, StatusAnswer
from proxy.web.operator.control import Control
from proxy.web.operator.control_state import LiveState
from proxy.web.operator.jobs import JobOrders
from proxy.web.operator.live.traffic import Traffic
from proxy.web.operator.orders import Orders
from proxy.web.operator.settings.settings_orders import NothingToRead, Reload, ReloadRefused
from proxy.web.operator.webhooks import WebhookOrders

log = structlog.get_logger()

# what closing may take after the window, so that all of it stays below five seconds
LOOKUP_SECONDS, LEDGER_SECONDS = 2.0, 1.0


class Running(Struct):
    """What a reload has to reach."""

    api: Api
    listings: Listings
    upstream: Upstream
    state: LiveState
    telemetry: Telemetry
    alerts: Alerts
    rules: Rules
    jobs: Jobs
    admin: Admin
    experiments: Experiments


class Daemon:
    """A running daemon. `url`, `admin_url` and `keys` are known once `start` has returned.

    `reload_now` is what an order to read the configuration again does; whoever has read it says so.
    """

    def __init__(self, settings: Settings, inherited: Mapping[str, list[socket.socket]] | None = None) -> None:
        """`inherited` are listening sockets by name, as systemd passes them: "data" takes the data port's place."""
        self.settings = settings
        self._inherited = inherited or {}
        self.keys = KeySet((), (), (), is_open=True)
        self.reload_now: Reload = NothingToRead()
        self.url = self.admin_url = ""
        self._stack = AsyncExitStack()
        self._api: Api | None = None
        self._books: Bookkeeping | None = None
        self._running: Running | None = None
        self._shutdown: Shutdown | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._mocks = Mocks(self._stack)

    async def start(self) -> None:
        """Open everything, listeners last. Raises `StartError`."""
        refuse_unsafe_runtime()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        books = self._open_books(settings := await self._mocks.given(self.settings))
        settings = await with_versions(settings, books, _told)
        upstream = Upstream(_told)
        self._stack.push_async_callback(upstream.close)
        catalogue = kept_catalogue(settings.state_dir)
        listings = Listings(settings, catalogue, upstream, _told)
        lookups, background = Lookups(upstream), Background(upstream, Accounts(settings.providers, settings.tenants))
        self._stack.push_async_callback(lookups.finish, LOOKUP_SECONDS)
        self._stack.push_async_callback(background.close)
        telemetry = self._stack.enter_context(closing(Telemetry(settings, books, self._knows_model)))
        names = Names(settings, catalogue, listings.listed)
        told = (telemetry.settled.append, telemetry.ended)
        admission = first_admission(settings, (names, catalogue, listings.images), books, (lookups, background), told)
        self._stack.callback(admission.refused.write)
        exchange = Exchange(background.accounts, settings.retries, upstream, admission, self._spoken(settings, books))
        parts = first_parts(settings, names, catalogue, exchange, books)
        api = self._api = Api(parts, telemetry.finished.append, _log_crash)
        open_compare(api, books, telemetry.judged)
        telemetry.watch(lambda: list(api.running.values()), parts.router.observed, parts.trials)
        books.writer.beside = telemetry.catch_up
        books.writer.journal_lost = partial(asyncio.get_running_loop().call_soon_threadsafe, books.carry_forward)
        books.resolve_orphans(admission.accounting, background.accounts, admission.prices)
        state = live_state(settings, books, parts)
        orders = Orders(state, Traffic(api, telemetry.feed), self, Trail(state.run, settings.state_dir))
        alerts, rules = await open_alerts(self._stack, settings, books, telemetry.told, orders)
        jobs = self._open_jobs(api, books, settings, telemetry, orders)
        experiments = Experiments(parts.trials, books, alerts, orders.trail)
        await (await self._stack.enter_async_context(aclosing(experiments))).open(settings)
        self._stack.push_async_callback(begin_reconciling(orders, api, (upstream, lookups), (alerts, telemetry)))
        admin = Admin(AdminAuth(settings, orders.sessions), self._problems, telemetry.page, orders)
        self.admin_url = (await listen(self._stack, admin.answer, settings.admin)).url  # if it fails, no call was taken
        listener = await listen(self._stack, api.answer, settings.listen, self._inherited.get("data", []))
        listener.server.takes, listener.server.line, self.url = parts.gate.has_room_for, api, f"{listener.url}/v1"
        self._shutdown = Shutdown(api, listener)
        self._stack.push_async_callback(await Control(orders, _told).open(settings.state_dir))
        self._running = Running(api, listings, upstream, state, telemetry, alerts, rules, jobs, admin, experiments)
        self._keep_fresh()
        self._stack.callback(self._stop_refreshing)

    def _spoken(self, settings: Settings, books: Bookkeeping) -> SpokenApis:
        """What is known of providers, and the results that wait to be fetched until they expire."""
        results = Results(settings.state_dir, settings.results_bytes, Safe(self._sealer, books.writer))
        self._stack.callback(asyncio.create_task(results.keep_swept(), name="forget results").cancel)
        return SpokenApis(settings.lossy, results)

    async def reload(self, settings: Settings, *, is_stored: bool = False) -> list[str]:
        """Take on another configuration; say in words what changed. Calls under way are not touched. `is_stored`: by an
        order that writes itself down.

        Raises `ReloadRefused`, or a `StoreError` where the stored keys cannot be read; then everything is as it was.
        """
        running, books = self._running, self._books
        if running is None or books is None or running.api.parts.closing is not None:
            raise ReloadRefused("the daemon is starting or stopping")
        lines = in_words(self.settings, settings)
        complete = await with_versions(await self._mocks.given(settings), books, _told)
        try:
            await running.state.reload(complete, None if is_stored else lines)
        except Declined as error:
            raise ReloadRefused(str(error)) from None
        except TimeoutError:
            raise LedgerUnavailable("it does not answer") from None
        running.listings.settings = complete
        swap(running.api.parts, complete, running.listings, running.upstream)
        running.telemetry.reloaded(complete)
        running.rules.reload(complete)
        running.jobs.take_on(complete)
        running.admin.auth.take_on(complete)
        await running.experiments.take_on(complete)
        self.settings = settings
        self._keep_fresh()
        return lines

    def reload_refused(self) -> None:
        """A configuration could not be read; everything stays as it is."""
        if self._running is not None:
            self._running.telemetry.reloaded(None)

    def _keep_fresh(self) -> None:
        """Fetch model lists now and from time to time; a new configuration begins anew."""
        self._stop_refreshing()
        if (running := self._running) is None:
            return
        parts, listings = running.api.parts, running.listings
        listings.changed = partial(take_lists, parts, listings.settings, listings)
        listings.found = ModelNews(parts, self.settings.aliases, running.alerts)
        self._refresher = asyncio.create_task(keep_up(parts, listings, running.upstream), name="refresh model lists")

    def _stop_refreshing(self) -> None:
        if self._refresher is not None:
            self._refresher.cancel()

    def _knows_model(self, name: str) -> bool:
        parts = None if self._api is None else self._api.parts
        if parts is None:
            return False
        is_offered = name in self.settings.aliases or name in parts.models.names or parts.names.is_written(name)
        return is_offered or parts.names.is_listed(name) or parts.exchange.admission.prices.is_listed(name)

    @property
    def listings(self) -> Listings:
        """What the providers list; once it has started."""
        assert self._running is not None
        return self._running.listings

    async def try_provider(self, name: str) -> ProviderTriedAnswer:
        """Ask a provider what costs nothing. Raises `Unknown` where there is none of this name."""
        from proxy.doctor.trial import try_named  # only where it is wanted: it costs start-up time

        return await try_named(name, {} if self._api is None else self._api.parts.exchange.providers)

    async def tell_steps(self, steps: list[Step], actor: Actor) -> None:
        """Write down and tell what was done to experiments."""
        if self._running is not None:
            await self._running.experiments.tell(steps, actor)

    def stop_accepting(self) -> None:
        """Take no more connections; the drain window begins. Synchronous, for a signal's callback."""
        if self._shutdown is not None:
            self._shutdown.begin(self.settings.drain)

    async def stop(self) -> None:
        """Stop accepting, let running calls finish for the drain window, cut the rest, close everything."""
        self.stop_accepting()
        if self._shutdown is not None:
            await self._shutdown.drain()
        await self._stack.aclose()
        if self._shutdown is not None and self._books is not None:
            self._shutdown.tell(ledger_complete=self._books.ledger_complete)

    def status(self) -> str:
        """One line for whoever supervises us."""
        return f"calls in flight: {len(self._api.running) if self._api else 0}"

    def whereabouts(self) -> StatusAnswer:
        """Who this daemon is and where it listens, for the commands."""
        config, url = self.settings.source and os.path.abspath(self.settings.source), self.url.removesuffix("/v1")
        unspoken = {} if self._api is None else self._api.parts.exchange.spoken_apis.learnt(time.monotonic())
        return StatusAnswer(os.getpid(), __version__, config, url, self.admin_url, unspoken)

    def cut_short(self) -> None:
        """End the drain window now (a second SIGTERM)."""
        if self._shutdown is not None:
            self._shutdown.hurry()

    def _open_jobs(self, api: Api, books: Bookkeeping, settings: Settings, told: Telemetry, orders: Orders) -> Jobs:
        jobs = Jobs(api, books, settings, Safe(self._sealer, books.writer), partial(tell_tried, told.metrics))
        self._stack.push_async_callback(jobs.open())
        orders.by_name |= WebhookOrders(jobs.hooks, orders.bounds, jobs.key_name).by_name
        orders.by_name |= JobOrders(jobs, orders.bounds, jobs.key_name).by_name
        return jobs

    def _sealer(self) -> Sealer:
        """What seals stored secrets, as it is now."""
        return self.reload_now.vault.sealer

    def _open_books(self, settings: Settings) -> Bookkeeping:
        try:
            books = Bookkeeping(settings, _told)
        except StoreError as error:
            raise StartError(str(error)) from None
        except OSError as error:
            raise StartError(str(StateUnusable(settings.state_dir, error))) from None
        self._stack.callback(books.close, LEDGER_SECONDS)
        self._books, self.keys = books, books.keys
        return books

    def _problems(self) -> list[str]:
        if self._running is None:
            return ["starting"]
        problems = ["shutting down"] if self._api is None or self._api.parts.closing else []
        if self._books is not None and not self._books.journal.healthy:
            problems.append(f"the journal cannot be written ({self._books.journal.failure})")
        if self._books is not None and self._books.ledger_problem:
            problems.append(self._books.ledger_problem)
        if self._books is not None and self._books.writer.is_unusable:
            problems.append(self._books.writer.last_error)
        return problems


def _log_crash(request_id: str) -> None:
    log.exception("crashed", request_id=request_id)


def _told(event: str, reason: str) -> None:
    log.warning(event, reason=reason)
