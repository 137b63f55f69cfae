"""What a call cost, learnt after its end: OpenRouter is asked, whose `/generation` answers some seconds late (wire.md 1.11);
others may say more behind the end of a stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.dialects import DIALECTS, Incoming
from proxy.errors import ProviderError
from proxy.exchange.upstream import Upstream
from proxy.policy.values import Provider
from proxy.wire.call import Call
from proxy.wire.endpoints import Endpoint
from proxy.wire.usage import Usage

WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
DEADLINE_SECONDS = 45.0
MOST_AT_ONCE = 64
MOST_WAITING = 16_384
MOST_LISTENING = 256

_json = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_GENERATION = Call(Endpoint("generation"), "/generation", "", "GET", b"")


class Lookups:
    """Runs look-ups in the background; `done` is called once each, with None when nothing was learnt."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: set[asyncio.Task[None]] = set()

    @staticmethod
    def possible(provider: Provider) -> bool:
        """Whether the provider can be asked at all."""
        return provider.kind in ("openrouter", "mock")

    def start(self, provider: Provider, generation_id: str, done: Callable[[Usage | None], None]) -> None:
        """Ask after 0.5, 1, 2, 4 and 8 s, and for 45 s at most."""
        if len(self._tasks) >= MOST_WAITING:
            done(None)
            return
        task = asyncio.get_running_loop().create_task(
            self._run(provider, generation_id, done), name=f"look up {generation_id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def listen(self, reading: Coroutine[Any, Any, None], done: Callable[[], None]) -> bool:
        """Read on behind a reply that is over, for what its provider may still say; False where too many do already."""
        if len(self._listening) >= MOST_LISTENING:
            reading.close()
            return False
        task = asyncio.get_running_loop().create_task(reading, name="listen on")
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        task.add_done_callback(lambda _: done())
        return True

    @property
    def waiting(self) -> int:
        """How many costs are not known yet."""
        return len(self._tasks)

    async def finish(self, seconds: float) -> None:
        """At shutdown: let look-ups run on for a while, then settle what is left without an answer."""
        tasks = [*self._tasks, *self._listening]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, provider: Provider, generation_id: str, done: Callable[[Usage | None], None]) -> None:
        found: Usage | None = None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE_SECONDS):
                    found = await self._learn(provider, generation_id)
        finally:
            done(found)

    async def _learn(self, provider: Provider, generation_id: str) -> Usage | None:
        for wait in WAITS_SECONDS:
            await asyncio.sleep(wait)
            async with self._room:
                found = await self.ask(provider, generation_id)
            if found is not None:
                return found
        return None

    async def ask(self, provider: Provider, generation_id: str) -> Usage | None:
        """What `/generation` says now; None where it knows nothing."""
        headers = DIALECTS[provider.kind].headers(_GENERATION, provider, Incoming(()))
        try:
            body = await self._upstream.get_json(provider, f"/generation?id={quote(generation_id, safe='')}", headers)
            data = _json.decode(body).get("data")
        except (ProviderError, msgspec.DecodeError):
            return None
        return _usage(data) if isinstance(data, dict) else None


def _usage(data: dict[str, Any]) -> Usage | None:
    """The tokens and the cost of one generation; None while the cost is not there."""
    cost = data.get("total_cost")
    if isinstance(cost, bool) or not isinstance(cost, int | Decimal) or not 0 <= cost < 10**6:
        return None
    return Usage(
        input_tokens=_count(data.get("native_tokens_prompt"), data.get("tokens_prompt")),
        output_tokens=_count(data.get("native_tokens_completion"), data.get("tokens_completion")),
        cached_tokens=_count(data.get("native_tokens_cached")),
        reasoning_tokens=_count(data.get("native_tokens_reasoning")),
        cost_usd=Decimal(cost) + _byok(data),
    )


def _byok(data: dict[str, Any]) -> Decimal:
    amount = data.get("upstream_inference_cost")
    if data.get("is_byok") is not True or isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return Decimal(0)
    return Decimal(amount) if 0 <= amount < 10**6 else Decimal(0)


def _count(*values: Any) -> int:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return 0
