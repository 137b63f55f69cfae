"""The rows of `model_list`: which model at which upstream each one is, and what it says beside that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from proxy.cli.litellm.hosts import HOSTS, NATIVE_IF_MOVED, NEEDS_ADDRESS, SAME_AS, Host, why_not
from proxy.cli.litellm.report import Report
from proxy.cli.litellm.values import (
    PLACEHOLDERS,
    per_million,
    seconds,
    variable_in,
    variables_in,
    written,
)
from proxy.config.fields import BaseUrl, Headers
from proxy.config.oddities import is_local
from proxy.config.problems import Path
from proxy.policy.names.families import author_of

_BASE_URL: TypeAdapter[str] = TypeAdapter(BaseUrl)
_HEADERS: TypeAdapter[dict[str, str]] = TypeAdapter(Headers)
_PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
}
# members of a request, which LiteLLM sends where the client is silent
_DEFAULTS = frozenset(
    "temperature top_p max_tokens max_completion_tokens n stop presence_penalty frequency_penalty seed logit_bias user "
    "reasoning_effort verbosity response_format parallel_tool_calls tools tool_choice service_tier thinking".split()
)
_READ = frozenset(("model", "custom_llm_provider", "api_key", "api_base", "base_url", "organization", "extra_headers",
                   "headers", "timeout", "stream_timeout", "extra_body", "order", *_DEFAULTS, *_PRICES))  # fmt: skip
_OF_KEYS = "limits are of keys or of everything here, not of one model"
_NARROWED = "a budget of one model is a row of `budgets:` here: {usd: 5, per: day, for: {model: NAME}}"
_IN_ORDER = "deployments of one name are tried in their order; `experiments:` shares calls out, see docs/experiments.md"
_ONE_SETTING = "how often is tried again is one setting for all here, retries:"
_REASONS = {
    "rpm": _OF_KEYS, "tpm": _OF_KEYS, "rpd": _OF_KEYS, "tpd": _OF_KEYS, "max_parallel_requests": _OF_KEYS,
    "max_budget": _NARROWED, "budget_duration": _NARROWED, "max_retries": _ONE_SETTING, "num_retries": _ONE_SETTING,
    "weight": _IN_ORDER,
    "tags": "nothing is routed by tags here",
    "drop_params": "requests pass unchanged, and nothing is dropped from them",
    "mock_response": "the built-in mock provider answers for tests, see docs/mock.md",
}  # fmt: skip
_LONGEST_NAME = 256
_NO_COUNTERPART = "has no counterpart here"
_KNOWN_OTHERWISE = "what a model is and can do is known from the lists of `tollkeeper models`"


class Upstream(Struct, frozen=True):
    """An entry of `providers:` to be. Texts are as our file writes them; `base_url` "" is the kind's own."""

    vendor: str
    host: Host
    base_url: str = ""
    api_key: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    timeouts: tuple[tuple[str, Any], ...] = ()
    free: bool = False


class Deployment(Struct, frozen=True):
    """One row that can be moved: `model` is what `upstream` reads."""

    name: str
    path: Path
    upstream: Upstream
    model: str
    defaults: dict[str, Any]
    price: dict[str, Any]
    order: int = 0


