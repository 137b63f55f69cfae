"""Names in a configuration that lead nowhere, as far as lists of models tell: most are mistyped."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.errors import ModelNotFound
from proxy.exchange.background.kept_lists import kept_catalogue, kept_ids
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.resolution import Names
from proxy.policy.names.vendors import vendor_of
from proxy.policy.use_cases.values import UseCase
from proxy.policy.values import Settings


def loose_names(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each name that no provider is known to serve, and for each pattern of models by an author
    whom nobody knows. A server of one's own that no daemon has asked yet may have any name."""
    if not settings.providers:
        return
    catalogue, listed = kept_catalogue(settings.state_dir), kept_ids(settings.state_dir)
    names = Names(settings, catalogue, listed)
    is_told = all(vendor_of(one) or one.kind == "mock" or one.name in listed for one in settings.providers.values())
    for place, name in _named(settings) if is_told else ():
        try:
            names.look_up(name)
        except ModelNotFound:
            yield f"{place} names no model that a provider is known to serve: `tollkeeper models {name}` says what is near"
    for place, pattern in _patterns(settings):
        if (author := _author(pattern)) and not _is_known(author, settings, catalogue):
            yield f"{place} has models of `{author}/`, and neither a provider nor an author is called that"


def _named(settings: Settings) -> Iterator[tuple[str, str]]:
    for alias, entry in settings.aliases.items():
        steps = (entry.target, *(one.target for one in entry.candidates[1:]), *entry.fallbacks, *_besides(entry.use))
        yield from ((f"models.{alias}", name) for name in dict.fromkeys(steps) if name != alias)
    for experiment in settings.experiments.values():
        yield from ((f"experiments.{experiment.name}", name) for name in (experiment.model, *experiment.targets))
    if settings.default_model is not None:
        yield "default_model", settings.default_model
    for tenant in settings.tenants.values():
        if tenant.default_model is not None:
            yield f"tenants.{tenant.name}.default_model", tenant.default_model


def _besides(use: UseCase | None) -> list[str]:
    """Who else is asked: from a part of the budget on, and about replies."""
    if use is None:
        return []
    judge = None if use.watch is None else use.watch.judge
    return [name for _, name in use.at] + ([] if judge is None else [judge.model])


def _patterns(settings: Settings) -> Iterator[tuple[str, str]]:
    for owners, section in ((settings.callers, "keys"), (settings.tenants.values(), "tenants")):
        yield from ((f"{section}.{one.name}.models", pattern) for one in owners for pattern in one.models)
    for budget in settings.money.budgets:
        if budget.only is not None and budget.only.model is not None:
            yield f"the budget {budget.id}", budget.only.model


def _author(pattern: str) -> str:
    """Whose models a pattern is for; "" where that is left open."""
    author, slash, _ = pattern.lstrip("~").partition("/")
    return author if slash and not set(author) & set("*?[@") else ""


def _is_known(author: str, settings: Settings, catalogue: Catalogue) -> bool:
    return (
        author in settings.providers
        or author in catalogue.authors
        or any(alias.startswith(f"{author}/") for alias in settings.aliases)
    )
