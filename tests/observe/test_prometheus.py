"""What a real Prometheus makes of the metrics, the rules and every panel of the dashboard."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml
from live_prometheus import PROMETHEUS, ROOT, SCRAPES_FED, Alertmanager, Page, Prometheus, promtool
from metrics_samples import CALLS, COSTS, feed, metrics, page

DASHBOARD = json.loads((ROOT / "grafana" / "tollkeeper.json").read_text())
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
MONITORING = ROOT / "docs" / "monitoring.md"
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
VARIABLES = [variable for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
ALL = {variable["name"]: variable["allValue"] for variable in VARIABLES}
ONE = {"instance": "127.0.0.1:.*", "provider": "openrouter", "model": "fast", "key": "alice"}


def filled_in(expr: str, chosen: dict[str, str]) -> str:
    """Put in what Grafana would; what looks like a variable afterwards is a mistake."""
    times = {"__rate_interval": "1m", "__interval": "1m", "__range": "1h"}
    filled = {**times, **chosen}
    expr = re.sub(r"\$(\w+)", lambda found: filled.get(found[1], found[0]), expr)
    assert not re.search(r"\$(?!1\b)", expr), expr
    return expr


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with Alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(alertmanager: Alertmanager, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has stored every scrape that found something new."""
    folder = tmp_path_factory.mktemp("prometheus")
    with Page() as served, Prometheus(served, alertmanager, folder) as running:
        served.wait_for_scrapes(SCRAPES_FED + 1)
        yield running


@pytest.mark.parametrize("gen_ai", [False, True])
def test_promtool_finds_nothing_wrong_with_the_page(gen_ai: bool) -> None:
    fed = metrics(gen_ai=gen_ai)
    feed(fed)
    checked = promtool("check", "metrics", stdin=page(fed))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_scrape_configuration_and_the_rules_are_valid() -> None:
    checked = promtool("check", "config", "--lint-fatal", str(PROMETHEUS / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_pass_their_unit_tests() -> None:
    tested = promtool("test", "rules", str(PROMETHEUS / "rules.test.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_seen_to_fire_by_a_unit_test() -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules.test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_severity_a_summary_and_a_section_in_the_docs(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"/docs/monitoring.md#{name.lower()}")
    found = re.search(rf"^### {name}\n(.+?)(?=^#|\Z)", MONITORING.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/monitoring.md has no section {name}"
    assert "First:" in found[1], "it does not say what to do first"
    assert f"({rule['labels']['severity']})" in found[1]


def test_every_panel_says_what_it_answers_here_and_in_the_docs() -> None:
    text = MONITORING.read_text()
    for panel in PANELS:
        assert "?" in panel["description"], panel["title"]
        assert f"| {panel['title']} | " in text, f"docs/monitoring.md does not explain {panel['title']!r}"


def test_the_dashboard_is_laid_out_without_gaps_in_its_logic() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart_x or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_variables_narrow_every_panel_to_an_instance() -> None:
    assert list(ALL) == ["instance", "provider", "model", "key"]
    for title, expr in expressions():
        selectors = re.findall(r"\b((?:tollkeeper|process)_\w+)(\{[^}]*\})?", expr)
        assert selectors, title
        assert all('instance=~"$instance"' in selector for _, selector in selectors), title


def test_prometheus_scrapes_openmetrics_without_an_error(prometheus: Prometheus) -> None:
    assert "application/openmetrics-text" in prometheus.page.accepts[0]
    targets = prometheus.ask("targets")["activeTargets"]
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]
    assert prometheus.query("up")[0][1] == 1
    assert prometheus.query("tollkeeper_build_info")[0][0]["job"] == "tollkeeper"


def test_every_panel_has_data_when_there_are_calls(prometheus: Prometheus) -> None:
    empty = []
    for title, expr in expressions():
        if not any(math.isfinite(value) for _, value in prometheus.query(filled_in(expr, ALL))):
            empty.append(title)
    assert not empty


def test_every_panel_works_with_one_of_everything_chosen(prometheus: Prometheus) -> None:
    for _, expr in expressions():
        prometheus.query(filled_in(expr, ONE))
    for annotation in DASHBOARD["annotations"]["list"]:
        prometheus.query(filled_in(annotation["expr"], ONE))
    spent = dict(expressions())["Spend by key A"]
    assert [labels for labels, _ in prometheus.query(filled_in(spent, ONE))] == [{"key": "alice"}]


def test_every_variable_finds_its_values(prometheus: Prometheus) -> None:
    for variable in VARIABLES:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert found
        values = prometheus.ask(f"label/{found[2]}/values", **{"match[]": filled_in(found[1], ALL)})
        assert values, variable["name"]


def test_stats_count_calls_and_money_from_the_very_first_scrape(prometheus: Prometheus) -> None:
    panels = dict(expressions())
    spent = sum(cost.cost_pusd for cost in COSTS) / 10**12
    expected = {"Spend today A": SCRAPES_FED * spent, "Requests A": SCRAPES_FED * len(CALLS), "Error rate A": 1 / 3}
    for title, amount in expected.items():
        [(_, value)] = prometheus.query(filled_in(panels[title], ALL))
        # Prometheus extrapolates a rise by up to half a scrape interval on both sides
        assert value == pytest.approx(amount, rel=0.2), title
        assert value >= amount * 0.999, title


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    prometheus.wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert {rule["name"]: (rule["health"], rule.get("lastError")) for rule in rules()} == {
        rule.get("alert") or rule["record"]: ("ok", None) for rule in RULES
    }
    recorded = [rule["record"] for rule in RULES if "record" in rule]
    prometheus.wait_until(lambda: all(prometheus.query(name) for name in recorded))


def test_an_alert_reaches_the_alertmanager(prometheus: Prometheus, alertmanager: Alertmanager) -> None:
    prometheus.wait_until(lambda: "TollkeeperBudgetThreshold" in alertmanager.alerts)
