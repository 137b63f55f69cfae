"""The admin port: is it alive, is it ready, what does it measure; the operator's questions and orders over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse

from proxy.config.problems import ConfigProblems
from proxy.errors import (
    ConfigRefused,
    DefinedInFile,
    InternalError,
    InvalidValue,
    LedgerUnusable,
    NothingThere,
    ProxyError,
    UnknownEndpoint,
    VersionChanged,
)
from proxy.stores.failures import KeyExists, StoreError
from proxy.web.body import read_body
from proxy.web.errors import SERVER_NAME, error_response
from proxy.web.faults import MethodNotSupported
from proxy.web.guard import ALLOWED_METHODS
from proxy.web.operator.access.actor import ACTOR
from proxy.web.operator.access.admin_auth import ANYBODY, AdminAuth, allow
from proxy.web.operator.access.logins import LOGIN_PATHS, Logins, refused
from proxy.web.operator.access.rights import PAGES, RIGHTS, Right, right_of
from proxy.web.operator.admin_api import Declined, InFile, Unknown
from proxy.web.operator.admin_table import find_route, openapi
from proxy.web.operator.answers import HealthAnswer, VerboseHealthAnswer
from proxy.web.operator.bodies import EntriesBody, SettingBody
from proxy.web.operator.control import under_way
from proxy.web.operator.live.events import Happening
from proxy.web.operator.models.pictures import drawing_health
from proxy.web.operator.orders import Orders
from proxy.web.operator.route import Route
from proxy.web.operator.routing_orders import RecommendBody
from proxy.web.operator.settings.settings_orders import ReloadRefused
from proxy.web.operator.settings.stored_settings import Changed, SettingAnswer, SettingSetAnswer
from proxy.web.operator.spending.analytics import as_csv
from proxy.web.operator.timestamps import read_query, usage_params
from proxy.web.reading import in_words, member_of, refuse_twice

log = structlog.get_logger()

_MOST_BODY = 2**20


# of moments nobody asks for a zone
_SINCE = ("audit", "past_calls", "reconciliation", "savings", "what_if")


class Page(Protocol):
    """What makes /metrics."""

    async def get(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type."""


