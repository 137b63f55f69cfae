"""What stands beside `model_list`: fallbacks, retries, timeouts, the master key, budgets; and why the rest has no place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from proxy.cli.litellm.deployments import TIMEOUTS, timeout
from proxy.cli.litellm.report import SETTINGS, Report
from proxy.cli.litellm.values import number, period, variable_in, whole
from proxy.config.document import Tree
from proxy.config.problems import Path

MASTER = "master"
_MASTER_VARIABLE = "LITELLM_MASTER_KEY"
_MOST_ATTEMPTS = 10
_DATABASE = (
    "keys, teams, spending and models kept in LiteLLM's database are in no file; `tollkeeper keys create` makes keys"
)
_ONE_KIND = "a fallback follows every failure that may go elsewhere here, whatever its kind"
_IN_ORDER = (
    "deployments of one name are tried in their order; `strategy:` chooses among `candidates:`, see docs/routing.md"
)
_CACHE = "exact answers are kept by `cache: {ttl: 1h}` of a model or a key here, see docs/caching.md"
_ALWAYS = "metrics, log and ledger are always on here, see docs/monitoring.md"
_REASONS = {
    "database_url": _DATABASE, "store_model_in_db": _DATABASE, "default_team_settings": _DATABASE,
    "context_window_fallbacks": _ONE_KIND, "content_policy_fallbacks": _ONE_KIND,
    "routing_strategy": _IN_ORDER, "routing_strategy_args": _IN_ORDER,
    "callbacks": _ALWAYS, "success_callback": _ALWAYS, "failure_callback": _ALWAYS, "service_callback": _ALWAYS,
    "drop_params": "requests pass unchanged, and nothing is dropped from them",
    "cache": _CACHE, "cache_params": _CACHE,
    "allowed_fails": "a breaker stands before every target", "cooldown_time": "a breaker stands before every target",
    "set_verbose": "log: {level: debug} says more", "redis_host": "one process needs no Redis",
    "redis_port": "one process needs no Redis", "redis_password": "one process needs no Redis",
    "environment_variables": "variables belong into the environment of the daemon",
    "include": "the files named there are not read; import each, or join them first",
    "provider_budget_config": "a budget of one provider is a row of `budgets:` here: {usd: 5, per: day, for: {provider: NAME}}",
    "alerting": "`alerts:` tells chats, mail and webhooks here, see docs/alerts.md",
}  # fmt: skip
_NO_COUNTERPART = "has no counterpart here"


class Rest(Struct):
    """All of it, as parts of our file; `fallbacks` by name, those under `*` for every name."""

    timeouts: dict[str, Any] = field(default_factory=dict)
    fallbacks: list[tuple[Path, str, str]] = field(default_factory=list)
    aliases: dict[str, tuple[Path, str]] = field(default_factory=dict)
    retries: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    limits: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    default_model: tuple[Path, str] | None = None
    log: dict[str, Any] = field(default_factory=dict)


def read_settings(tree: Mapping[str, Tree], report: Report) -> Rest:
    """Read every section but the list of models; LiteLLM lets the router's settings win over its module's."""
    rest = Rest()
    for section in reversed(SETTINGS):  # the master key before what is said of keys; the router's last
        members = tree.get(section)
        for member, value in members.items() if isinstance(members, dict) else ():
            path: Path = (section, member)
            read = _READERS.get(path)
            if value is None:
                continue
            if read is None:
                report.left_out(path, _REASONS.get(member, _NO_COUNTERPART))
            else:
                read(rest, path, value, report)
    for section in tree.keys() - {"model_list", *SETTINGS}:
        if not section.startswith("x-"):  # where YAML's anchors are kept
            report.left_out((section,), _REASONS.get(section, _NO_COUNTERPART))
    _budget(rest, tree, report)
    return rest


Reader = Callable[[Rest, Path, Any, Report], None]


def _fallbacks(rest: Rest, path: Path, value: Any, report: Report) -> None:
    """`[{"gpt-4o": ["claude", …]}, …]`"""
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    for index, row in enumerate(rows):
        for name, others in row.items():
            listed = others if isinstance(others, list) else [others]
            rest.fallbacks += [((*path, index, name), name, other) for other in listed if isinstance(other, str)]
            if not all(isinstance(other, str) for other in listed):
                report.left_out((*path, index, name), "only a model's name can stand in for another here")


def _default_fallbacks(rest: Rest, path: Path, value: Any, report: Report) -> None:
    names = value if isinstance(value, list) else [value]
    rest.fallbacks += [(path, "*", str(name)) for name in names]


def _aliases(rest: Rest, path: Path, value: Any, report: Report) -> None:
    """`{"gpt-4": "gpt-4o"}`, or `{"gpt-4": {"model": "gpt-4o", "hidden": true}}`."""
    for name, meant in value.items() if isinstance(value, dict) else ():
        model = meant.get("model") if isinstance(meant, dict) else meant
        if isinstance(model, str):
            rest.aliases[name] = ((*path, name), model)
        else:
            report.left_out((*path, name), "names no model")


def _timeout(rest: Rest, path: Path, value: Any, report: Report) -> None:
    names = TIMEOUTS.get(str(path[-1]), TIMEOUTS["timeout"])
    rest.timeouts |= dict.fromkeys(names, timeout(value, path, report))


def _retries(rest: Rest, path: Path, value: Any, report: Report) -> None:
    count = number(value)
    if count is None or count != int(count):
        report.left_out(path, "is no number of retries")
        return
    rest.retries["attempts"] = min(int(count) + 1, _MOST_ATTEMPTS)
    if count >= _MOST_ATTEMPTS:
        report.changed(path, f"moved as {_MOST_ATTEMPTS} attempts, the most there are here")


def _first_wait(rest: Rest, path: Path, value: Any, report: Report) -> None:
    if (wait := number(value)) is not None:
        rest.retries["first_wait"] = wait
    else:
        report.left_out(path, "is no number of seconds")


def _master_key(rest: Rest, path: Path, value: Any, report: Report) -> None:
    variable = variable_in(value)
    if variable is None:
        report.literal(_MASTER_VARIABLE, path)
    else:
        report.variables[variable] = None
    rest.keys[MASTER] = {"key": f"${{{variable or _MASTER_VARIABLE}}}", **rest.keys.get(MASTER, {})}


def _default_model(rest: Rest, path: Path, value: Any, report: Report) -> None:
    rest.default_model = (path, str(value))


def _of_each_key(rest: Rest, path: Path, value: Any, report: Report) -> None:
    if (count := whole(value)) is None or MASTER not in rest.keys:
        report.left_out(path, "limits are of single keys here: keys.NAME.limits")
    else:
        rest.keys[MASTER]["limits"] = [{"concurrent": count}]


def _of_all(rest: Rest, path: Path, value: Any, report: Report) -> None:
    if (count := whole(value)) is None:
        report.left_out(path, "is no number of calls")
    else:
        rest.limits.append({"concurrent": count})


def _json_logs(rest: Rest, path: Path, value: Any, report: Report) -> None:
    rest.log = {"format": "json"} if value is True else {}


def _with_the_other(rest: Rest, path: Path, value: Any, report: Report) -> None:
    """`max_budget` and `budget_duration` make one budget together."""


def _budget(rest: Rest, tree: Mapping[str, Tree], report: Report) -> None:
    settings = tree.get("litellm_settings")
    cap = settings.get("max_budget") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or cap is None:
        return
    path, usd, per = ("litellm_settings", "max_budget"), number(cap), period(settings.get("budget_duration"))
    if not usd:
        report.left_out(path, "is no amount above 0")
    elif per is None:
        report.left_out(path, "budgets are for a minute, an hour, a day, a week, a month or in total here")
    else:
        rest.budgets.append({"usd": usd, "per": per})


_READERS: dict[Path, Reader] = {
    ("router_settings", "fallbacks"): _fallbacks,
    ("router_settings", "default_fallbacks"): _default_fallbacks,
    ("router_settings", "model_group_alias"): _aliases,
    ("router_settings", "num_retries"): _retries,
    ("router_settings", "retry_after"): _first_wait,
    ("router_settings", "timeout"): _timeout,
    ("router_settings", "stream_timeout"): _timeout,
    ("litellm_settings", "fallbacks"): _fallbacks,
    ("litellm_settings", "default_fallbacks"): _default_fallbacks,
    ("litellm_settings", "num_retries"): _retries,
    ("litellm_settings", "request_timeout"): _timeout,
    ("litellm_settings", "json_logs"): _json_logs,
    ("litellm_settings", "max_budget"): _with_the_other,
    ("litellm_settings", "budget_duration"): _with_the_other,
    ("general_settings", "master_key"): _master_key,
    ("general_settings", "completion_model"): _default_model,
    ("general_settings", "max_parallel_requests"): _of_each_key,
    ("general_settings", "global_max_parallel_requests"): _of_all,
}
