"""Tells of what is new in the providers' lists of models: log, ledger, and webhooks where an alias is concerned."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import structlog
from msgspec.structs import asdict

from proxy.alerts.budgets import Alerts
from proxy.errors import ModelNotFound
from proxy.policy.names.news import Change
from proxy.policy.values import Target
from proxy.stores.model_news import News, keep_news
from proxy.web.client.parts import Parts
from proxy.web.operator.admin_api import instant

log = structlog.get_logger()

TYPE = "model.changed"


class ModelNews:
    """Of one configuration with these aliases."""

    def __init__(self, parts: Parts, aliases: Iterable[str], alerts: Alerts) -> None:
        self._parts = parts
        self._aliases = aliases
        self._alerts = alerts

    def __call__(self, changes: tuple[Change, ...]) -> None:
        """One event each; one message for each that an alias leads to."""
        whose, at_ms = self._by_target(), int(time.time() * 1000)
        news = [
            News(at_ms, **asdict(change), aliases=tuple(whose.get(Target(change.provider, change.model), ())))
            for change in changes
        ]
        for one in news:
            if one.aliases:
                log.warning("model_changed", **news_data(one))
            else:
                log.info("model_changed", **news_data(one))
        told = [news_data(one) for one in news if one.aliases]
        self._alerts.tell(TYPE, told, partial(keep_news, news=news))

    def _by_target(self) -> dict[Target, list[str]]:
        """Which aliases lead where, fallbacks among it."""
        names, found = self._parts.names, dict[Target, list[str]]()
        for alias in self._aliases:
            try:
                targets = names.look_up(alias).plan.targets
            except ModelNotFound:
                continue
            for target in targets:
                found.setdefault(target, []).append(alias)
        return found


def news_data(news: News) -> dict[str, Any]:
    """What log, webhooks and answers say of it."""
    data = {name: value for name, value in asdict(news).items() if name != "at_ms"}
    return {**data, "aliases": list(news.aliases), "seen_at": instant(news.at_ms)}
