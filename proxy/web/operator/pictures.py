"""What operators ask about pictures: what some would cost, and which models draw them."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.errors import ModelNotFound
from proxy.policy.money.account import Standing
from proxy.policy.money.budgets import GLOBAL, Subject, key_scope
from proxy.policy.tongues import TONGUES
from proxy.policy.values import Plan, Provider
from proxy.web.operator.answers import DrawingAnswer, ProviderAnswer
from proxy.web.operator.desk import Desk, Unknown
from proxy.web.operator.explain import caller_of
from proxy.web.pictures import Lists, ModelsAsk, estimate, image_models


def lists_of(desk: Desk) -> Lists:
    """What answers are made from."""
    return Lists(desk.names, desk.prices, desk.settings.providers)


def images_estimate(desk: Desk, params: dict[str, Any], now: float) -> dict[str, Any]:
    """Rows as the data port has them, for the key that is named; without one, under the budgets of everything together."""
    asked = {name: value for name, value in params.items() if name != "key"}
    caller = caller_of(desk, params.get("key"))
    scopes = (key_scope(caller.name), GLOBAL) if caller.name else (GLOBAL,)

    def standings(plan: Plan) -> list[Standing]:
        target = plan.targets[0]
        names = (plan.label, target.model, f"{target.provider}/{target.model}")
        under = desk.under(scopes, Subject(caller.name, target.provider, names))
        return list(desk.books.standings(under, now))

    try:
        return estimate(asked, lists_of(desk), caller, standings)
    except ModelNotFound as error:
        raise Unknown(error.message) from None


def images_models(desk: Desk, params: dict[str, Any]) -> dict[str, Any]:
    """The models that draw."""
    return image_models(msgspec.convert(params, ModelsAsk), lists_of(desk), desk.files.picture_times())


def drawing_health(desk: Desk, providers: list[ProviderAnswer]) -> list[DrawingAnswer]:
    """How each provider fares that can draw."""
    found = []
    for answer in providers:
        provider = desk.settings.providers.get(answer.provider)
        if provider is None or (by := draws_by(provider)) is None:
            continue
        models = len(desk.prices.images.models) if provider.kind == "openrouter" else None
        alone = [
            left.model for left in answer.models if provider.kind != "openrouter" or desk.prices.images.get(left.model)
        ]
        found.append(DrawingAnswer(answer.provider, by, models, answer.breaker, alone))
    return found


def draws_by(provider: Provider) -> str | None:
    """How a provider is asked for pictures, in words; None where it cannot be."""
    tongue = TONGUES["images/generations"]
    if provider.speaks is None or tongue in provider.speaks:
        return "OpenAI's images API" if provider.speaks is not None else None
    if provider.kind == "openrouter":
        return "OpenRouter's images API, and chat"
    return None
