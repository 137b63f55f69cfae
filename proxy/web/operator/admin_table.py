"""The admin port's API as a table: its routes, and the OpenAPI document made of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from proxy import __version__
from proxy.policy.routing.values import Decision
from proxy.stores.questions.usage import UsageReport
from proxy.web.operator.access.audit import AuditAnswer, VerdictAnswer
from proxy.web.operator.access.logins import LoginAnswer, LoginBody, WaysAnswer
from proxy.web.operator.admin_api import FILTERS
from proxy.web.operator.admin_query import query_schema
from proxy.web.operator.answers import (
    AdjustedAnswer,
    BudgetsAnswer,
    HealthAnswer,
    KeyChangedAnswer,
    KeyMadeAnswer,
    KeyRevokedAnswer,
    KeyRotatedAnswer,
    KeysAnswer,
    LiveAnswer,
    ProvidersAnswer,
    ProviderTriedAnswer,
    ReloadedAnswer,
    StatusAnswer,
    UsageRow,
)
from proxy.web.operator.bodies import (
    AdjustBody,
    EntriesBody,
    KeyChangesBody,
    NewKeyBody,
    RollbackBody,
    RotateBody,
    SettingBody,
)
from proxy.web.operator.calls.answers_past import PastCallAnswer
from proxy.web.operator.calls.past_calls import PAST_FILTERS, PastCallsAnswer
from proxy.web.operator.calls.sessions import RaiseAsk, RaisedAnswer, SessionsAnswer
from proxy.web.operator.experiments import ExperimentAnswer, ExperimentsAnswer, FinishBody, RampBody, StopBody
from proxy.web.operator.jobs import JobAnswer, JobsAnswer
from proxy.web.operator.live.live import LiveLine
from proxy.web.operator.live.traffic import CutAnswer
from proxy.web.operator.models.model_orders import NewsAnswer, SyncLine
from proxy.web.operator.models.model_rows import ModelsAnswer, ModelsAsk
from proxy.web.operator.models.model_switching import ModelSwitchBody
from proxy.web.operator.route import Route
from proxy.web.operator.routing_orders import DecisionsAnswer, RecommendBody, StrategiesAnswer, StrategyAnswer
from proxy.web.operator.settings.secrets_orders import PrunedAnswer, RotatedAnswer, SecretsAnswer
from proxy.web.operator.settings.stored_settings import (
    SettingAnswer,
    SettingsAnswer,
    SettingsChangedAnswer,
    SettingSetAnswer,
    SettingsHistoryAnswer,
)
from proxy.web.operator.spending.analytics import AnalyticsRow
from proxy.web.operator.spending.analytics_table import ANALYTICS_ROUTES
from proxy.web.operator.spending.simulating import SimulateAnswer, SimulateBody
from proxy.web.operator.tenants import TenantsAnswer
from proxy.web.operator.webhooks import ReplayAnswer, WebhooksAnswer

MODEL_FILTERS = ModelsAsk.__struct_fields__
_REF = "#/components/schemas/{name}"


class Failure(Struct, frozen=True):
    """What stands under `error`."""

    message: str
    type: str
    param: str | None
    code: str


class FailureAnswer(Struct, frozen=True):
    """Every answer that is no 200."""

    error: Failure


ROUTES = (
    Route("GET", "/usage", "usage", "Calls, tokens and cost by day, month, model, key, provider, tenant or session.",
          UsageReport, query=("by", "since", "until", "tz", *FILTERS), fails=(400, 503)),
    Route("GET", "/budgets", "budgets", "Where every budget stands.", BudgetsAnswer),
    Route("POST", "/budgets/{budget}/adjustments", "adjust", "Correct what a budget has spent, and say why.",
          AdjustedAnswer, body=AdjustBody, changes=True, fails=(400, 404, 503)),
    Route("GET", "/keys", "keys", "Every client key: what it may, what it spent. Never a secret.", KeysAnswer,
          fails=(503,)),
    Route("POST", "/keys", "create", "Make a key; its secret is told this once.", KeyMadeAnswer,
          body=NewKeyBody, changes=True, fails=(400, 409, 503)),
    Route("PATCH", "/keys/{key}", "update", "Give a key other terms or another name; what is given replaces what was.",
          KeyChangedAnswer, body=KeyChangesBody, changes=True, fails=(400, 404, 409, 503)),
    Route("POST", "/keys/{key}/rotations", "rotate", "Give a key another secret, told this once.",
          KeyRotatedAnswer, body=RotateBody, changes=True, fails=(400, 404, 409, 503)),
    Route("DELETE", "/keys/{key}", "revoke", "Refuse it from now on.", KeyRevokedAnswer, changes=True, fails=(400, 404, 409, 503)),
    Route("GET", "/sessions", "sessions", "The sessions of agents used last.", SessionsAnswer, fails=(503,)),
    Route("POST", "/sessions/raise", "raise_session", "Let a session spend more, and go on.", RaisedAnswer,
          body=RaiseAsk, changes=True, fails=(400, 404, 503)),
    Route("GET", "/jobs", "jobs", "Everybody's jobs, the newest first, and how far each is.", JobsAnswer,
          query=("limit", "after"), fails=(400, 503)),
    Route("DELETE", "/jobs/{name}", "cancel_job", "Cancel one under way: nothing more of it is sent.", JobAnswer,
          changes=True, fails=(400, 404, 503)),
    Route("GET", "/webhooks", "webhooks", "What clients were told of their jobs.", WebhooksAnswer, query=("limit",),
          fails=(400, 503)),
    Route("POST", "/webhooks/{name}/replay", "replay_webhook", "Send one once more.", ReplayAnswer, changes=True,
          fails=(404, 503)),
    Route("GET", "/tenants", "tenants", "Every tenant: what it says, its keys, where its budgets stand.", TenantsAnswer,
          fails=(503,)),
    Route("GET", "/tenants/{tenant}", "tenant", "One tenant.", TenantsAnswer, fails=(404, 503)),
    Route("GET", "/providers", "providers", "How every provider fares.", ProvidersAnswer),
    Route("POST", "/providers/{name}/test", "test_provider", "Ask it what is free.", ProviderTriedAnswer, changes=True,
          fails=(404,)),
    Route("GET", "/calls", "live", "Calls under way, and the latest that ended.", LiveAnswer),
    Route("GET", "/calls/past", "past_calls", "Past calls, the newest first, a page at a time.", PastCallsAnswer,
          query=("since", "until", "tz", *PAST_FILTERS, "outcome", "before", "limit"), fails=(400, 503)),
    Route("GET", "/calls/{request_id}", "show", "One past call, attempt by attempt, or why it was refused.",
          PastCallAnswer, fails=(404, 503)),
    Route("DELETE", "/calls/{request_id}", "end", "End a call under way; its client is told so.", CutAnswer,
          changes=True, fails=(404,)),
    Route("GET", "/models", "models", "The names clients may send: where they go, what they can do, what they cost.",
          ModelsAnswer, query=MODEL_FILTERS, fails=(400,)),
    Route("PATCH", "/models", "switch_models", "Switch models off, or on again, for everybody or for one key.",
          SettingsChangedAnswer, query=("dry_run",), body=ModelSwitchBody, changes=True, fails=(400, 404, 409, 503)),
    Route("POST", "/models/undo", "undo_switch", "Take the latest switching of models back.", SettingsChangedAnswer,
          query=("dry_run",), changes=True, fails=(400, 404, 409, 503)),
    Route("POST", "/models/sync", "sync", "Fetch every provider's list of models now.", SyncLine, changes=True,
          streams=True),
    Route("POST", "/routing/recommend", "recommend", "Which model a request would go to now, and why.", Decision,
          body=RecommendBody, fails=(400, 404)),
    Route("POST", "/routing/simulate", "simulate", "What the newest calls would have cost under another policy.",
          SimulateAnswer, body=SimulateBody, fails=(400, 404, 503)),
    Route("GET", "/routing/decisions", "decisions", "The latest decisions taken for calls.", DecisionsAnswer),
    Route("GET", "/routing/strategies", "strategies", "Every strategy.", StrategiesAnswer),
    Route("GET", "/routing/strategies/{name}", "strategy", "One strategy, as it would be set.", StrategyAnswer,
          fails=(404,)),
    Route("PUT", "/routing/strategies", "put_strategies", "Set several of one's own, all or none.",
          SettingsChangedAnswer, query=("dry_run",), body=EntriesBody, changes=True, fails=(400, 409, 503)),
    Route("PUT", "/routing/strategies/{name}", "put_strategy", "Set a strategy of one's own, applied at once.",
          SettingSetAnswer, query=("dry_run",), body=SettingBody, changes=True, fails=(400, 404, 409, 412, 503)),
    Route("GET", "/models/changes", "model_news", "What was new in the lists of models, the newest first.", NewsAnswer,
          query=("since",), fails=(400, 503)),
    Route("GET", "/experiments", "experiments", "Where each stands, and what its arms show.", ExperimentsAnswer),
    Route("GET", "/experiments/{name}", "experiment", "One experiment.", ExperimentAnswer, query=("metric",),
          fails=(400, 404)),
    Route("PUT", "/experiments", "put_experiments", "Set several, all or none.", SettingsChangedAnswer,
          query=("dry_run",), body=EntriesBody, changes=True, fails=(400, 409, 503)),
    Route("PUT", "/experiments/{name}", "put_experiment", "Set one, applied at once; answered as it is then.",
          SettingSetAnswer, query=("dry_run",), body=SettingBody, changes=True, fails=(400, 409, 412, 503)),
    Route("POST", "/experiments/{name}/ramp", "ramp_experiment", "Go on: to a share, or to what the ramp has next.",
          ExperimentAnswer, body=RampBody, changes=True, fails=(400, 404, 503)),
    Route("POST", "/experiments/{name}/hold", "hold_experiment", "Stay at the share it has.", ExperimentAnswer,
          body=StopBody, changes=True, fails=(400, 404, 503)),
    Route("POST", "/experiments/{name}/rollback", "rollback_experiment", "Everybody back to the first arm.",
          ExperimentAnswer, body=StopBody, changes=True, fails=(400, 404, 503)),
    Route("POST", "/experiments/{name}/finish", "finish_experiment", "End it: all calls go to one arm.",
          ExperimentAnswer, body=FinishBody, changes=True, fails=(400, 404, 503)),
    Route("GET", "/settings", "settings", "Every entry of the configuration that is in force, and where it stands.",
          SettingsAnswer),
    Route("GET", "/settings/history", "settings_history", "What was changed, the newest first.",
          SettingsHistoryAnswer, query=("section", "name"), fails=(503,)),
    Route("POST", "/settings/rollback", "rollback_setting", "Put an earlier version in force.", SettingsChangedAnswer,
          query=("dry_run",), body=RollbackBody, changes=True, fails=(400, 404, 409, 503)),
    Route("GET", "/settings/{section}", "settings_of", "The entries of one section.", SettingsAnswer, fails=(404,)),
    Route("GET", "/settings/{section}/{name}", "setting", "One entry; its version is the ETag.", SettingAnswer,
          fails=(404,)),
    Route("PUT", "/settings/{section}/{name}", "put_setting", "Set one entry, applied at once; answered as it is then.",
          SettingSetAnswer, query=("dry_run",), body=SettingBody, changes=True, fails=(400, 404, 409, 412, 503)),
    Route("DELETE", "/settings/{section}/{name}", "delete_setting", "Remove one stored entry.",
          SettingSetAnswer, query=("dry_run",), changes=True, fails=(400, 404, 409, 412, 503)),
    Route("GET", "/secrets", "secrets", "The keys that stored secrets hang on, and what cannot be opened.", SecretsAnswer,
          fails=(503,)),
    Route("POST", "/secrets/rotate", "rotate_secrets", "Put another master key first, and all that is stored under it.",
          RotatedAnswer, query=("dry_run",), changes=True, fails=(503,)),
    Route("POST", "/secrets/prune", "prune_secrets", "Take out the master keys that nothing needs any more.", PrunedAnswer,
          query=("dry_run",), changes=True, fails=(503,)),
    Route("GET", "/audit", "audit", "What operators did, the newest first: who, what, when, from where and why.",
          AuditAnswer, query=("since", "until", "tz", "actor", "action", "target", "before", "limit"), fails=(400, 503)),
    Route("GET", "/audit/verification", "audit_verification", "Whether the audit is whole: no row changed, none removed.",
          VerdictAnswer, fails=(503,)),
    Route("GET", "/live", "live_stream", "Calls under way and calls that end, as it happens; goes on behind Last-Event-ID.",
          LiveLine, query=("after",), fails=(503,), streams=True),
    Route("GET", "/status", "status", "Which version this is, and where it listens.", StatusAnswer),
    Route("POST", "/reload", "reload", "Read the configuration again: taken on whole, or not at all.",
          ReloadedAnswer, query=("yes",), changes=True, fails=(400, 409)),
    *ANALYTICS_ROUTES,
)  # fmt: skip

_REASONS = {
    400: "What was asked cannot be done.",
    401: "The admin token is missing or wrong.",
    403: "The Host or Origin header is not let in, or the role may not do this.",
    404: "There is no such thing.",
    409: "The configuration was not taken on, or what was to be changed stands in its file; nothing has changed.",
    412: "It has another version by now than If-Match says.",
    502: "The provider of identity cannot be reached.",
    503: "The ledger cannot be used now.",
}


def openapi() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    types = [*{t for route in ROUTES for t in (route.answer, route.body) if t}, UsageRow, AnalyticsRow, HealthAnswer, FailureAnswer,
             LoginAnswer, LoginBody, WaysAnswer]  # fmt: skip
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    for report, row in (("UsageReport", "UsageRow"), ("AnalyticsReport", "AnalyticsRow")):
        schemas[report]["properties"]["rows"]["items"] = {"$ref": _REF.format(name=row)}
        schemas[report]["properties"]["total"] = {"$ref": _REF.format(name=row)}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tollkeeper's admin API", "version": __version__, "license": {"name": "MIT"}},
        "paths": {**_plain_paths(), **paths},
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route) -> dict[str, Any]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
    parameters += [{"name": n, "in": "query", "schema": query_schema(route.path, n)} for n in route.query]
    done = _content("Done.", route.answer.__name__)
    if route.streams:
        done = {"description": "As it is done.", "content": {"text/event-stream": done["content"]["application/json"]}}
    described: dict[str, Any] = {
        "operationId": route.order,
        "summary": route.summary,
        "security": [{"token": []}] if route.changes else [{}, {"token": []}],
        "responses": {"200": done, **_failures(400, 401, 403, *route.fails)},
    }
    if parameters:
        described["parameters"] = parameters
    if route.body is not None:
        described["requestBody"] = {"required": True, **_content("", route.body.__name__)}
    return described


def _plain_paths() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    ready = {"200": _content("Calls are taken.", "HealthAnswer"), "503": _content("They are not.", "HealthAnswer")}
    return {
        "/healthz": {"get": _plain("health", {"200": _content("The process lives.", "HealthAnswer")})},
        "/readyz": {"get": _plain("ready", ready)},
        "/metrics": {"get": _plain("metrics", {"200": {"description": "For Prometheus.", "content": text}})},
        "/openapi.json": {"get": _plain("openapi", {"200": {"description": "This document."}})},
        **_login_paths(),
    }


def _login_paths() -> dict[str, Any]:
    away = {"303": {"description": "To the provider of identity."}, **_failures(400, 404, 502)}
    back, done = _content("Logged in; `page_token` is told this once.", "LoginAnswer"), _failures(401, 403, 404)
    return {
        "/auth/login": {"get": _plain("login", away)},
        "/auth/callback": {"get": _plain("login_done", {"200": back, **done})},
        "/auth/link": {"get": _plain("login_by_link", {"303": {"description": "To the dashboard."}, **_failures(401)})},
        "/auth/ways": {"get": _plain("login_ways", {"200": _content("How one can log in.", "WaysAnswer")})},
        "/auth/session": {
            "get": _plain("who", {"200": _content("Who asks.", "LoginAnswer"), **_failures(401)}),
            "post": {
                **_plain("login_by_token", {"200": back, **_failures(400, 401)}),
                "requestBody": {"required": True, **_content("", "LoginBody")},
            },
        },
        "/auth/logout": {"post": _plain("logout", {"200": _content("Logged out.", "LoginAnswer"), **_failures(401)})},
    }


def _plain(name: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "responses": responses}


def _failures(*statuses: int) -> dict[str, Any]:
    return {str(status): _content(_REASONS[status], "FailureAnswer") for status in statuses}


def _content(description: str, name: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}
    return {"description": description, "content": content} if description else {"content": content}


def find_route(method: str, raw_path: str) -> tuple[Route | None, dict[str, str]]:
    """The row this goes to; None for what is only read."""
    segments = [unquote(part) for part in raw_path.split("/")[1:]]
    for route in ROUTES:
        if (params := route.match(method, segments)) is not None:
            return route, params
    return None, {}
