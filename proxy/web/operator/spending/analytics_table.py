"""The paths of the admin port that analyse what was used, and alert rules over that."""

from __future__ import annotations

from proxy.stores.questions.analytics import AnalyticsReport
from proxy.web.operator.alerting import (
    AlertRuleAnswer,
    AlertRulesAnswer,
    AlertTestBody,
    AlertTriedAnswer,
    RulesFileAnswer,
)
from proxy.web.operator.bodies import EntriesBody, SettingBody
from proxy.web.operator.live.events import Happening
from proxy.web.operator.route import Route
from proxy.web.operator.settings.stored_settings import SettingsChangedAnswer, SettingSetAnswer
from proxy.web.operator.spending.analytics import ANALYTICS_FILTERS
from proxy.web.operator.spending.anomalies import AnomaliesAnswer
from proxy.web.operator.spending.forecasts import ForecastAnswer
from proxy.web.operator.spending.reconciliation import ReconciliationAnswer
from proxy.web.operator.spending.savings import SavingsAnswer, WhatIfAnswer

_QUERY = ("since", "until", "interval", "by", "tz", *ANALYTICS_FILTERS, "format")


def _analytics(name: str, first: str) -> Route:
    summary = f"Calls, tokens, cost and times by time and by names; of an interval, {first} first."
    return Route("GET", f"/analytics/{name}", f"analytics_{name}", summary, AnalyticsReport, query=_QUERY,
                 fails=(400, 503), tables=True)  # fmt: skip


ANALYTICS_ROUTES = (
    _analytics("usage", "what has most calls"),
    _analytics("performance", "what took longest"),
    _analytics("costs", "what cost most"),
    Route("GET", "/forecast", "forecast", "Where budgets will stand when they start anew, and when they run out.",
          ForecastAnswer, fails=(503,)),
    Route("GET", "/anomalies", "anomalies", "What is unusual since the hour before this one, and why.",
          AnomaliesAnswer, fails=(503,)),
    Route("GET", "/savings", "savings", "What would have cost less, by how much, how sure that is, and how to try it.",
          SavingsAnswer, query=("since",), fails=(400, 503)),
    Route("GET", "/what-if", "what_if", "What past calls would have cost at the price of another model.",
          WhatIfAnswer, query=("model", "since", "only"), fails=(400, 404, 503)),
    Route("GET", "/reconciliation", "reconciliation", "What providers billed, beside what the ledger has, day by day.",
          ReconciliationAnswer, query=("since",), fails=(400, 503)),
    Route("POST", "/reconciliation", "reconcile", "Read every bill now; answered as GET is.", ReconciliationAnswer,
          changes=True, fails=(503,)),
    Route("GET", "/alerts/rules", "alert_rules", "Every alert rule: what it says, what it measured last, where it stands.",
          AlertRulesAnswer),
    Route("GET", "/alerts/rules/{name}", "alert_rule", "One alert rule.", AlertRuleAnswer, fails=(404,)),
    Route("PUT", "/alerts/rules", "put_alert_rules", "Set several, all or none.", SettingsChangedAnswer,
          query=("dry_run",), body=EntriesBody, changes=True, fails=(400, 409, 503)),
    Route("PUT", "/alerts/rules/{name}", "put_alert_rule", "Set one, looked at at once; answered as it is then.",
          SettingSetAnswer, query=("dry_run",), body=SettingBody, changes=True, fails=(400, 409, 412, 503)),
    Route("POST", "/alerts/rules/{name}/test", "test_alert_rule", "Measure it now, and send a test to those it tells.",
          AlertTriedAnswer, body=AlertTestBody, changes=True, fails=(400, 404, 503)),
    Route("GET", "/alerts/prometheus", "alert_rules_file", "The same rules as a file for Prometheus.", RulesFileAnswer),
    Route("GET", "/events", "events", "What happens, as it happens: calls, refusals, alerts, changes.", Happening,
          streams=True),
)  # fmt: skip
