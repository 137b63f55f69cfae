"""Every metric there is, as one table: the registry, the docs page and the tests are made from it.

`python -m proxy.observe.metric_table` prints docs/metrics.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

MetricType = Literal["counter", "gauge", "histogram", "info"]

PHASES = ("reading", "waiting", "sent", "streaming", "done")
ANOMALIES = ("over_hold", "negative", "not_a_number", "absurd")
TOKEN_TYPES = ("input", "output", "cached_input", "cache_write", "reasoning")
WEBHOOKS = ("delivered", "retried", "given_up", "gone", "dropped")
SOURCES = ("reported", "looked_up", "computed", "counted", "held", "interrupted", "unknown")

# up to 82 s as OpenTelemetry advises; calls of language models last longer
_DURATION = tuple(round(0.01 * 2**power, 2) for power in range(17))
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0),
)
_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_TOKENS = tuple(float(4**power) for power in range(14))


class Row(Struct, frozen=True):
    """One metric. `zeros` are label values that stand at 0 from the start, so that their first event is a rise. `by_tenant`:
    the label `tenant` comes last, where the key has one."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    zeros: tuple[str, ...] = ()
    by_tenant: bool = False

    @property
    def all_labels(self) -> tuple[str, ...]:
        """The labels, with those that are not always there."""
        return (*self.labels, "tenant") if self.by_tenant else self.labels

    @property
    def series(self) -> int:
        """How many time series one set of label values costs: a histogram has +Inf, _sum and _count as well."""
        return len(self.buckets) + 3 if self.buckets else 1


_MODEL = ("provider", "model")
_OF_KEY = ("provider", "model", "key")
_BUDGET = ("budget", "per")

TABLE: tuple[Row, ...] = (
    Row(
        "tollkeeper_requests_total",
        "counter",
        "Finished calls by status code and by whose fault a failure was (error_type is empty where there was none).",
        ("endpoint", *_OF_KEY, "code", "error_type"),
        by_tenant=True,
    ),
    Row(
        "tollkeeper_request_duration_seconds",
        "histogram",
        "From the first byte of the request to the last byte of the reply (model is empty where nothing was sent).",
        ("endpoint", *_MODEL),
        _DURATION,
    ),
    Row(
        "tollkeeper_time_to_first_token_seconds",
        "histogram",
        "From the first byte of the request to the first token of the reply (text, a tool call or reasoning); streamed calls that"
        " succeeded.",
        _MODEL,
        _FIRST_TOKEN,
    ),
    Row(
        "tollkeeper_time_per_output_token_seconds",
        "histogram",
        "Time from the first token to the end, by the tokens that followed; streamed calls that succeeded.",
        _MODEL,
        _PER_TOKEN,
    ),
    Row(
        "tollkeeper_overhead_seconds",
        "histogram",
        "Time Tollkeeper itself added to a call; waiting for the upstream is not in it.",
        ("endpoint",),
        _OVERHEAD,
    ),
    Row(
        "tollkeeper_tokens_total",
        "counter",
        "Tokens used. Input includes cached_input and cache_write, output includes reasoning.",
        (*_OF_KEY, "type"),
        by_tenant=True,
    ),
    Row(
        "tollkeeper_cost_usd_total",
        "counter",
        "What calls cost in USD, by where the figure comes from.",
        (*_OF_KEY, "source"),
        by_tenant=True,
    ),
    Row("tollkeeper_budget_limit_usd", "gauge", "The cap of a budget.", _BUDGET),
    Row("tollkeeper_budget_spent_usd", "gauge", "Spent in the budget's current period.", _BUDGET),
    Row("tollkeeper_budget_held_usd", "gauge", "Held for calls under way; settled when they end.", _BUDGET),
    Row(
        "tollkeeper_budget_reset_timestamp_seconds",
        "gauge",
        "When the current period ends (Unix time); absent for a budget that never resets.",
        _BUDGET,
    ),
    Row(
        "tollkeeper_budget_shadow",
        "gauge",
        "1 for a budget with `shadow: true`, which refuses nothing; 0 for one in force.",
        _BUDGET,
    ),
    Row(
        "tollkeeper_rejections_total",
        "counter",
        "Calls refused by Tollkeeper before anything was sent upstream; reason is the code of the error.",
        ("key", "reason"),
        by_tenant=True,
    ),
    Row(
        "tollkeeper_shadow_rejections_total",
        "counter",
        "Calls that went, and would have been refused by a budget or limit with `shadow: true`; reason is the code of the "
        "error. They are not among the rejections.",
        ("key", "reason"),
    ),
    Row(
        "tollkeeper_upstream_attempts_total",
        "counter",
        "Attempts by what became of them: a status, a code of ours, no_healthy_upstream where the breaker was open.",
        ("provider", "outcome"),
    ),
    Row("tollkeeper_fallbacks_total", "counter", "Calls that another model served than the first.", ("from", "to")),
    Row("tollkeeper_requests_in_flight", "gauge", "Calls under way upstream.", ("provider",)),
    Row(
        "tollkeeper_reconcile_drift_ratio",
        "gauge",
        "Today's bill for our own use beyond what the ledger has, as a part of it; tenant is whose key it is.",
        ("provider", "tenant"),
    ),
    Row(
        "tollkeeper_client_disconnects_total",
        "counter",
        "Clients that left, by how far their call had got.",
        ("phase",),
        zeros=PHASES,
    ),
    Row(
        "tollkeeper_cost_anomalies_total",
        "counter",
        "Figures of providers that could not be believed, and costs above what was held (over_hold).",
        ("kind",),
        zeros=ANOMALIES,
    ),
    Row(
        "tollkeeper_budget_alerts_total",
        "counter",
        "Thresholds of budgets that were passed, each once in a period.",
        (*_BUDGET, "threshold"),
    ),
    Row(
        "tollkeeper_webhooks_total",
        "counter",
        "Tries to deliver a message, by what became of them: retried are those that will be repeated.",
        ("outcome",),
        zeros=WEBHOOKS,
    ),
    Row("tollkeeper_journal_bytes", "gauge", "Size of the journal on disk."),
    Row("tollkeeper_ledger_lag_seconds", "gauge", "Age of the oldest journal record the ledger does not have yet."),
    Row("tollkeeper_ledger_errors_total", "counter", "Writes to the ledger that failed and will be repeated."),
    Row("tollkeeper_log_lines_dropped_total", "counter", "Log lines lost because nobody took them off in time."),
    Row("tollkeeper_event_loop_lag_seconds", "gauge", "The longest stall of the event loop in the last 30 seconds."),
    Row("tollkeeper_config_last_reload_successful", "gauge", "1 if the last configuration read is in use, else 0."),
    Row(
        "tollkeeper_config_last_reload_success_timestamp_seconds",
        "gauge",
        "When the configuration in use was read (Unix time).",
    ),
    Row(
        "tollkeeper_translation_losses_total",
        "counter",
        "Fields that could not be said in another protocol, of requests and of replies.",
        ("from", "to", "field"),
    ),
    Row(
        "tollkeeper_quality_total",
        "counter",
        "Replies with something wrong, of models whose entry has it looked for.",
        ("model", "flag"),
    ),
    Row("tollkeeper_cache_calls_total", "counter", "Calls by what a cache did for them.", ("model", "result")),
    Row("tollkeeper_cache_saved_usd_total", "counter", "What replies given again had cost.", ("model", "result")),
    Row("tollkeeper_build_info", "info", "Always 1; which version this is.", ("version", "python")),
)

