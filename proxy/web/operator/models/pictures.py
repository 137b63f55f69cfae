"""What operators ask about pictures: what some would cost, and which models draw them."""

from __future__ import annotations

from typing import Any

from proxy.errors import ModelNotFound
from proxy.policy.apis import APIS
from proxy.policy.money.account import Standing
from proxy.policy.money.budgets import GLOBAL, Subject, key_scope
from proxy.policy.values import Plan, Provider
from proxy.web.operator.admin_api import AdminApi, Unknown
from proxy.web.operator.answers import DrawingAnswer, ProviderAnswer
from proxy.web.operator.spending.explain import caller_of
from proxy.web.pictures import Lists, ModelsAsk, estimate, image_models
from proxy.web.reading import read_ask


def lists_of(admin_api: AdminApi) -> Lists:
    """What answers are made from."""
    return Lists(admin_api.names, admin_api.prices, admin_api.settings.providers)


def images_estimate(admin_api: AdminApi, params: dict[str, Any], now: float) -> dict[str, Any]:
    """Rows as the data port has them, for the key that is named; without one, under the budgets of everything together."""
    asked = {name: value for name, value in params.items() if name != "key"}
    caller = caller_of(admin_api, params.get("key"))
    scopes = (key_scope(caller.name), GLOBAL) if caller.name else (GLOBAL,)

    def standings(plan: Plan) -> list[Standing]:
        target = plan.targets[0]
        names = (plan.label, target.model, f"{target.provider}/{target.model}")
        under = admin_api.under(scopes, Subject(caller.name, target.provider, names))
        return list(admin_api.books.standings(under, now))

    try:
        return estimate(asked, lists_of(admin_api), caller, standings)
    except ModelNotFound as error:
        raise Unknown(error.message) from None


def images_models(admin_api: AdminApi, params: dict[str, Any]) -> dict[str, Any]:
    """The models that draw."""
    return image_models(read_ask(params, ModelsAsk), lists_of(admin_api), admin_api.files.picture_times())


def drawing_health(admin_api: AdminApi, providers: list[ProviderAnswer]) -> list[DrawingAnswer]:
    """How each provider fares that can draw."""
    found = []
    for answer in providers:
        provider = admin_api.settings.providers.get(answer.provider)
        if provider is None or (by := draws_by(provider)) is None:
            continue
        models = len(admin_api.prices.images.models) if provider.kind == "openrouter" else None
        alone = [
            left.model
            for left in answer.models
            if provider.kind != "openrouter" or admin_api.prices.images.get(left.model)
        ]
        found.append(DrawingAnswer(answer.provider, by, models, answer.breaker, alone))
    return found


def draws_by(provider: Provider) -> str | None:
    """How a provider is asked for pictures, in words; None where it cannot be."""
    api = APIS["images/generations"]
    if provider.speaks is None or api in provider.speaks:
        return "OpenAI's images API" if provider.speaks is not None else None
    if provider.kind == "openrouter":
        return "OpenRouter's images API, and chat"
    return None
