"""The metrics: names as promised, figures right, both expositions the same."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from metrics_samples import (
    CALLS,
    GOOD,
    REFUSED,
    USD,
    Samples,
    State,
    feed,
    finished,
    metrics,
    page,
    samples,
    total,
    value,
)
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from proxy.observe.labels import Known
from proxy.observe.metric_table import GEN_AI, SOURCES, TABLE, markdown
from proxy.observe.metrics import Metrics
from proxy.observe.readings import ReloadState
from proxy.observe.seen import CallSeen, CostSeen

ROOT = Path(__file__).parents[2]
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def test_names_types_and_labels_are_the_ones_promised() -> None:
    promised = [
        "tollkeeper_requests_total{endpoint,provider,model,key,code,error_type}",
        "tollkeeper_request_duration_seconds{endpoint,provider,model}",
        "tollkeeper_time_to_first_token_seconds{provider,model}",
        "tollkeeper_time_per_output_token_seconds{provider,model}",
        "tollkeeper_overhead_seconds{endpoint}",
        "tollkeeper_tokens_total{provider,model,key,type}",
        "tollkeeper_cost_usd_total{provider,model,key,source}",
        "tollkeeper_budget_limit_usd{budget,per}",
        "tollkeeper_budget_spent_usd{budget,per}",
        "tollkeeper_budget_held_usd{budget,per}",
        "tollkeeper_budget_reset_timestamp_seconds{budget,per}",
        "tollkeeper_budget_shadow{budget,per}",
        "tollkeeper_rejections_total{key,reason}",
        "tollkeeper_shadow_rejections_total{key,reason}",
        "tollkeeper_upstream_attempts_total{provider,outcome}",
        "tollkeeper_fallbacks_total{from,to}",
        "tollkeeper_requests_in_flight{provider}",
        "tollkeeper_reconcile_drift_ratio{provider,tenant}",
        "tollkeeper_client_disconnects_total{phase}",
        "tollkeeper_cost_anomalies_total{kind}",
        "tollkeeper_budget_alerts_total{budget,per,threshold}",
        "tollkeeper_webhooks_total{outcome}",
        "tollkeeper_journal_bytes",
        "tollkeeper_ledger_lag_seconds",
        "tollkeeper_ledger_errors_total",
        "tollkeeper_log_lines_dropped_total",
        "tollkeeper_event_loop_lag_seconds",
        "tollkeeper_config_last_reload_successful",
        "tollkeeper_config_last_reload_success_timestamp_seconds",
        "tollkeeper_translation_losses_total{from,to,field}",
        "tollkeeper_quality_total{model,flag}",
        "tollkeeper_cache_calls_total{model,result}",
        "tollkeeper_cache_saved_usd_total{model,result}",
        "tollkeeper_build_info{version,python}",
    ]
    assert [row.name + (f"{{{','.join(row.labels)}}}" if row.labels else "") for row in TABLE] == promised


@pytest.mark.parametrize("gen_ai", [False, True])
def test_what_is_rendered_is_what_the_table_says(gen_ai: bool) -> None:
    fed = metrics(gen_ai=gen_ai)
    feed(fed)
    rendered = {family.name: family for family in read_text(page(fed)) if not family.name.startswith("process_")}
    rows = {row.name.removesuffix("_total"): row for row in (*TABLE, *(GEN_AI if gen_ai else ()))}
    assert rendered.keys() == rows.keys()
    for name, row in rows.items():
        assert rendered[name].type == row.type.replace("info", "gauge"), name
        assert rendered[name].documentation == row.help
        bounds = {f"{bound:g}" for bound in row.buckets}
        for sample in rendered[name].samples:
            assert sample.labels.keys() - {"le"} == set(row.labels), name
            bounds -= {f"{float(sample.labels.get('le', 'inf')):g}"}
        assert not bounds


def test_the_docs_page_is_the_table() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == markdown(), "run python -m proxy.observe.metric_table"


def test_gauges_and_rare_counters_are_there_at_the_first_scrape() -> None:
    found = samples(page(metrics()))
    names = {name for name, _ in found}
    assert {row.name for row in TABLE if row.type in ("gauge", "info") or not row.labels} <= names
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= names
    for row in TABLE:
        for word in row.zeros:
            assert found[(row.name, frozenset({(row.labels[0], word)}))] == 0


def test_gauges_say_what_is_so_at_the_moment_of_the_scrape() -> None:
    state = State()
    fed = metrics(state)
    day = {"budget": "key:alice:day", "per": "day"}
    assert value(fed, "tollkeeper_budget_spent_usd", **day) == 12.0
    assert value(fed, "tollkeeper_budget_limit_usd", **day) == 50.0
    assert value(fed, "tollkeeper_budget_held_usd", **day) == 0.25
    assert value(fed, "tollkeeper_budget_reset_timestamp_seconds", **day) == 4_102_444_800.0
    assert value(fed, "tollkeeper_requests_in_flight", provider="local") == 0
    state.spent_pusd, state.in_flight, state.ledger_errors = 13 * USD, {"local": 7}, 3
    state.reload = ReloadState(successful=False, success_at=5.0)
    assert value(fed, "tollkeeper_budget_spent_usd", **day) == 13.0
    assert value(fed, "tollkeeper_requests_in_flight", provider="local") == 7
    assert value(fed, "tollkeeper_requests_in_flight", provider="openrouter") is None
    assert value(fed, "tollkeeper_ledger_errors_total") == 3
    assert value(fed, "tollkeeper_config_last_reload_successful") == 0
    assert value(fed, "tollkeeper_config_last_reload_success_timestamp_seconds") == 5.0
    assert value(fed, "tollkeeper_build_info", version="1.2.3", python="3.11.2") == 1


def test_a_budget_that_never_resets_has_no_time_of_reset() -> None:
    fed = metrics()
    assert value(fed, "tollkeeper_budget_limit_usd", budget="global:total", per="total") == 500.0
    assert value(fed, "tollkeeper_budget_reset_timestamp_seconds", budget="global:total", per="total") is None


def test_readings_are_of_their_moment_however_late_they_are_rendered() -> None:
    state = State()
    fed = metrics(state)
    readings = fed.readings()
    state.spent_pusd = 0
    state.in_flight.clear()
    text = fed.render("", readings)[0].decode()
    assert 'tollkeeper_budget_spent_usd{budget="key:alice:day",per="day"} 12.0' in text
    assert 'tollkeeper_requests_in_flight{provider="openrouter"} 2.0' in text


def test_a_call_is_counted_under_all_its_labels() -> None:
    fed = metrics()
    feed(fed)
    alice = {"provider": "openrouter", "model": "fast", "key": "alice"}
    streamed = {"provider": "openrouter", "model": "fast"}
    chat = {"endpoint": "chat/completions"}
    assert value(fed, "tollkeeper_requests_total", **chat, **alice, code="200", error_type="") == 1
    assert value(fed, "tollkeeper_requests_total", **chat, **alice, code="499", error_type="caller_cancelled") == 1
    assert value(fed, "tollkeeper_request_duration_seconds_sum", **chat, **streamed) == 7.0
    assert value(fed, "tollkeeper_overhead_seconds_count", **chat) == 4
    assert value(fed, "tollkeeper_time_to_first_token_seconds_sum", **streamed) == 1.0, "the one that left is not in it"
    assert value(fed, "tollkeeper_time_per_output_token_seconds_sum", **streamed) == 0.03
    expected = {"input": 1100, "output": 121, "cached_input": 600, "cache_write": 50, "reasoning": 40}
    assert {kind: value(fed, "tollkeeper_tokens_total", **alice, type=kind) for kind in expected} == expected
    assert value(fed, "tollkeeper_cost_usd_total", **alice, source="reported") == 0.03
    assert value(fed, "tollkeeper_cost_usd_total", **alice, source="looked_up") == 0.002
    assert value(fed, "tollkeeper_rejections_total", key="alice", reason="budget_exceeded") == 1
    assert value(fed, "tollkeeper_upstream_attempts_total", provider="openrouter", outcome="200") == 2
    assert value(fed, "tollkeeper_upstream_attempts_total", provider="openrouter", outcome="no_healthy_upstream") == 1
    assert value(fed, "tollkeeper_fallbacks_total", **{"from": "fast", "to": "anthropic/claude-opus-5"}) == 1
    assert value(fed, "tollkeeper_client_disconnects_total", phase="streaming") == 1


def test_a_refused_call_has_no_provider_and_no_first_token() -> None:
    fed = metrics()
    finished(fed, REFUSED)
    labels = {"endpoint": "chat/completions", "provider": "", "model": "fast", "key": "alice"}
    assert value(fed, "tollkeeper_requests_total", **labels, code="402", error_type="policy_budget_exceeded") == 1
    assert not total(samples(page(fed)), "tollkeeper_time_to_first_token_seconds_count")
    assert not total(samples(page(fed)), "tollkeeper_tokens_total")


@pytest.mark.parametrize(
    ("call", "first", "per_token"),
    [
        (GOOD, 1, 1),
        (replace(GOOD, stream=False), 0, 0),
        (replace(GOOD, first_token_seconds=None), 0, 0),
        (replace(GOOD, error_type="provider_timeout"), 0, 0),
        (replace(GOOD, output_tokens=1), 1, 0),
        (replace(GOOD, output_tokens=0), 1, 0),
        (replace(GOOD, total_seconds=0.5), 1, 1),
    ],
    ids=["streamed", "whole", "nothing came", "failed", "one token", "no usage", "clock behind"],
)
def test_first_token_and_time_per_token_are_of_streams_that_succeeded(
    call: CallSeen, first: int, per_token: int
) -> None:
    fed = metrics()
    finished(fed, call)
    found = samples(page(fed))
    assert total(found, "tollkeeper_time_to_first_token_seconds_count") == first
    assert total(found, "tollkeeper_time_per_output_token_seconds_count") == per_token
    assert total(found, "tollkeeper_time_per_output_token_seconds_sum") >= 0


def test_small_amounts_are_not_lost_beside_large_ones() -> None:
    fed = metrics()
    cost = CostSeen("openrouter", "fast", "alice", 1_000_000 * USD, "reported")
    fed.settled(cost)
    for _ in range(10_000):
        fed.settled(replace(cost, cost_pusd=10))
    spent = value(fed, "tollkeeper_cost_usd_total", provider="openrouter", model="fast", key="alice", source="reported")
    assert spent == 1_000_000.0000001, "as floats, 1,000,000 + 0.00000000001 is 1,000,000"


def test_every_source_of_a_cost_has_its_series() -> None:
    fed = metrics()
    for source in SOURCES:
        fed.settled(CostSeen("p", "fast", "alice", 10**9, source))
    found = {dict(labels)["source"] for name, labels in samples(page(fed)) if name == "tollkeeper_cost_usd_total"}
    assert found == set(SOURCES)


def test_an_anomaly_is_counted_by_kind() -> None:
    fed = metrics()
    fed.anomaly("over_hold")
    assert value(fed, "tollkeeper_cost_anomalies_total", kind="over_hold") == 1
    assert value(fed, "tollkeeper_cost_anomalies_total", kind="negative") == 0


def without_process(found: Samples) -> Samples:
    return {series: amount for series, amount in found.items() if not series[0].startswith("process_")}


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", OPENMETRICS, "application/openmetrics-text; version=;;=x"])
def test_both_expositions_say_the_same(accept: str) -> None:
    fed = metrics(gen_ai=True)
    feed(fed)
    body, content_type = fed.render(accept, fed.readings())
    text = body.decode()
    assert "_created" not in text
    if "openmetrics" in accept:
        assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert text.endswith("# EOF\n")
        families = list(read_openmetrics(text))  # type: ignore[no-untyped-call]
    else:
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        families = list(read_text(text))
    found = {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}
    assert without_process(found) == without_process(samples(page(fed)))


def test_opentelemetrys_names_have_input_and_output_tokens_only() -> None:
    fed = metrics(gen_ai=True)
    feed(fed)
    finished(fed, replace(GOOD, endpoint="models"))
    labels = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "openrouter", "gen_ai_request_model": "fast"}
    found = samples(page(fed))
    types = {dict(of).get("gen_ai_token_type") for name, of in found if name == "gen_ai_client_token_usage_sum"}
    assert types == {"input", "output"}
    assert value(fed, "gen_ai_client_token_usage_sum", **labels, gen_ai_token_type="input") == 1000
    assert value(fed, "gen_ai_server_request_duration_seconds_count", **labels, error_type="") == 1
    assert value(fed, "gen_ai_server_request_duration_seconds_count", **labels, error_type="caller_cancelled") == 1
    assert value(fed, "gen_ai_server_time_to_first_token_seconds_sum", **labels) == 1.0
    operations = {dict(of)["gen_ai_operation_name"] for name, of in found if name.startswith("gen_ai")}
    assert operations == {"chat", "messages"}, "an endpoint the convention has no word for is left out"


def test_many_at_once_count_as_one_by_one() -> None:
    single, together = metrics(gen_ai=True), metrics(gen_ai=True)
    calls = [*CALLS, *CALLS, replace(GOOD, total_seconds=0.5, output_tokens=7), replace(GOOD, stream=False)]
    for call in calls:
        finished(single, call)
    finished(together, *calls)
    assert without_process(samples(page(single))) == without_process(samples(page(together)))


def test_what_is_judged_late_waits_while_a_page_is_made() -> None:
    done, overtook = threading.Event(), []

    def judge() -> None:
        fed.flagged("fast", "judge")
        done.set()

    def is_key(_: str) -> bool:
        """Asked while the page is made."""
        judging.start()
        overtook.append(done.wait(0.2))
        return True

    fed, judging = Metrics(Known(lambda _: True, is_key), State().sources()), threading.Thread(target=judge)
    finished(fed, GOOD)
    assert 'flag="judge"' not in page(fed)
    judging.join()
    assert (overtook, value(fed, "tollkeeper_quality_total", model="fast", flag="judge")) == ([False], 1)
