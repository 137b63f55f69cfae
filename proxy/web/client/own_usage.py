"""`GET /tollkeeper/usage`: what the caller's own key has used, and nobody else's."""

from __future__ import annotations

import asyncio

import msgspec

from proxy.errors import InvalidValue, LedgerUnusable
from proxy.exchange.background.bookkeeping import Bookkeeping
from proxy.exchange.client import Client
from proxy.policy.money.credits import with_credits
from proxy.policy.values import Caller, Settings
from proxy.stores.failures import StoreError
from proxy.web.client.heads import Asked
from proxy.web.client.parts import Parts
from proxy.web.operator.admin_api import Declined, UsageAsk
from proxy.web.operator.control_state import LiveState
from proxy.web.operator.timestamps import read_query, usage_params
from proxy.web.reading import read_ask

_PATH = "/tollkeeper/usage"
_KNOWN = ("by", "since", "until", "tz", "model", "provider")


class OwnUsage:
    """Answers out of the same books as the operator's `usage`."""

    def __init__(self, state: LiveState) -> None:
        self._state = state

    async def answer(self, asked: Asked, client: Client) -> bool:
        """False for another path or method. Raises `InvalidValue` or `LedgerUnusable`."""
        if asked.head.path != _PATH or asked.head.method not in ("GET", "HEAD"):
            return False
        try:
            report = await self._usage(asked.caller, asked.head.query)
        except (Declined, ValueError) as error:
            raise InvalidValue(f"The query cannot be answered: {error}.") from None
        except (TimeoutError, StoreError, OSError):
            raise LedgerUnusable("What was used cannot be read now; try again later.") from None
        told = with_credits(msgspec.to_builtins(report), self._state.admin_api().settings.credits)
        client.whole(200, [("Content-Type", "application/json"), *client.own_headers()], msgspec.json.encode(told))
        return True

    async def _usage(self, caller: Caller, query: str) -> object:
        """As `usage --json`, of this key alone; and of its time with this tenant, should it have had another."""
        params = read_query(query)
        if unknown := params.keys() - set(_KNOWN):
            name = min(unknown)[:100]
            raise InvalidValue(f"The query holds something unknown here; known are: {', '.join(_KNOWN)}.", param=name)
        asked = usage_params(params, self._state.zone(params.get("tz")))
        ask = read_ask({**asked, "key": caller.name, "tenant": caller.tenant}, UsageAsk)
        await self._state.flushed()
        return await asyncio.to_thread(self._state.admin_api().usage, ask)


def live_state(settings: Settings, books: Bookkeeping, parts: Parts) -> LiveState:
    """What operators ask, and every caller of its own."""
    state = LiveState(settings, books, parts)
    parts.own["tollkeeper/usage"] = OwnUsage(state)
    return state