class Admin:
    """Answers the admin port. `problems` names what keeps the daemon from being ready."""

    def __init__(self, auth: AdminAuth, problems: Callable[[], list[str]], metrics: Page, orders: Orders) -> None:
        self.auth = auth
        self._metrics = metrics
        self._problems = problems
        self._orders = orders
        self._logins = Logins(auth, orders.trail)

    async def answer(self, request: BaseRequest) -> StreamResponse:
        """One request."""
        with under_way(request):
            try:
                return await self._answer(request)
            except ProxyError as error:
                await self._tell_failed()
                return refused(request, error)
            except ConnectionError:  # whoever asked has gone
                raise
            except Exception:
                log.exception("crashed", request_id="", path=request.path)
                return error_response(InternalError("A bug in Tollkeeper; its log has the details."))

    async def _tell_failed(self) -> None:
        """Write down who came with a wrong token."""
        failed, self.auth.failed = self.auth.failed, []
        if failed:
            self._orders.trail.note(failed)
            await self._orders.trail.catch_up()

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        method = "GET" if request.method == "HEAD" else request.method
        if (request.method, request.path) in LOGIN_PATHS:
            self.auth.check_origin(request)
            return await self._logins.answer(request)
        if method == "GET" and (request.path == "/" or request.path.startswith("/assets/")):
            return await self._page(request)
        route, params = find_route(method, request.raw_path.partition("?")[0])
        actor = self.auth.check(request, _right(method, request.path, route, params))
        ACTOR.set(actor)
        if route is not None:
            if route.streams and request.method == "HEAD":
                return Response(content_type="text/event-stream", headers=dict([SERVER_NAME]))
            asked = {**params, **await _given(request, route)}
            if route.streams:
                return await _streamed(request, self.auth.told(request, actor, self._orders.tell(route.order, asked)))
            wants_table = route.tables and _wants_table(request, asked.pop("format", ""))
            if actor.name != ANYBODY:
                allow(actor, right_of(route.order, asked))  # the body may have told what it is about
            answer = await self._order(route, asked)
            if wants_table:
                return Response(text=as_csv(answer), content_type="text/csv", headers=dict([SERVER_NAME]))
            return _json(200, answer, {"ETag": f'"{answer.version}"'} if isinstance(answer, SettingAnswer) else {})
        if method != "GET":
            raise _unanswered(request.raw_path.partition("?")[0])
        return await self._read(request)

    async def _page(self, request: BaseRequest) -> StreamResponse:
        """The dashboard and its files, for everybody: what it shows, it asks for."""
        from proxy.web.operator.dashboard import page  # only where somebody looks: it costs start-up time

        self.auth.check_origin(request)
        if not self._orders.state.admin_api().settings.features.is_on("dashboard"):
            raise UnknownEndpoint("The dashboard is switched off here (`features.dashboard`).")
        found = await asyncio.to_thread(page, request, self._orders.whereabouts().url)
        if found is None:
            raise UnknownEndpoint("The dashboard has no such file; load the page again.")
        return found

    async def _read(self, request: BaseRequest) -> StreamResponse:
        match request.path:
            case "/healthz":
                return _json(200, HealthAnswer("ok"))
            case "/readyz":
                return self._ready(is_verbose="verbose" in request.query)
            case "/metrics":
                page, content_type = await self._metrics.get(request.headers.get("Accept", ""))
                return Response(body=page, headers=dict([SERVER_NAME, ("Content-Type", content_type)]))
            case "/openapi.json":
                return _json(200, openapi())
        raise _unanswered(request.raw_path.partition("?")[0])

    def _ready(self, *, is_verbose: bool) -> Response:
        problems = self._problems()
        status, word = (503, "not ready") if problems else (200, "ok")
        if not is_verbose:
            return _json(status, HealthAnswer(word, problems))
        fare = self._orders.traffic.providers(time.monotonic()).providers
        return _json(status, VerboseHealthAnswer(word, problems, drawing_health(self._orders.state.admin_api(), fare)))

    async def _order(self, route: Route, params: dict[str, Any]) -> Any:
        """Do it; whatever goes wrong becomes an error with a status."""
        try:
            return await self._orders.give(route.order, self._converted(route, params))
        except Unknown as error:
            raise NothingThere(_sentence(error)) from None
        except InFile as error:
            raise DefinedInFile(_sentence(error)) from None
        except Changed as error:
            raise VersionChanged(_sentence(error)) from None
        except (ConfigProblems, ReloadRefused) as error:
            raise ConfigRefused(_sentence(error)) from None
        except (Declined, KeyExists, ValueError, msgspec.ValidationError) as error:
            raise InvalidValue(_sentence(error), param=member_of(str(error), route.members | params.keys())) from None
        except (TimeoutError, StoreError, OSError) as error:
            raise LedgerUnusable(_sentence(error)) from None

    def _converted(self, route: Route, params: dict[str, Any]) -> dict[str, Any]:
        """The days of a query as moments of the configuration's zone, what rows stand for as a list."""
        for name in ("takes", "makes"):
            if isinstance(params.get(name), str):
                params[name] = params[name].split(",")
        if route.order not in ("usage", *_SINCE) and not route.tables:
            return params
        found = usage_params(params, self._orders.state.zone(params.get("tz")))
        if route.order in _SINCE:
            found.pop("tz", None)
        return found


