"""The paths of the admin port that analyse what was used."""

from __future__ import annotations

from proxy.stores.analytics import AnalyticsReport
from proxy.web.operator.analytics import ANALYTICS_FILTERS
from proxy.web.operator.anomalies import AnomaliesAnswer
from proxy.web.operator.events import Happening
from proxy.web.operator.forecasts import ForecastAnswer
from proxy.web.operator.reconciliation import ReconciliationAnswer
from proxy.web.operator.route import Route

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
    Route("GET", "/reconciliation", "reconciliation", "What providers billed, beside what the ledger has, day by day.",
          ReconciliationAnswer, query=("since",), fails=(400, 503)),
    Route("POST", "/reconciliation", "reconcile", "Read every bill now; answered as GET is.", ReconciliationAnswer,
          changes=True, fails=(503,)),
    Route("GET", "/events", "events", "What happens, as it happens: calls, refusals, alerts, changes.", Happening,
          streams=True),
)  # fmt: skip
