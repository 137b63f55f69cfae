"""Alert rules as tables: what they measure, when they fire, tell and clear, what chats get, what Prometheus gets."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.policy.alerting.notices import as_form, in_words
from proxy.policy.alerting.prometheus import duration, rules_file, why_not
from proxy.policy.alerting.rules import MEASURES, AlertRule, measured
from proxy.policy.alerting.standing import Standing, judge, judge_all

FIGURES: dict[str, Any] = {
    "calls": 40, "attempts": 50, "errors": 5, "refused": 10, "input_tokens": 1000, "output_tokens": 200,
    "cached_input_tokens": 250, "reasoning_tokens": 20, "cost_usd": "3.000000000000", "sources": {"unknown": 2},
    "first_token_ms": {"p50": 400, "p95": 900}, "total_ms": {"p50": 2000, "p95": None},
}  # fmt: skip
NOTHING: dict[str, Any] = {
    **dict.fromkeys(FIGURES, 0), "cost_usd": "0.000000000000", "sources": {},
    "first_token_ms": {"p50": None, "p95": None}, "total_ms": {"p50": None, "p95": None},
}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "value", "of_nothing"),
    [
        ("cost_usd", 3.0, 0.0),
        ("cost_usd_per_hour", 1.5, 0.0),
        ("cost_usd_per_call", 0.075, None),
        ("calls", 40.0, 0.0),
        ("attempts", 50.0, 0.0),
        ("errors", 5.0, 0.0),
        ("error_ratio", 0.1, None),
        ("refused", 10.0, 0.0),
        ("refused_ratio", 0.2, None),
        ("unknown_costs", 2.0, 0.0),
        ("input_tokens", 1000.0, 0.0),
        ("output_tokens", 200.0, 0.0),
        ("reasoning_tokens", 20.0, 0.0),
        ("cache_hit_ratio", 0.25, None),
        ("first_token_ms_p50", 400.0, None),
        ("first_token_ms_p95", 900.0, None),
        ("total_ms_p50", 2000.0, None),
        ("total_ms_p95", None, None),
    ],
)
def test_what_is_measured(metric: str, value: float | None, of_nothing: float | None) -> None:
    rule = AlertRule("r", metric, above=1, over_seconds=7200)
    assert (measured(rule, FIGURES), measured(rule, NOTHING)) == (value, of_nothing)


def test_too_few_calls_say_nothing() -> None:
    assert measured(AlertRule("r", "errors", above=1, min_calls=50), FIGURES) == 5
    assert measured(AlertRule("r", "errors", above=1, min_calls=51), FIGURES) is None


RULE = AlertRule("r", "error_ratio", above=0.05, clear=0.02, for_seconds=60, every_seconds=3600)
Look = tuple[float, float | None]


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([(0, 0.05), (100, 0.05)], []),  # at the limit is not above it
        ([(0, 0.06), (59, 0.06)], []),
        ([(0, 0.06), (60, 0.06)], [(60, "firing")]),
        ([(0, 0.06), (30, 0.01), (60, 0.06), (119, 0.06)], []),  # it broke off
        ([(0, 0.06), (60, 0.06), (70, 0.03), (80, 0.06)], [(60, "firing")]),  # between the two limits it goes on
        ([(0, 0.06), (60, 0.06), (70, 0.02)], [(60, "firing"), (70, "resolved")]),
        ([(0, 0.06), (60, 0.06), (70, None)], [(60, "firing"), (70, "resolved")]),
        # comes back within the hour: nobody is told again, nor that it is over
        ([(0, 0.9), (60, 0.9), (70, 0.0), (80, 0.9), (140, 0.9), (150, 0)], [(60, "firing"), (70, "resolved")]),
        # or goes on into the next hour: one more
        ([(0, 0.9), (60, 0.9), (3000, 0.9), (3660, 0.9), (3700, 0.9)], [(60, "firing"), (3660, "firing")]),
        (
            [(0, 0.9), (60, 0.9), (70, 0), (3600, 0.9), (3660, 0.9)],
            [(60, "firing"), (70, "resolved"), (3660, "firing")],
        ),
    ],
)
def test_when_somebody_is_told(looks: list[Look], told: list[tuple[float, str]]) -> None:
    standing, found = Standing(), []
    for now, value in looks:
        standing, notice = judge(RULE, standing, value, 1000 + now)
        found += [(now, notice)] if notice else []
    assert found == told


def test_below_fires_where_there_is_too_little_and_not_where_there_is_nothing() -> None:
    rule = AlertRule("r", "calls", below=1)
    assert [judge(rule, Standing(), value, 1)[1] for value in (0.0, 1.0, None)] == ["firing", None, None]


def test_each_of_many_stands_by_itself_and_is_forgotten_when_it_is_over() -> None:
    rule = AlertRule("r", "calls", above=2, each="key", every_seconds=60)
    first = judge_all(rule, {}, {"a": 3.0, "b": 1.0}, 1000)
    assert [(one.subject, one.notice) for one in first] == [("a", "firing")]
    standings = {"a": first[0].standing or Standing()}
    assert judge_all(rule, standings, {"a": 3.0}, 1010) == []
    (gone,) = judge_all(rule, standings, {"b": 2.0}, 1100)
    assert (gone.subject, gone.standing, gone.notice) == ("a", None, "resolved")


def message(**data: Any) -> str:
    told = {"rule": "dear", "metric": "cost_usd", "unit": "USD", "value": 7.25, "limit": 5, "is_above": True, "over": "1h",
            "only": {"model": "openai/*"}, "each": "key", "subject": "<!channel> & co", "severity": "page", **data}  # fmt: skip
    return json.dumps({"type": "alert.firing", "timestamp": "2026-11-27T14:03:11.512Z", "data": told})


def test_each_chat_gets_what_it_takes_and_nobody_can_be_called_by_a_name() -> None:
    title = "Alert dear (key <!channel> & co) fires"
    text = "cost_usd over the last 1h, model openai/*: $7.25; it is not to be above $5."
    assert as_form("standard", "https://x/y", message()) == ("https://x/y", message().encode())
    url, body = as_form("slack", "https://hooks.slack.com/services/T/B/x", message())
    assert (url, json.loads(body)) == (
        "https://hooks.slack.com/services/T/B/x",
        {"text": f"*Alert dear (key &lt;!channel&gt; &amp; co) fires*\n{text}"},
    )
    url, body = as_form("discord", "https://discord.com/api/webhooks/1/x?wait=true", message(subject="x" * 5000))
    assert len(json.loads(body)["content"]) <= 2000
    assert json.loads(body)["allowed_mentions"] == {"parse": []}
    url, body = as_form("ntfy", "https://ntfy.sh/my-topic?auth=abc", message())
    assert (url, json.loads(body)) == (
        "https://ntfy.sh/?auth=abc",
        {"topic": "my-topic", "title": title, "message": text},
    )


BUDGET = {"budget": "key:alice:day", "threshold": "95%", "spent_usd": "4.81", "cap_usd": "5", "resets_at": None}


@pytest.mark.parametrize(
    ("type_", "data", "title", "text"),
    [
        ("budget.threshold_passed", BUDGET, "Budget key:alice:day: 95% spent", "$4.81 of $5 are spent."),
        ("model.changed", {"kind": "gone", "model": "a/b", "aliases": []}, "model changed", "kind: gone\nmodel: a/b"),
    ],
)
def test_other_messages_are_said_as_well(type_: str, data: dict[str, Any], title: str, text: str) -> None:
    words = in_words({"type": type_, "data": data})
    assert (words.title, words.text) == (title, text)


def test_prometheus_takes_all_that_its_series_can_say_and_is_told_what_they_cannot() -> None:
    rules = [AlertRule(f"all-{metric}", metric, above=1) for metric in MEASURES]
    rules += [
        AlertRule(f"one-{m}", m, below=2, only={label: "a*" for label in one.labels}) for m, one in MEASURES.items()
    ]
    rules += [AlertRule('quoted "x"', "cost_usd", above=5, only={"key": 'ci-[!a]*b?"'}, each="model", for_seconds=600)]
    rules += [
        AlertRule("tenants", "cost_usd", above=1, each="tenant"),
        AlertRule("off", "calls", above=1, enabled=False),
    ]
    text = rules_file(rules)
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not on PATH: apt-get install -y --no-install-recommends prometheus"
    checked = subprocess.run(
        [promtool, "check", "rules", "/dev/stdin"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    said = sum(not why_not(rule) for rule in rules)
    assert checked.returncode == 0 and f"{said} rules found" in checked.stdout, checked
    assert "# tenants: the series of cost_usd has no label tenant" in text
    assert "# off: it is not enabled" in text and "# all-unknown_costs: there is no series" in text
    assert r"[^a].*b." in text and "for: 10m" in text
    drifting = rules_file([AlertRule("bill", "drift_ratio", above=0.01, only={"provider": "openrouter"})])
    assert 'expr: "abs(tollkeeper_reconcile_drift_ratio{provider=\\"openrouter\\"}) > 0.01"' in drifting
    assert rules_file([]) == "groups:\n  - name: tollkeeper-own\n    rules: []\n"


SERIES = 'tollkeeper_upstream_attempts_total{{provider="p",outcome="{0}"}}'


def test_what_a_breaker_has_held_back_is_no_try_for_prometheus_either(tmp_path: Path) -> None:
    """Five tries of which one fails, and a hundred that no provider saw."""
    rule = AlertRule("failing", "error_ratio", above=0.5, each="provider")
    (tmp_path / "own.yml").write_text(rules_file([rule]))
    grows = {"200": 4, "502": 1, "no_healthy_upstream": 100}
    test = {
        "input_series": [{"series": SERIES.format(name), "values": f"0+{by}x60"} for name, by in grows.items()],
        "alert_rule_test": [{"eval_time": "1h", "alertname": "failing", "exp_alerts": []}],
    }
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": ["own.yml"], "tests": [{"interval": "1m", **test}]}))
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not on PATH: apt-get install -y --no-install-recommends prometheus"
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "1s"), (90, "90s"), (600, "10m"), (3600, "1h"), (172800, "2d")])
def test_durations_are_whole(seconds: float, text: str) -> None:
    assert duration(seconds) == text
