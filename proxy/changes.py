"""A new configuration in the place of the old: what changed in words, and the swap itself.

The swap is one synchronous step. Calls under way keep the plan, the provider and the hold they
have; the next call sees the new configuration whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from proxy.config.use_cases import has_use_cases
from proxy.exchange.admission import Admission
from proxy.exchange.background import Background
from proxy.exchange.bookkeeping import Bookkeeping, Told
from proxy.exchange.client_left import Drainer
from proxy.exchange.held import Accounting, Booked
from proxy.exchange.listings import Listings
from proxy.exchange.lookup import Lookups
from proxy.exchange.pricing import price_book
from proxy.exchange.probing import keep_asking, stand_ins
from proxy.exchange.published import ask_published, keep_published
from proxy.exchange.routing import Router
from proxy.exchange.serve import Exchange
from proxy.exchange.upstream import Upstream
from proxy.exchange.waiting import Queue
from proxy.policy.images.catalogue import ImageCatalogue
from proxy.policy.money.budgets import GLOBAL, judge_scope
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.resolution import Names
from proxy.policy.tenants import Accounts
from proxy.policy.values import Settings
from proxy.stores.failures import StoreError
from proxy.stores.records import Row
from proxy.stores.use_cases import numbered_in
from proxy.web.client.gate import Gate
from proxy.web.client.keys import Keyring
from proxy.web.client.models import ModelList
from proxy.web.client.own import answers_of_pictures
from proxy.web.client.parts import Parts
from proxy.web.client.senders import Heads
from proxy.web.guard import Guard

# what is opened once at start
_NEED_RESTART = ("listen", "admin", "state_dir", "gen_ai", "log_level", "log_format", "master_key_file")
_LEDGER_SECONDS = 5.0  # within which it says which version a use case is
_NOT_SETTINGS = ("source", "written", "environment", "unused", "warnings")


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
        gate=Gate(settings.max_body_total),
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


def lost_sections(old: Settings, new: Settings) -> str:
    """In a sentence, which section with something in it is gone, though nobody wrote it empty; "" where none is."""
    lost = []
    if old.providers != new.providers and "providers" not in new.written:
        if "providers" in old.written or not new.providers:
            lost.append(("provider", "providers: {}"))
    if _has_lost_budgets(old, new) and "budgets" not in new.written:
        lost.append(("budget", "budgets: []"))
    if not lost:
        return ""
    what, empty = (" and ".join(words) for words in zip(*lost, strict=True))
    return (
        f"every {what} would be dropped, as by a file that was cut; if that is meant, write `{empty}`, or use "
        "`tollkeeper reload --yes`"
    )


def _has_lost_budgets(old: Settings, new: Settings) -> bool:
    """Whether those of everything together are gone, or with those of the keys all there were; nothing is lost with one
    in shadow, and where one is put there, that is written."""
    before = {b.scope for b in old.money.budgets if not b.shadow and not b.scope.startswith(judge_scope(""))}
    after = {budget.scope for budget in new.money.budgets}
    return bool(before) and (not after or (GLOBAL in before and GLOBAL not in after))


def in_words(old: Settings, new: Settings) -> list[str]:
    """What differs, a line each, and what is doubtful of it; secrets are named, never shown."""
    lines: list[str] = []
    for field in Settings.__struct_fields__:
        if field in _NOT_SETTINGS:
            continue
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        needs = " (takes effect after a restart)" if field in _NEED_RESTART else ""
        lines += [line + needs for line in _field_in_words(field, before, after)]
    return lines + [f"warning: {warning}" for warning in new.warnings if warning not in old.warnings]


def _field_in_words(field: str, before: Any, after: Any) -> Iterator[str]:
    if field == "callers":
        before, after = ({caller.name: caller for caller in callers} for callers in (before, after))
        field = "keys"
    if field == "aliases":
        field = "models"  # as the file has it
    if field == "login":
        field = "auth"
    if field == "money":
        for name in type(before).__struct_fields__:
            if getattr(before, name) != getattr(after, name):
                yield from _field_in_words(name, getattr(before, name), getattr(after, name))
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _names_in_words(field, before, after)
    elif isinstance(before, str | int | float | None) and isinstance(after, str | int | float | None):
        yield f"{field}: {before} -> {after}"
    else:
        yield f"{field}: changed"


def _names_in_words(field: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in before.keys() - after.keys():
        yield f"{field}: {name} removed"
    for name in after.keys() - before.keys():
        yield f"{field}: {name} added"
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            yield f"{field}: {name} changed ({', '.join(_differing(before[name], after[name]))})"


def _differing(before: Any, after: Any) -> list[str]:
    if isinstance(before, msgspec.Struct):
        return [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    return ["value"]
