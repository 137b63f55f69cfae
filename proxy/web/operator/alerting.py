"""Alert rules as operators see and try them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from proxy.policy.alerting.prometheus import duration, rules_file
from proxy.policy.alerting.rules import MEASURES, AlertRule
from proxy.policy.alerting.standing import Standing
from proxy.web.operator.admin_api import Unknown, instant
from proxy.web.operator.answers import Answer

Params = dict[str, Any]
Values = Mapping[str, float | None]
_MOST_SHOWN = 100
_FIRST = {"firing": 0, "pending": 1, "ok": 2}


class WatchedAnswer(Struct, frozen=True):
    """One of those that a rule watches (`subject` "" all together): ok, pending or firing, since when; `value` is what was
    measured last, null where there was nothing to measure."""

    subject: str
    state: str
    value: float | None
    since: str | None


class AlertRuleAnswer(Struct, frozen=True):
    """A rule as it stands in the settings, and where it stands: the worst of what it watches, `off`, or `unknown` before the
    first look. `watched` are at most a hundred, the worst first."""

    name: str
    rule: dict[str, Any]
    unit: str
    state: str
    watched: list[WatchedAnswer]


class MeasureAnswer(Struct, frozen=True):
    """A number that rules may be about. `watches`: what it is measured of, each by itself; null where a rule says that.
    `only`: the names that may narrow it."""

    metric: str
    unit: str
    says: str
    watches: str | None = None
    only: list[str] = []


class AlertRulesAnswer(Struct, frozen=True):
    """All of them, and what they may be about."""

    rules: list[AlertRuleAnswer]
    measures: list[MeasureAnswer]


class AlertTestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Without `notify` it is only measured."""

    notify: bool = True


class Sent(Struct, frozen=True):
    """What became of a test at one of those who are told; `host` is what may be shown of the address."""

    name: str
    host: str
    delivered: bool
    reason: str


class AlertTriedAnswer(Struct, frozen=True):
    """What a rule measures now, whether that passes its limit, and what became of the tests that were sent."""

    name: str
    unit: str
    watched: list[WatchedAnswer]
    passed: bool
    sent: list[Sent]


class RulesFileAnswer(Struct, frozen=True):
    """The text of a file for `rule_files:` of Prometheus."""

    rules: str


class Found(Struct, frozen=True):
    """What was measured, by what is watched ("" all together), and what explains it where more is known than the number."""

    values: Values
    why: Mapping[str, str] = {}


class Rules(Protocol):
    """Whoever looks at them."""

    rules: dict[str, AlertRule]
    values: dict[str, Values]
    standings: dict[str, dict[str, Standing]]

    async def measure(self, rule: AlertRule) -> Found:
        """What it is about, now."""

    async def try_out(self, rule: AlertRule, value: float | None) -> list[Sent]:
        """Send a test."""


def notice_data(rule: AlertRule, subject: str, value: float | None, why: str | None = None) -> dict[str, Any]:
    """What log, events and webhooks say of a rule."""
    return {
        "rule": rule.name,
        "metric": rule.metric,
        "unit": rule.measure.unit,
        "value": value,
        "limit": rule.limit,
        "is_above": rule.above is not None,
        "over": None if rule.measure.watches else duration(rule.over_seconds),
        "only": rule.only,
        "each": rule.each or rule.measure.watches or None,
        "subject": subject or None,
        "severity": rule.severity,
        "why": why,
    }


def rule_said(rule: AlertRule) -> dict[str, Any]:
    """As the settings have it, all that is not as usual."""
    said, usual = asdict(rule), asdict(AlertRule("", rule.metric))
    seconds = {"over_seconds": "over", "for_seconds": "lasts", "every_seconds": "every"}
    found = {
        name: value for name, value in said.items() if name in ("metric", "above", "below") or value != usual[name]
    }
    found = {seconds.get(n, n): duration(v) if n in seconds else v for n, v in found.items() if v is not None}
    return {name: value for name, value in found.items() if name != "name"}


def rules_answer(rules: Mapping[str, AlertRule], values: Mapping[str, Values] | None = None,
                 standings: Mapping[str, Mapping[str, Standing]] | None = None) -> AlertRulesAnswer:  # fmt: skip
    """All of them; without values where no daemon looks."""
    told = [
        rule_answer(rule, (values or {}).get(name), (standings or {}).get(name, {})) for name, rule in rules.items()
    ]
    measures = [
        MeasureAnswer(name, one.unit, one.says, one.watches or None, sorted(one.only)) for name, one in MEASURES.items()
    ]
    return AlertRulesAnswer(told, measures)


def rule_answer(rule: AlertRule, values: Values | None, standings: Mapping[str, Standing]) -> AlertRuleAnswer:
    """One of them."""
    watched = _watched(values or {}, standings)
    state = "off" if not rule.enabled else watched[0].state if watched else "unknown" if values is None else "ok"
    return AlertRuleAnswer(rule.name, rule_said(rule), rule.measure.unit, state, watched[:_MOST_SHOWN])


def _watched(values: Values, standings: Mapping[str, Standing]) -> list[WatchedAnswer]:
    found = []
    for subject in {**values, **standings}:
        standing = standings.get(subject, Standing())
        since = instant(int(standing.since * 1000)) if standing.since else None
        found.append(WatchedAnswer(subject, standing.state, values.get(subject), since))
    return sorted(found, key=lambda one: (_FIRST[one.state], one.subject))


class AlertOrders:
    """`by_name` as `Orders` has them; `put_setting` stores a setting."""

    def __init__(self, rules: Rules, put_setting: Callable[[Params], Awaitable[Answer]]) -> None:
        self._rules = rules
        self.by_name: dict[str, Callable[[Params], Awaitable[Answer]]] = {
            "alert_rules": self._all,
            "alert_rule": self._one,
            "alert_rules_file": self._file,
            "put_alert_rule": lambda params: put_setting({**params, "section": "alert_rules"}),
            "test_alert_rule": self._test,
        }

    async def _all(self, _: Params) -> Answer:
        return rules_answer(self._rules.rules, self._rules.values, self._rules.standings)

    async def _one(self, params: Params) -> Answer:
        rule = found_rule(self._rules.rules, params)
        return rule_answer(rule, self._rules.values.get(rule.name), self._rules.standings.get(rule.name, {}))

    async def _file(self, _: Params) -> Answer:
        return RulesFileAnswer(rules_file(self._rules.rules.values()))

    async def _test(self, params: Params) -> Answer:
        rule = found_rule(self._rules.rules, params)
        body = msgspec.convert({name: value for name, value in params.items() if name != "name"}, AlertTestBody)
        values = (await self._rules.measure(rule)).values
        known = [value for value in values.values() if value is not None]
        worst = (max if rule.above is not None else min)(known, default=None)
        sent = await self._rules.try_out(rule, worst) if body.notify else []
        is_passed = worst is not None and rule.is_passed(worst)
        return AlertTriedAnswer(rule.name, rule.measure.unit, _watched(values, {})[:_MOST_SHOWN], is_passed, sent)


def found_rule(rules: Mapping[str, AlertRule], params: Params) -> AlertRule:
    """The one of that name. Raises `Unknown`."""
    name = str(params.get("name"))
    if name not in rules:
        raise Unknown(f"there is no alert rule {name!r}; there is: {', '.join(rules) or 'none'}")
    return rules[name]


# what may be told where no daemon looks at them
OF_SETTINGS: Mapping[str, Callable[[Mapping[str, AlertRule]], Answer]] = {
    "alert_rules": rules_answer,
    "alert_rules_file": lambda rules: RulesFileAnswer(rules_file(rules.values())),
}