class Deployments:
    """Reads rows; keys that stand in the file get a variable each."""

    def __init__(self, rows: list[dict[str, Any]], timeouts: Mapping[str, Any], report: Report) -> None:
        """`timeouts` are those of the whole file, as our names for them."""
        self._report = report
        self._rows = rows
        self._timeouts = timeouts
        self._taken = set(variables_in(rows))
        self._taken |= {host.variable for row in rows if (host := _silent_about_its_key(row["litellm_params"]))}
        self._literals: dict[tuple[str, str], str] = {}

    def __iter__(self) -> Iterator[Deployment]:
        """Yield what can be moved, in the order of the file."""
        for index, row in enumerate(self._rows):
            found = self._deployment(row, ("model_list", index))
            if found is not None:
                yield found

    def _deployment(self, row: dict[str, Any], path: Path) -> Deployment | None:
        params, at = row["litellm_params"], (*path, "litellm_params")
        if (refusal := _refusal(row)) is not None:
            self._report.left_out((*path, *refusal[0]), refusal[1])
            return None
        vendor, model = split_model(params)
        price = self._price(row, path)
        upstream = self._upstream(vendor, params, at, is_priced=bool(price))
        self._what_is_lost(row, path)
        defaults = {key: value for key, value in params.items() if key in _DEFAULTS and value is not None}
        extra = params.get("extra_body")
        defaults |= extra if isinstance(extra, dict) else {}
        order = params["order"] if isinstance(params.get("order"), int) else 0
        return Deployment(row["model_name"], path, upstream, model, _escaped(defaults), price, order)

    def _upstream(self, vendor: str, params: dict[str, Any], at: Path, *, is_priced: bool) -> Upstream:
        host = HOSTS[vendor]
        base_url = _base_url(host, _address(params))
        local = host.own or is_local(urlsplit(base_url).hostname or "")
        key = self._key(vendor, params, at, local=local)
        free = local and not is_priced
        headers, timeouts = self._headers(params, at), self._patience(params, at)
        return Upstream(SAME_AS.get(vendor, vendor), host, base_url, key, headers, timeouts, free)

    def _key(self, vendor: str, params: dict[str, Any], at: Path, *, local: bool) -> str:
        value = params.get("api_key")
        literal = str(value) if value is not None else ""
        if (variable := variable_in(literal)) is None:
            if literal.lower() in PLACEHOLDERS and (local or (literal and _address(params))):
                return ""
            variable = self._literal(vendor, literal, (*at, "api_key")) if literal else HOSTS[vendor].variable
        if variable:
            self._report.variables.setdefault(variable, None)
        return f"${{{variable}}}" if variable else ""

    def _literal(self, vendor: str, value: str, path: Path) -> str:
        """A variable of its own for a key that stands in the file; the same for the same key."""
        known = self._literals.get((vendor, value))
        if known is None:
            stem = HOSTS[vendor].variable or re.sub(r"\W", "_", vendor.upper()) + "_API_KEY"
            names = [stem, *(f"{stem}_{count}" for count in range(2, len(self._rows) + 2))]
            known = next(name for name in names if name not in self._taken)
            self._taken.add(known)
            self._literals[vendor, value] = known
            self._report.literal(known, path)
        return known

    def _headers(self, params: dict[str, Any], at: Path) -> tuple[tuple[str, str], ...]:
        found: dict[str, str] = {}
        for member in ("headers", "extra_headers"):
            value = params.get(member)
            try:
                found |= {k: written(v) for k, v in _HEADERS.validate_python(value or {}).items()}
            except ValidationError:
                self._report.left_out((*at, member), "holds what cannot be an HTTP header")
        if isinstance(organization := params.get("organization"), str):
            found["OpenAI-Organization"] = written(organization)
        self._report.variables |= {name: None for text in found.values() for name in re.findall(r"\$\{(\w+)\}", text)}
        return tuple(found.items())

    def _patience(self, params: dict[str, Any], at: Path) -> tuple[tuple[str, Any], ...]:
        found = dict(self._timeouts)
        for member, ours in TIMEOUTS.items():
            if params.get(member) is not None:
                found |= dict.fromkeys(ours, timeout(params[member], (*at, member), self._report))
        return tuple((name, value) for name, value in found.items() if value is not None)

    def _price(self, row: dict[str, Any], path: Path) -> dict[str, Any]:
        info = row.get("model_info")
        costs = {**(info if isinstance(info, dict) else {}), **row["litellm_params"]}
        found: dict[str, Any] = {}
        for member, ours in _PRICES.items():
            if costs.get(member) is None:
                continue
            price = per_million(costs[member])
            if price is None:
                self._report.left_out((*path, "model_info", member), "is no price")
            else:
                found[ours] = price
        return found

    def _what_is_lost(self, row: dict[str, Any], path: Path) -> None:
        for member in row["litellm_params"].keys() - _READ:
            cost = "only prices of tokens can be told here" if "cost" in member else _NO_COUNTERPART
            self._report.left_out((*path, "litellm_params", member), _REASONS.get(member, cost))
        info = row.get("model_info")
        for member in (info.keys() if isinstance(info, dict) else set()) - _PRICES.keys():
            cost = "only prices of tokens can be told here" if "cost" in member else _KNOWN_OTHERWISE
            self._report.left_out((*path, "model_info", member), cost)
        for member in row.keys() - {"model_name", "litellm_params", "model_info"}:
            self._report.left_out((*path, member), _NO_COUNTERPART)


