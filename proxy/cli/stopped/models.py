"""Models and what is new of them, on the files of a daemon that does not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from proxy.cli.stopped.state import Params, names_of
from proxy.policy.values import Settings
from proxy.stores.questions.queries import Files
from proxy.web.operator.answers import Answer
from proxy.web.operator.models.model_orders import news_of
from proxy.web.operator.models.model_rows import Known, ModelsAsk
from proxy.web.operator.models.model_versions import ModelDiffAsk, model_diff
from proxy.web.operator.models.models import model_list


def _models(settings: Settings, params: Params) -> Answer:
    return model_list(Known(settings, *names_of(settings)), msgspec.convert(params, ModelsAsk, strict=False))


ORDERS: dict[str, Callable[[Settings, Params], Answer]] = {
    "models": _models,
    "model_news": lambda settings, params: news_of(Files(Path(settings.state_dir)), params, settings.money.zone),
    "model_diff": lambda settings, params: model_diff(settings.state_dir, msgspec.convert(params, ModelDiffAsk)),
}
