"""Copies of calls for the shadow arms of experiments: made once the call itself has its plan, answered to nobody.

A copy is a call like any other, under a budget of its own and those of the caller's tenant and of everybody, with the keys of that
tenant. No word of its reply is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from proxy.compare.cells import APART
from proxy.exchange.io.off_loop import LARGE
from proxy.exchange.stand_ins import Nobody
from proxy.policy.tenants import in_name_of
from proxy.policy.values import Caller
from proxy.web.client.api import Api
from proxy.web.client.heads import Head
from proxy.web.client.senders import Sender
from proxy.wire.call import Call

MOST_AT_ONCE = 8  # what comes beside so many is not copied


class Copies:
    """Owned by the daemon, and of its event loop."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._under_way = 0

    def copy(self, scope: str, head: Head, caller: Caller, call: Call) -> None:
        """Make a copy of a call, soon; `scope` is that of its budget, and its key's name."""
        is_too_much = self._under_way >= MOST_AT_ONCE or len(call.body) > LARGE
        if is_too_much or self._api.parts.closing is not None or not call.endpoint.counts:
            return
        self._under_way += 1
        sender = Sender(replace(head, apart=None, cors=[]), replace(in_name_of(scope, caller), sharing=APART))
        asyncio.get_running_loop().call_soon(self._api.begin, _Copied(self._over), sender, call.body)

    def _over(self) -> None:
        self._under_way -= 1


class _Copied(Nobody):
    """Drops what it is told, and says when it is over."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over

    def answered(self) -> None:
        """The call is over."""
        super().answered()
        self._over()
