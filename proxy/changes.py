"""A new configuration in the place of the old: the swap itself.

The swap is one synchronous step. Calls under way keep the plan, the provider and the hold they
have; the next call sees the new configuration whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from proxy.config.use_cases import has_use_cases
from proxy.exchange.admission import Admission
from proxy.exchange.background.bookkeeping import Bookkeeping, Told
from proxy.exchange.background.listings import Listings
from proxy.exchange.background.lookup import Lookups
from proxy.exchange.background.pricing import price_book
from proxy.exchange.background.probing import keep_asking, stand_ins
from proxy.exchange.background.published import ask_published, keep_published
from proxy.exchange.background.responses import Background
from proxy.exchange.client_left import Drainer
from proxy.exchange.held import Accounting, Booked
from proxy.exchange.routing.router import Router
from proxy.exchange.serve import Exchange
from proxy.exchange.upstream import Upstream
from proxy.exchange.waiting import Queue
from proxy.policy.images.catalogue import ImageCatalogue
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.resolution import Names
from proxy.policy.tenants import Accounts
from proxy.policy.values import Settings
from proxy.stores.failures import StoreError
from proxy.stores.journal.records import Row
from proxy.stores.use_cases import numbered_in
from proxy.web.client.gate import Gate
from proxy.web.client.keys import Keyring
from proxy.web.client.models import ModelList
from proxy.web.client.own import answers_of_pictures
from proxy.web.client.parts import Parts
from proxy.web.client.senders import Heads
from proxy.web.guard import Guard

_LEDGER_SECONDS = 5.0  # within which it says which version a use case is


def first_parts(
    settings: Settings, names: Names, catalogue: Catalogue, exchange: Exchange, books: Bookkeeping
) -> Parts:
    """What the handler of calls works with at start."""
    parts = Parts(
        exchange=exchange,
        drainer=Drainer(),
        guard=Guard(settings.listen),
        keys=Keyring(books.keys.callers, books.hash_key, is_open=books.keys.is_open),
        names=names,
        models=ModelList(names, catalogue),
        default_provider=default_provider(settings),
        max_body=settings.max_body,
        gate=Gate(settings.max_body_total, exchange.upstream.pool),
        router=Router(settings, names, exchange.admission.prices, exchange.routes.of),
    )
    parts.router.resting.pacing, parts.router.resting.places = exchange.admission.pacing, exchange.admission.places
    exchange.credits, parts.features = settings.credits, settings.features
    parts.own.update(answers_of_pictures(parts))
    return parts


def first_admission(
    settings: Settings,
    lists: tuple[Names, Catalogue, ImageCatalogue],
    books: Bookkeeping,
    asking: tuple[Lookups, Background],
    told: tuple[Callable[[Booked], object], Callable[[Row], None]],
) -> Admission:
    """Admission, and the wiring by which every settlement is told."""
    accounting = Accounting(
        books=books.books,
        limiter=books.limiter,
        journal=books.journal,
        lookups=asking[0],
        background=asking[1],
        queue=Queue(),
        resolved=[told[0]],
        ended=told[1],
        open=books.open,
        waits=settings.money.fsync == "always",
    )
    admission = Admission(accounting, price_book(settings, *lists), settings.money.rules)
    admission.watch(settings.loops)
    admission.places.take_on(settings.providers, settings.money.limits)
    return admission


async def with_versions(settings: Settings, books: Bookkeeping, told: Told) -> Settings:
    """The settings with the versions of their use cases; without, where the ledger does not answer in time."""
    if not has_use_cases(settings):
        return settings
    number = partial(numbered_in, settings=settings, at_ms=int(time.time() * 1000))
    try:
        return await asyncio.wait_for(asyncio.wrap_future(books.writer.do(number)), _LEDGER_SECONDS)
    except (TimeoutError, StoreError):
        told(
            "use_cases_without_number",
            "the ledger does not answer; the versions of use cases are known by their digest",
        )
        return settings


def swap(parts: Parts, settings: Settings, listings: Listings, upstream: Upstream) -> None:
    """Let every later call be served by `settings`; limits and budgets go on, and the breakers of whoever is the same."""
    admission, before = parts.exchange.admission, parts.exchange
    admission.rules = settings.money.rules
    admission.watch(settings.loops)
    admission.places.take_on(settings.providers, settings.money.limits)
    admission.settled()  # caps may have changed: who waits for room looks again
    accounts = admission.accounting.background.accounts = Accounts(settings.providers, settings.tenants)
    before.spoken_apis.lossy = settings.lossy
    parts.exchange = Exchange(accounts, settings.retries, upstream, admission, before.spoken_apis)
    parts.exchange.routes.take_over(before.routes)
    take_lists(parts, settings, listings)
    parts.guard = Guard(settings.listen)
    parts.default_provider = default_provider(settings)
    parts.take_up_to(settings.max_body)
    parts.exchange.credits, parts.features = settings.credits, settings.features
    parts.gate.bodies.grow_to(settings.max_body_total)


def take_lists(parts: Parts, settings: Settings, listings: Listings) -> None:
    """Put the lists as they are now in place of the old ones; calls under way keep the plan they have."""
    parts.names = Names(settings, listings.catalogue, listings.listed)
    parts.exchange.admission.prices = price_book(settings, parts.names, listings.catalogue, listings.images)
    parts.models = ModelList(parts.names, listings.catalogue)
    parts.router.take_on(settings, parts.names, parts.exchange.admission.prices, parts.exchange.routes.of)
    parts.heads = Heads()


async def keep_up(parts: Parts, listings: Listings, upstream: Upstream) -> None:
    """What goes on beside calls, until cancelled: lists are fetched, and workers that stand in for others asked."""
    listings.beside = partial(ask_published, parts.router, upstream)
    await asyncio.gather(
        listings.keep_fresh(),
        keep_published(parts.router, upstream),
        keep_asking(
            stand_ins(listings.settings, parts.names),
            upstream,
            lambda: parts.exchange.routes.everybodys,
        ),
    )


def default_provider(settings: Settings) -> str:
    """Where calls go that name no model: OpenRouter, else the first provider; "" where there is none."""
    providers = settings.providers
    return next((p.name for p in providers.values() if p.kind == "openrouter"), next(iter(providers), ""))
