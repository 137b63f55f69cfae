"""When an alert fires, when somebody is told, and when it clears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.alerting.rules import AlertRule

State = Literal["ok", "pending", "firing"]
Notice = Literal["firing", "resolved"]


class Standing(Struct, frozen=True, omit_defaults=True):
    """Where one stands since `since` (UTC epoch seconds). `told_at`: when somebody was told last that it fires, 0: never;
    `is_told`: of this firing somebody was told."""

    state: State = "ok"
    since: float = 0.0
    told_at: float = 0.0
    is_told: bool = False


def judge(rule: AlertRule, standing: Standing, value: float | None, now: float) -> tuple[Standing, Notice | None]:
    """Where it stands after a look, and what is told. Where there is nothing to measure, nothing is passed."""
    is_firing = standing.state == "firing"
    if value is None or not rule.is_passed(value, is_firing=is_firing):
        return _clear(standing, now)
    if standing.state == "ok":
        standing = replace(standing, state="pending", since=now)
    if standing.state == "pending" and now - standing.since >= rule.for_seconds:
        standing = replace(standing, state="firing", since=now)
    is_due = not standing.told_at or now - standing.told_at >= rule.every_seconds
    if standing.state == "firing" and is_due:
        return replace(standing, told_at=now, is_told=True), "firing"
    return standing, None


def _clear(standing: Standing, now: float) -> tuple[Standing, Notice | None]:
    """Who was told that it fires is told that it does no more."""
    if standing.state == "ok":
        return standing, None
    return Standing("ok", now, standing.told_at), "resolved" if standing.is_told else None


class Change(Struct, frozen=True):
    """What a look found new: where one stands now (None: nothing of it matters any more), at which value, and what is told."""

    subject: str
    standing: Standing | None
    value: float | None
    notice: Notice | None


def judge_all(
    rule: AlertRule, before: Mapping[str, Standing], values: Mapping[str, float | None], now: float
) -> list[Change]:
    """What is new for each of what a rule watches, by name; what is measured no more is as good as nothing."""
    changes = []
    for subject in {**values, **before}:
        former, value = before.get(subject), values.get(subject)
        standing, notice = judge(rule, former or Standing(), value, now)
        is_over = standing.state == "ok" and now - standing.told_at >= rule.every_seconds
        after = None if is_over else standing
        if after != former:
            changes.append(Change(subject, after, value, notice))
    return changes