TIMEOUTS = {"timeout": ("unstreamed", "first_byte"), "stream_timeout": ("first_byte", "idle")}


def timeout(value: Any, path: Path, report: Report) -> Any:
    """A timeout in seconds; None, and a sentence, where it is none."""
    found = seconds(value)
    if found is None:
        report.left_out(path, "is no number of seconds up to a week")
    return found


def split_model(params: Mapping[str, Any]) -> tuple[str, str]:
    """LiteLLM's provider, and the name of the model there; "" where only LiteLLM's own list says which it is."""
    model, stated = str(params["model"]), params.get("custom_llm_provider")
    head, _, rest = model.partition("/")
    if isinstance(stated, str) and stated:
        return stated, rest if head == stated and rest else model
    if not rest:
        author = author_of(model)
        return (author if author in ("openai", "anthropic") else ""), model
    if head == "fireworks_ai" and rest != "*" and not rest.startswith("accounts/"):
        rest = f"accounts/fireworks/models/{rest}"
    return head, rest


def _refusal(row: Mapping[str, Any]) -> tuple[Path, str] | None:
    """Which member of a row says that it cannot be moved, and why."""
    params, name = row["litellm_params"], row["model_name"]
    vendor, model = split_model(params)
    address, at = _address(params), ("litellm_params", "model")
    if not name.isprintable() or " " in name or len(name) > _LONGEST_NAME:
        return ("model_name",), f"{name!r} holds a space, or is too long for a name"
    if model == "*" and not vendor:
        return at, "every name finds its provider by itself here, see docs/models.md"
    if not vendor:
        return at, f"{name!r} is {model!r}, and only LiteLLM's list says at which provider; write provider/model"
    if vendor not in HOSTS or (vendor in NATIVE_IF_MOVED and address):
        return at, f"{name!r} is {vendor}/…: {why_not(vendor)}"
    if not address and vendor in NEEDS_ADDRESS:
        return at, f"{name!r} is {vendor}/…, which wants an api_base, and there is none"
    base_url = _base_url(HOSTS[vendor], address)
    return (
        None
        if not base_url or "${" in base_url or _fits(base_url)
        else (("litellm_params", "api_base"), f"the address of {name!r} cannot be called")
    )


def _fits(base_url: str) -> bool:
    try:
        return bool(_BASE_URL.validate_python(base_url))
    except ValidationError:
        return False


def _address(params: Mapping[str, Any]) -> str:
    value = params.get("api_base") or params.get("base_url") or ""
    return value if isinstance(value, str) else ""


def _base_url(host: Host, address: str) -> str:
    """The address as our file has it: LiteLLM's own where there is none, up to and including /v1 where it adds that."""
    if not address:
        return host.base_url
    base_url = written(address).rstrip("/")
    return base_url if not host.below or base_url.endswith(host.below) else base_url + host.below


def _silent_about_its_key(params: Mapping[str, Any]) -> Host | None:
    vendor, _ = split_model(params)
    return HOSTS.get(vendor) if params.get("api_key") is None else None


def _escaped(value: Any) -> Any:
    """The same, with variables as we write them."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return written(value) if isinstance(value, str) else value
