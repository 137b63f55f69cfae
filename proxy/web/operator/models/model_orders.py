"""The operator's orders about models: what there is, what is new, and fetching the lists now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.exchange.background.listings import Listings, Step
from proxy.policy.names.news import counted
from proxy.stores.questions.queries import Files
from proxy.web.operator.admin_api import AdminApi, instant
from proxy.web.operator.answers import Answer
from proxy.web.operator.models.model_rows import Known, ModelsAnswer, ModelsAsk
from proxy.web.operator.models.models import model_list
from proxy.web.operator.timestamps import named_moment_ms
from proxy.web.reading import read_ask

if TYPE_CHECKING:
    from proxy.web.operator.control_state import LiveState

Params = dict[str, Any]
_MOST_NEWS = 1000


class Host(Protocol):
    """The daemon, as far as its lists are concerned."""

    @property
    def listings(self) -> Listings:
        """What the providers list."""


class NewsAsk(Struct, frozen=True, forbid_unknown_fields=True):
    """From which day or moment on; None is everything that is kept."""

    since: str | None = None


class ModelChange(Struct, frozen=True):
    """One difference between a provider's list and what it was before. `aliases` are the names under `models:` that go to
    the model."""

    at: str
    kind: str
    provider: str
    model: str
    before: str
    after: str
    aliases: list[str]


class NewsAnswer(Struct, frozen=True):
    """Changes, the newest first, at most 1,000."""

    changes: list[ModelChange]


class SyncLine(Struct, frozen=True, omit_defaults=True):
    """What happens while the lists are fetched: `provider` for each as it is done (`done` of `of`), `change` for each
    difference, then `done` with the sum of models and seconds."""

    event: str
    provider: str = ""
    models: int = 0
    seconds: float = 0.0
    problem: str = ""
    done: int = 0
    of: int = 0
    news: str = ""
    kind: str = ""
    model: str = ""
    before: str = ""
    after: str = ""


class ModelOrders:
    """`by_name` as `Orders` has them; `sync` tells line by line."""

    def __init__(self, state: LiveState, host: Host) -> None:
        self._state = state
        self._host = host
        self._rounds: set[asyncio.Task[list[Step]]] = set()
        self.by_name = {"models": self._models, "model_news": self._news}

    async def _models(self, params: Params) -> Answer:
        admin_api, ask = self._state.admin_api(), read_ask(params, ModelsAsk, strict=False)
        observed = None if admin_api.router is None else admin_api.router.observed
        if observed is not None and (ask.max_first_token or ask.min_speed or ask.sort in ("first_token", "speed")):
            observed.is_wanted = True  # from now on, if nobody has chosen before
        told = Known(admin_api.settings, admin_api.names, admin_api.prices, observed)
        found = await asyncio.to_thread(model_list, told, ask)
        return found if admin_api.bounds.tenants is None else _of_tenants(admin_api, found, ask)

    async def _news(self, params: Params) -> Answer:
        return await asyncio.to_thread(news_of, self._state.files, params, self._state.zone(None))

    async def sync(self, _: Params) -> AsyncGenerator[Struct]:
        """Fetch every provider's list now. Whoever stops listening does not stop it."""
        listings = self._host.listings
        began, of = time.monotonic(), len(listings.settings.providers)
        queue = asyncio.Queue[Step | None]()
        going = asyncio.create_task(listings.sync(queue.put_nowait), name="sync model lists")
        self._rounds.add(going)
        going.add_done_callback(self._rounds.discard)
        going.add_done_callback(lambda _: queue.put_nowait(None))
        done, models, kinds = 0, 0, list[str]()
        while (step := await queue.get()) is not None:
            done, models = done + 1, models + step.models
            kinds += [change.kind for change in step.changes]
            news = counted(change.kind for change in step.changes)
            yield SyncLine("provider", step.provider, step.models, step.seconds, step.problem, done, of, news)
            for change in step.changes:
                yield SyncLine("change", **msgspec.structs.asdict(change))
        seconds = round(time.monotonic() - began, 3)
        yield SyncLine("done", models=models, seconds=seconds, done=done, of=of, news=counted(kinds))


def news_of(files: Files, params: Params, zone: tzinfo) -> NewsAnswer:
    """What the ledger has of it. Raises ValueError."""
    since = read_ask(params, NewsAsk).since
    since_ms = 0 if since is None else named_moment_ms("since", since, zone)
    found = files.model_news(since_ms, _MOST_NEWS)
    return NewsAnswer(
        [
            ModelChange(instant(one.at_ms), one.kind, one.provider, one.model, one.before, one.after, list(one.aliases))
            for one in found
        ]
    )


def _of_tenants(admin_api: AdminApi, found: ModelsAnswer, ask: ModelsAsk) -> ModelsAnswer:
    """Of the names those that one of the admin's tenants may use."""
    theirs = admin_api.bounds.models(admin_api.names, admin_api.settings.tenants)
    rows = [row for row in found.models if row.name in theirs]
    return replace(found, models=rows, known=found.known if ask.query in theirs else [])
