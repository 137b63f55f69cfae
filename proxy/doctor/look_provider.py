"""Looks at providers, all at the same time: can they be reached, and what do they say to our key. Nothing is paid."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import msgspec

from proxy.dialects import DIALECTS
from proxy.doctor.network import Unreached, certificate_days, connect, resolve
from proxy.doctor.seen import Balance, ProviderSeen
from proxy.errors import ProviderError
from proxy.exchange.background.listings import own_headers
from proxy.exchange.upstream import Answered, Upstream
from proxy.policy.values import Provider

MOST_SECONDS = 10.0
_AT_ONCE = 50
_ASKS_FOR_KEY = ("openrouter", "mock")  # theirs is free of charge, and knows a bad key; /models answers everybody


async def look_at_providers(providers: Iterable[Provider]) -> list[ProviderSeen]:
    """Each within `MOST_SECONDS`, or its own `timeouts.total` where that is shorter; so many at once."""
    upstream, turn = Upstream(), asyncio.Semaphore(_AT_ONCE)

    async def look(provider: Provider) -> ProviderSeen:
        async with turn:
            return await _look(provider, upstream)

    try:
        return await asyncio.gather(*map(look, providers))
    finally:
        await upstream.close()


async def _look(provider: Provider, upstream: Upstream) -> ProviderSeen:
    seen = ProviderSeen(provider)
    if not provider.base_url or provider.is_unreadable:
        return seen
    seen.asked = f"GET {provider.base_url}{_path(provider)}"
    seconds = min(MOST_SECONDS, provider.timeouts.total)
    try:
        async with asyncio.timeout(seconds):
            await _reach(seen, upstream)
    except Unreached as error:
        seen.trouble = str(error)
    except ProviderError as error:
        seen.trouble = error.message.rstrip(".")
    except TimeoutError:
        seen.trouble = seen.trouble or f"nothing within {seconds:g} s"
    return seen


async def _reach(seen: ProviderSeen, upstream: Upstream) -> None:
    """One step after the other; the first that fails ends it."""
    provider = seen.provider
    proxy = upstream.proxy_for(provider)
    seen.host, port, is_tls = _place(provider.base_url)
    host = seen.host
    if proxy is not None:
        host, port, is_tls = _place(proxy)
        seen.through, is_tls = f"{host}:{port}", False
    try:
        async with asyncio.timeout(provider.timeouts.connect):
            seen.addresses = tuple(await resolve(host, port))
            seen.is_local = proxy is None and all(map(_is_loopback, seen.addresses))
            seen.stage = "connect"
            address, seen.connect_ms = await connect(seen.addresses, port)
            if is_tls:
                seen.stage = "certificate"
                seen.certificate_days = await certificate_days(host, address, port, provider.ca_file)
    except TimeoutError:
        seen.trouble = f"nothing within {provider.timeouts.connect:g} s (timeouts.connect)"
        raise
    seen.stage = "answer"
    await _ask(seen, upstream)


def _place(url: str) -> tuple[str, int, bool]:
    """Host, port and whether it is TLS; what else a URL may hold (a proxy's password) stays where it is."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _path(provider: Provider) -> str:
    return "/key" if provider.kind in _ASKS_FOR_KEY else "/models"


async def _ask(seen: ProviderSeen, upstream: Upstream) -> None:
    provider = seen.provider
    asks_for_key = provider.kind in _ASKS_FOR_KEY
    began = time.time()
    answered = await upstream.get(provider, _path(provider), own_headers(provider))
    _compare_clocks(seen, answered, began, time.time())
    seen.status = answered.status
    seen.about_our_key = DIALECTS[provider.kind].is_about_our_key(answered.status, answered.body)
    if answered.status != 200:
        return
    if not asks_for_key:
        seen.models = _count(answered.body)
        return
    account = await upstream.get(provider, "/credits", own_headers(provider))
    seen.balance = Balance(answered.body, account.body if account.status == 200 else None)


def _compare_clocks(seen: ProviderSeen, answered: Answered, sent: float, received: float) -> None:
    """`Date` is cut to whole seconds, somewhere between sending and receiving."""
    try:
        date = parsedate_to_datetime(answered.date or "").timestamp()
    except ValueError:
        return
    seen.offset_seconds = date + 0.5 - (sent + received) / 2
    seen.within_seconds = (received - sent) / 2 + 0.5


def _count(body: bytes) -> int | None:
    try:
        data = msgspec.json.decode(body).get("data")
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return None
    return len(data) if isinstance(data, list) else None
