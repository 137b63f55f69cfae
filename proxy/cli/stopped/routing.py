"""Where calls would go, what they would cost, and what would cost less, on the files of a daemon that does not run."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from proxy.cli.stopped.experiments import trials_of
from proxy.cli.stopped.state import Params, admin_api_of
from proxy.policy.values import Settings
from proxy.web.operator.answers import Answer
from proxy.web.operator.models.pictures import images_estimate, images_models
from proxy.web.operator.routing_orders import recommend
from proxy.web.operator.spending.explain import ExplainAsk, explain
from proxy.web.operator.spending.reconciliation import reconciliation
from proxy.web.operator.spending.savings import savings, what_if
from proxy.web.operator.spending.simulating import simulation

ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {
    "explain": lambda settings, params: explain(
        msgspec.structs.replace(admin_api_of(settings), trials=trials_of(settings)),
        msgspec.convert(params, ExplainAsk),
        time.time(),
    ),
    "images_models": lambda settings, params: images_models(admin_api_of(settings), params),
    "images_estimate": lambda settings, params: images_estimate(admin_api_of(settings), params, time.time()),
    "reconciliation": lambda settings, params: reconciliation(admin_api_of(settings), params, time.time()),
    "savings": lambda settings, params: savings(admin_api_of(settings), params, time.time()),
    "what_if": lambda settings, params: what_if(admin_api_of(settings), params, time.time()),
    "simulate": lambda settings, params: simulation(admin_api_of(settings), params)(),
    "recommend": lambda settings, params: recommend(admin_api_of(settings), params),
}