async def _streamed(request: BaseRequest, lines: AsyncGenerator[Any]) -> StreamResponse:
    """As server-sent events, each named as its member `event` says. What goes wrong before the first has a status."""
    headers = {**dict([SERVER_NAME]), "Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    response = StreamResponse(headers=headers)
    async with contextlib.aclosing(lines):
        line = await anext(lines, None)
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            while line is not None:
                await response.write(line.as_event() if isinstance(line, Happening) else _event(line))
                line = await anext(lines, None)
    return response


def _event(line: Any) -> bytes:
    """One, with its id where it has any."""
    place = f"id: {line.id}\n" if getattr(line, "id", "") else ""
    return f"{place}event: {line.event}\ndata: {msgspec.json.encode(line).decode()}\n\n".encode()


def _wants_table(request: BaseRequest, asked: str) -> bool:
    """Whether the query, or else the Accept header, asks for comma-separated values."""
    if asked not in ("", "json", "csv"):
        raise InvalidValue("format must be json or csv.", param="format")
    return asked == "csv" or (not asked and request.headers.get("Accept", "").startswith("text/csv"))


def _unanswered(path: str) -> UnknownEndpoint | MethodNotSupported:
    """What a path says to a method that it does not take."""
    is_read = path in ("/", "/healthz", "/readyz", *PAGES) or find_route("GET", path)[0]
    read = ("GET", "HEAD") if is_read else ()
    takes = [
        name for name in ALLOWED_METHODS if name in read or (name, path) in LOGIN_PATHS or find_route(name, path)[0]
    ]
    if takes:
        return MethodNotSupported("The admin port does not take this method at this path.", takes)
    return UnknownEndpoint("The admin port has no such path; /openapi.json lists them. The API is on the data port.")


def _right(method: str, path: str, route: Route | None, params: dict[str, str]) -> Right:
    """What asking this takes."""
    if route is not None:
        return right_of(route.order, params)
    return PAGES.get(path, PAGES["/openapi.json"]) if method == "GET" else RIGHTS["reload"]


async def _given(request: BaseRequest, route: Route) -> dict[str, Any]:
    """The parameters of the query, those of the body, and the version that If-Match wants."""
    given: dict[str, Any] = read_query(request.raw_path.partition("?")[2], keep_blank=route.changes)
    if unknown := given.keys() - set(route.query):
        known = ", ".join(route.query) or "none"
        raise InvalidValue(f"The query holds something unknown here; known are: {known}.", param=min(unknown)[:100])
    if "dry_run" in given:
        given["rehearse"] = given.pop("dry_run").lower() not in ("0", "false", "no")
    if route.answer is SettingSetAnswer and (version := _version(request.headers)) is not None:
        given["version"] = version
    if (place := request.headers.get("Last-Event-ID")) is not None and route.streams:
        given["after"] = place
    if route.body is None:
        return given
    raw = await read_body(request, _MOST_BODY)
    try:
        refuse_twice(raw or b"{}")
        if route.body is RecommendBody:  # an ordinary request, with members of ours
            return {**given, **msgspec.json.decode(raw, type=dict[str, Any])}
        read = _BODIES.get(route.body)
        body = msgspec.json.decode(raw or b"{}", type=route.body) if read is None else read(raw)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        wrong = in_words(error, route.body)
        raise InvalidValue(f"The body must be a JSON object: {wrong}.", param=member_of(wrong)) from None
    return {**given, **msgspec.to_builtins(body)}


def _setting(raw: bytes) -> SettingBody:
    """The entry's value, bare or as the member `value`: no entry of the configuration has one of that name."""
    found = msgspec.json.decode(raw)
    if isinstance(found, dict) and "value" in found:
        return msgspec.convert(found, SettingBody)
    return SettingBody(found)


def _entries(raw: bytes) -> EntriesBody:
    """The entries by name, bare or as the member `entries`."""
    found = msgspec.json.decode(raw, type=dict[str, Any])
    if isinstance(found.get("entries"), dict) and found.keys() <= {"entries", "reason"}:
        return msgspec.convert(found, EntriesBody)
    return EntriesBody(found)


_BODIES: Mapping[type, Callable[[bytes], Any]] = {SettingBody: _setting, EntriesBody: _entries}


def _version(headers: Mapping[str, str]) -> int | None:
    """The version that the ETag in If-Match stands for; 0, there is to be none yet, where If-None-Match says so."""
    tag = "0" if headers.get("If-None-Match") == "*" else headers.get("If-Match")
    text = (tag or "").strip().removeprefix("W/").strip('"')
    if tag is not None and not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidValue('If-Match must be an ETag of this entry, such as "3".', param="If-Match")
    return None if tag is None else int(text)


def _sentence(error: object) -> str:
    text = str(error).strip() or "it did not answer in time"
    is_word = text.partition(" ")[0].isalpha()  # else a name, which keeps its spelling
    return (text[0].upper() + text[1:] if is_word else text) + ("" if text.endswith((".", "?", "!")) else ".")


def _json(status: int, body: object, more: Mapping[str, str] = MappingProxyType({})) -> Response:
    headers = {**dict([SERVER_NAME]), **more}
    return Response(status=status, headers=headers, body=msgspec.json.encode(body), content_type="application/json")