_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

GEN_AI: tuple[Row, ...] = (
    Row(
        "gen_ai_client_token_usage",
        "histogram",
        "Input and output tokens of a call.",
        (*_GEN_AI, "gen_ai_token_type"),
        _TOKENS,
    ),
    Row(
        "gen_ai_server_request_duration_seconds",
        "histogram",
        "Duration of a call; error_type is empty where it succeeded.",
        (*_GEN_AI, "error_type"),
        _DURATION,
    ),
    Row(
        "gen_ai_server_time_to_first_token_seconds",
        "histogram",
        "Time to the first token (text, a tool call or reasoning) of a streamed call that succeeded.",
        _GEN_AI,
        _FIRST_TOKEN,
    ),
)

ROWS = {row.name: row for row in (*TABLE, *GEN_AI)}

_HEAD = """\
# Metrics

<!-- Written by `python -m proxy.observe.metric_table`; change the table there. -->

Served by the admin port as `/metrics`, as Prometheus text or as OpenMetrics, whichever the scraper asks for. What to
do with them stands in [monitoring](monitoring.md).
"""

_LABELS = """
## Labels

| label | values |
|---|---|
| `endpoint` | The row of the table of endpoints (`chat/completions`, `models` …), never the path; `other` for a path in no row. |
| `provider` | The configured name; empty where a call was refused before one was chosen. |
| `model`, `from`, `to` | The configured target: an alias, else `author/slug`; `_other` if neither the configuration nor the catalogue has it; empty where a call has none. |
| `from`, `to` of translations, `field` | Protocols (`chat`, `messages`, `responses`); a name of the closed list in [translation](translation.md#what-is-lost). |
| `key` | The name of the client key, never the key; `_other` for a name that is not configured; empty where a call was refused before the key was known. |
| `tenant` | On requests, tokens, cost and rejections of keys that have a [tenant](tenants.md), and on no others; `_other` for one that is not configured any more. |
| `budget` | Its name as `tollkeeper budgets` shows it: `key:alice:day`, `global:month`. |
| `threshold` | As the configuration has it: `80%`. |
| `code` | The status the client got; 499 if it left first. |
| `error_type` | Whose fault it was, from the closed list in [operations](operations.md); `_OTHER` is a case that list lacks. |

A label never takes a value from a request: unknown names share one series. When 14,500 series are reached, new
combinations are still counted, with `_other` for endpoint, provider, model, key, tenant and reason.
"""

_TAIL = """
`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`,
`process_max_fds` and `process_start_time_seconds` are there as well, on Linux, as long as `/proc/stat` can be read.
"""


def _table(rows: Iterable[Row]) -> str:
    lines = ["| metric | type | labels | what it says |", "|---|---|---|---|"]
    for row in rows:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{row.name}` | {row.type} | {labels} | {row.help} |")
    return "\n".join(lines) + "\n"


def _buckets(rows: Iterable[Row]) -> str:
    lines = ["| metric | upper bounds |", "|---|---|"]
    for row in rows:
        if row.buckets:
            lines.append(f"| `{row.name}` | {' '.join(f'{bound:.10g}' for bound in row.buckets)} |")
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """Return the whole of docs/metrics.md."""
    gen_ai = "\n## OpenTelemetry's names\n\nOnly with `metrics: {gen_ai: true}`, for dashboards that read them.\n\n"
    buckets = "\n## Buckets\n\n" + _buckets([*TABLE, *GEN_AI])
    return _HEAD + "\n" + _table(TABLE) + _TAIL + _LABELS + gen_ai + _table(GEN_AI) + buckets


if __name__ == "__main__":
    sys.stdout.write(markdown())
