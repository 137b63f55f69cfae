"""The operator's questions and orders by name, whichever way they come: control socket or admin port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from proxy.exchange.background.listings import Listings
from proxy.exchange.routing.trials import Step
from proxy.policy.money.credits import with_credits
from proxy.stores.audit import AuditRow
from proxy.web.operator.access.actor import ACTOR, Actor
from proxy.web.operator.access.audit import AuditAsk, VerifyAsk, audit_answer, heads_of, question, verdict_answer
from proxy.web.operator.access.bounds import Bounds
from proxy.web.operator.access.cookies import LINK_SECONDS, Holder, Sessions
from proxy.web.operator.access.rights import RIGHTS
from proxy.web.operator.access.trail import Trail, shown
from proxy.web.operator.admin_api import Declined, UsageAsk
from proxy.web.operator.answers import Answer, DashboardAnswer, ProviderTriedAnswer, ReloadedAnswer, StatusAnswer
from proxy.web.operator.calls.past_calls import CallOrders
from proxy.web.operator.calls.sessions import RaiseAsk, SessionsAsk, known_sessions, session_list
from proxy.web.operator.control_state import LiveState
from proxy.web.operator.experiments import ExperimentOrders
from proxy.web.operator.key_orders import RotateAsk, no_such_key
from proxy.web.operator.live.live import LiveStream
from proxy.web.operator.live.traffic import Traffic
from proxy.web.operator.models.model_orders import ModelOrders
from proxy.web.operator.models.model_versions import ModelDiffAsk, model_diff
from proxy.web.operator.models.pictures import images_estimate, images_models
from proxy.web.operator.routing_orders import RoutingOrders
from proxy.web.operator.settings.secrets_orders import SecretsOrders
from proxy.web.operator.settings.settings_orders import Reload, SettingsOrders
from proxy.web.operator.spending.adjusting import AdjustAsk
from proxy.web.operator.spending.analytics import AnalyticsOrders
from proxy.web.operator.spending.anomalies import AnomalyOrders
from proxy.web.operator.spending.explain import ExplainAsk, explain
from proxy.web.operator.spending.forecasts import ForecastOrders
from proxy.web.operator.spending.savings import SavingsOrders
from proxy.web.operator.tenants import tenant_list
from proxy.web.reading import read_ask

Params = dict[str, Any]
Told = Callable[[Params], AsyncGenerator[Struct]]

# whose answers are what was written, and no amounts
_NO_AMOUNTS = frozenset({"settings", "settings history", "audit", "backups", "health"})
_NO = ("0", "false", "no")
_TARGETS = ("name", "key", "request_id", "file")  # members of an order that name what it is about


class Host(Protocol):
    """The daemon the orders are for."""

    reload_now: Reload

    @property
    def listings(self) -> Listings:
        """What the providers list."""

    def whereabouts(self) -> StatusAnswer:
        """Who it is and where it listens."""

    async def tell_steps(self, steps: list[Step], actor: Actor) -> None:
        """Write down and tell what was done to experiments."""

    async def try_provider(self, name: str) -> ProviderTriedAnswer:
        """Ask a provider what costs nothing. Raises `Unknown` where there is none of this name."""


class Orders:
    """`by_name` holds them all; each takes a JSON object and gives an answer; those of `streams` answer piece by piece. They
    raise `Declined`, ValueError, `StoreError`, `ProxyError`, TimeoutError or OSError; `reload` also what refuses a configuration."""

    def __init__(self, state: LiveState, traffic: Traffic, host: Host, trail: Trail) -> None:
        self.state, self.traffic, self.trail, self._host = state, traffic, trail, host
        self.sessions = Sessions()
        trail.told = self._tell_change
        models, settings = ModelOrders(state, host), SettingsOrders(state, host)
        self.by_name: dict[str, Callable[[Params], Awaitable[Answer]]] = {
            "status": self._status,
            "usage": self._usage,
            "explain": self._explain,
            "images_models": self._images_models,
            "images_estimate": self._images_estimate,
            "model_diff": self._model_diff,
            "budgets": self._budgets,
            "adjust": self._adjust,
            "keys": self._keys,
            **dict.fromkeys(("tenants", "tenant"), self._tenants),
            "create": self._create,
            "update": self._update,
            "rotate": self._rotate,
            "revoke": self._revoke,
            "backup": self._backup,
            "sessions": self._sessions,
            "raise_session": self._raise_session,
            "providers": self._providers,
            "test_provider": self._test_provider,
            "end": self._end,
            "reload": self._reloaded,
            "dashboard": self._dashboard,
            "audit": self._audit,
            "audit_verification": self._verified,
        }
        self.by_name |= settings.by_name | models.by_name | SecretsOrders(state, host).by_name
        self.by_name |= RoutingOrders(state, settings.by_name["put_setting"]).by_name | AnalyticsOrders(state).by_name
        self.by_name |= ExperimentOrders(state, host.tell_steps, settings.by_name["put_setting"]).by_name
        self.by_name |= CallOrders(state, traffic).by_name | ForecastOrders(state).by_name
        self.by_name |= AnomalyOrders(state).by_name | SavingsOrders(state).by_name
        self._live = LiveStream(traffic, state.files)
        self.streams: dict[str, Told] = {"sync": models.sync, "events": self._events, "live_stream": self._lines}

    def _tell_change(self, row: AuditRow) -> None:
        self.traffic.feed.events.tell([("change", {"action": row.action, "target": row.target}, row.tenant)])

    def bounds(self) -> Bounds:
        """Those of whoever gives the order."""
        return self.state.admin_api().bounds

    def _events(self, params: Params) -> AsyncGenerator[Struct]:
        return self.traffic.feed.events.follow(params, self.bounds())

    def _lines(self, params: Params) -> AsyncGenerator[Struct]:
        return self._live.lines(params, self.bounds())

    async def give(self, order: str, params: Params) -> Answer:
        """Do it; what changes something is written down."""
        right = RIGHTS[order]
        answer = await self.by_name[order](params)
        if right.verb == "write":
            if not right.writes_itself:
                target = next((str(params[name]) for name in _TARGETS if name in params), right.resource)
                self.trail.note([ACTOR.get().deed(right.action, target, after=shown(params))])
            await self.trail.catch_up()
        return answer if right.resource in _NO_AMOUNTS else self._with_credits(answer)

    def _with_credits(self, answer: Answer) -> Answer:
        """The answer with the operator's own unit beside every amount, where there is one."""
        unit = self.state.admin_api().settings.credits
        if unit is None:
            return answer
        told: dict[str, Any] = with_credits(msgspec.to_builtins(answer), unit)
        return told

    async def tell(self, order: str, params: Params) -> AsyncGenerator[Struct]:
        """Do it, telling piece by piece; what changes something is written down before it begins."""
        right = RIGHTS[order]
        if right.verb == "write":
            self.trail.note([ACTOR.get().deed(right.action, right.resource)])
            await self.trail.catch_up()
        async with aclosing(self.streams[order](params)) as pieces:
            async for piece in pieces:
                yield piece

    def whereabouts(self) -> StatusAnswer:
        """Who the daemon is and where it listens."""
        return self._host.whereabouts()

    async def _status(self, _: Params) -> Answer:
        return self.whereabouts()

    async def _dashboard(self, _: Params) -> Answer:
        settings = self.state.admin_api().settings
        if not settings.features.is_on("dashboard"):
            raise Declined("the dashboard is switched off (`features.dashboard`)")
        where = settings.login.url or self._host.whereabouts().admin_url
        if where.startswith("unix:"):
            raise Declined(
                "the admin port listens on a Unix socket, where no browser finds it; `auth: url:` says where one does"
            )
        actor = ACTOR.get()
        self.trail.note([actor.deed("login.link", actor.role)])
        link = self.sessions.link(Holder(actor.name, actor.role, actor.tenant), time.monotonic())
        return DashboardAnswer(f"{where}/auth/link?token={link}", int(LINK_SECONDS))

    async def _usage(self, params: Params) -> Answer:
        ask = read_ask(params, UsageAsk)
        await self.state.flushed()
        return await asyncio.to_thread(self.state.admin_api().usage, ask)

    async def _explain(self, params: Params) -> Answer:
        return explain(self.state.admin_api(), read_ask(params, ExplainAsk), time.time())

    async def _images_models(self, params: Params) -> Answer:
        await self.state.flushed()
        return await asyncio.to_thread(images_models, self.state.admin_api(), params)

    async def _images_estimate(self, params: Params) -> Answer:
        return images_estimate(self.state.admin_api(), params, time.time())

    async def _model_diff(self, params: Params) -> Answer:
        ask = read_ask(params, ModelDiffAsk)
        return await asyncio.to_thread(model_diff, self.state.admin_api().settings.state_dir, ask)

    async def _budgets(self, _: Params) -> Answer:
        return self.state.admin_api().budgets(time.time())

    async def _adjust(self, params: Params) -> Answer:
        return await self.state.adjust(read_ask(params, AdjustAsk))

    async def _keys(self, _: Params) -> Answer:
        await self.state.flushed()
        admin_api, now = self.state.admin_api(), time.time()
        return await asyncio.to_thread(admin_api.key_list, admin_api.books.state(now), now)

    async def _tenants(self, params: Params) -> Answer:
        await self.state.flushed()
        admin_api, name = self.state.admin_api(), params.get("tenant")
        return await asyncio.to_thread(tenant_list, admin_api, name, admin_api.books.state(time.time()))

    async def _create(self, params: Params) -> Answer:
        from proxy.config.new_key import read_new_key

        asked, bounds = read_new_key(params), self.state.admin_api().bounds
        bounds.refuse_user(asked.uid)
        return await self.state.create(asked.model_copy(update={"tenant": bounds.home(asked.tenant)}))

    async def _update(self, params: Params) -> Answer:
        from proxy.config.new_key import read_key_changes

        name, asked = self._own(params), {name: value for name, value in params.items() if name != "key"}
        bounds = self.state.admin_api().bounds
        if "tenant" in asked and not bounds.has(asked["tenant"]):
            raise bounds.stray()
        bounds.refuse_user(asked.get("uid"))
        return await self.state.update(name, read_key_changes(asked))

    async def _rotate(self, params: Params) -> Answer:
        self._own(params)
        return await self.state.rotate(read_ask(params, RotateAsk))

    async def _revoke(self, params: Params) -> Answer:
        return await self.state.revoke(self._own(params))

    def _own(self, params: Params) -> str:
        """The key an order names. Raises `Unknown` where whoever gives it has none of this name."""
        name = str(params.get("key"))
        admin_api = self.state.admin_api()
        if not admin_api.bounds.has_key(name):
            raise no_such_key(name, [caller for caller in admin_api.keys.each if admin_api.bounds.has_key(caller.name)])
        return name

    async def _backup(self, params: Params) -> Answer:
        target = Path(str(params.get("file", "")))
        if not target.is_absolute():
            raise Declined("`file` says where the copy goes, from the root on: the daemon works in a folder of its own")
        return await self.state.backup(target)

    async def _sessions(self, params: Params) -> Answer:
        await self.state.flushed()
        admin_api, ask = self.state.admin_api(), read_ask(params, SessionsAsk)
        known = await asyncio.to_thread(known_sessions, admin_api, ask)
        return session_list(known, admin_api.books, time.time())

    async def _raise_session(self, params: Params) -> Answer:
        answer = await self.state.raise_session(read_ask(params, RaiseAsk))
        if not answer.budgets:  # nothing was corrected that would say so
            deed = ACTOR.get().deed(RIGHTS["raise_session"].action, answer.session, after={"usd": answer.usd})
            self.trail.note([deed])
        return answer

    async def _providers(self, _: Params) -> Answer:
        return self.traffic.providers(time.monotonic())

    async def _test_provider(self, params: Params) -> Answer:
        return await self._host.try_provider(str(params.get("name")))

    async def _end(self, params: Params) -> Answer:
        return self.traffic.end(str(params.get("request_id")), self.state.admin_api().bounds)

    async def _audit(self, params: Params) -> Answer:
        ask = read_ask(params, AuditAsk, strict=False)
        await self.state.flushed()
        wanted = question(ask, self.state.admin_api().bounds.tenants)
        return audit_answer(ask, await asyncio.to_thread(self.state.files.audit, wanted))

    async def _verified(self, params: Params) -> Answer:
        heads = heads_of(read_ask(params, VerifyAsk))
        return verdict_answer(await asyncio.to_thread(self.state.files.audit_verdict, heads))

    async def _reloaded(self, params: Params) -> Answer:
        is_meant = "yes" in params and str(params["yes"]).lower() not in _NO
        return ReloadedAnswer(await self._host.reload_now(is_meant))
