"""What clients were told of their jobs by webhook, as operators see it, and sending one once more by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from proxy.stores.jobs.deliveries import Delivery
from proxy.stores.jobs.job_rows import Tenants
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.admin_api import Unknown, instant
from proxy.web.operator.answers import Answer
from proxy.web.reading import read_ask


class WebhooksAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """The last so many."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class WebhookAnswer(Struct, frozen=True):
    """One message. `state`: waiting, delivered, given_up, gone, dropped, or off where nothing is sent any more."""

    id: str
    job: str
    key: str
    host: str
    state: str
    reason: str
    tries: int
    made_at: str
    ended_at: str | None


class WebhooksAnswer(Struct, frozen=True):
    """The last messages, the newest first."""

    webhooks: list[WebhookAnswer]


class ReplayAnswer(Struct, frozen=True):
    """It is being sent again."""

    id: str


class Telling(Protocol):
    """Whoever sends them."""

    async def newest(self, most: int, tenants: Tenants) -> list[Delivery]:
        """The last messages about jobs of these tenants."""

    async def again(self, message_id: str, tenants: Tenants) -> bool:
        """Send one of these tenants' once more; False where there is none."""


class WebhookOrders:
    """`by_name` are the orders."""

    def __init__(self, telling: Telling, bounds: Callable[[], Bounds], key_name: Callable[[str], str]) -> None:
        """`bounds` are those of whoever gives the order; `key_name` says what the owner of a job is called."""
        self._telling = telling
        self._bounds = bounds
        self._key_name = key_name
        self.by_name: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "webhooks": self._webhooks,
            "replay_webhook": self._replay,
        }

    async def _webhooks(self, params: dict[str, Any]) -> Answer:
        ask = read_ask(params, WebhooksAsk, strict=False)
        found = await self._telling.newest(ask.limit, self._bounds().tenants)
        return WebhooksAnswer([_row(one, self._key_name(one.key)) for one in found])

    async def _replay(self, params: dict[str, Any]) -> Answer:
        message_id = str(params.get("name"))
        if not await self._telling.again(message_id, self._bounds().tenants):
            raise Unknown(f"there is no webhook {message_id} to send again; `tollkeeper webhooks list` has them")
        return ReplayAnswer(message_id)


def _row(one: Delivery, key: str) -> WebhookAnswer:
    about = one.id, one.job, key, one.host, one.state, one.reason, one.tries
    return WebhookAnswer(*about, instant(one.made_ms), None if one.ended_ms is None else instant(one.ended_ms))
