"""The whole way: from a parsed LiteLLM file to the text of ours, every name of it seen to lead where it did."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, count
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.cli.litellm.deployments import Deployment, Deployments, Upstream
from proxy.cli.litellm.report import SETTINGS, Report
from proxy.cli.litellm.settings import Rest, read_settings
from proxy.cli.litellm.writing import config_text
from proxy.config.document import Document
from proxy.config.load import load_text
from proxy.config.loader import parse
from proxy.config.oddities import is_local
from proxy.config.problems import ConfigProblems, Problem
from proxy.data import snapshot_bytes
from proxy.errors import ModelNotFound
from proxy.policy.names.families import FAMILIES
from proxy.policy.names.feed import read_feed
from proxy.policy.names.resolution import Names, resolve
from proxy.policy.values import Target

_MERGE = "<<"
_AUTHORS = frozenset(FAMILIES.values())
_STANDS_IN = "one of several of this name: it stands in when the first fails"
_OF_THE_FIRST = "prices and parameters are those of the first of a name, and these are others"
_OF_ONE = "prices and parameters are of single models here, not of a pattern"
_PROBE = "a-model-nobody-made"
_ASTRAY = "by the rules of names here it would go elsewhere, see docs/models.md"


class Moved(Struct, frozen=True):
    """The text of our file, what is in it, and what is to be said about it."""

    text: str
    models: tuple[str, ...]
    providers: tuple[str, ...]
    report: Report
    has_keys: bool


def move(text: str, file: str) -> Moved:
    """Read, move and prove. Raises ConfigProblems where the file is no YAML or no configuration of LiteLLM."""
    document = parse(text, file)
    tree = _without_merge_keys(document.tree)
    problems = [*document.problems, *_shape(document, tree)]
    if problems:
        raise ConfigProblems(problems)
    report = Report(document)
    rest = read_settings(tree, report)
    left = list(Deployments(tree["model_list"], rest.timeouts, report))
    heading = f"Written by `tollkeeper import litellm {FilePath(file).name}`; every setting: docs/configuration.md"
    while True:
        config = _Assembly(left, rest, report).config()
        written = config_text(config, heading)
        astray = _astray(written, left, config) if left else []
        if not astray:
            return Moved(written, tuple(config["models"]), tuple(config["providers"]), report, bool(rest.keys))
        for deployment in astray:
            report.left_out((*deployment.path, "model_name"), f"{deployment.name!r}: {_ASTRAY}")
        left = [deployment for deployment in left if deployment not in astray]


def _without_merge_keys(value: Any) -> Any:
    """What `<<:` brings in, under what stands beside it."""
    if isinstance(value, list):
        return [_without_merge_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    brought = value.get(_MERGE)
    merged: dict[str, Any] = {}
    for base in reversed(brought if isinstance(brought, list) else [brought]):
        merged |= _without_merge_keys(base) if isinstance(base, dict) else {}
    return merged | {name: _without_merge_keys(item) for name, item in value.items() if name != _MERGE}


def _shape(document: Document, tree: Mapping[str, Any]) -> Iterator[Problem]:
    """What is not shaped as LiteLLM's files are."""
    rows = tree.get("model_list")
    if not isinstance(rows, list) or not rows:
        hint = "; this one is Tollkeeper's already" if "providers" in tree else ""
        yield document.problem(("model_list",), f"must be a list of models, as a configuration of LiteLLM has it{hint}")
        return
    for index, row in enumerate(rows):
        params = row.get("litellm_params") if isinstance(row, dict) else None
        if not isinstance(row, dict) or not isinstance(row.get("model_name"), str):
            yield document.problem(("model_list", index), "must have a model_name")
        if not isinstance(params, dict) or not isinstance(params.get("model"), str) or not params["model"]:
            yield document.problem(("model_list", index), "must have litellm_params with a model")
    for section in SETTINGS:
        if not isinstance(tree.get(section), dict | None):
            yield document.problem((section,), "must hold `name: value` lines")


class _Assembly:
    """Entries, names and fallbacks put together."""

    def __init__(self, deployments: list[Deployment], rest: Rest, report: Report) -> None:
        """Name every upstream once, in the order of the file."""
        self._deployments, self._rest, self._report = deployments, rest, report
        self._entries: dict[Upstream, str] = {}
        for deployment in deployments:
            if deployment.upstream not in self._entries:
                self._entries[deployment.upstream] = _entry_name(deployment.upstream, set(self._entries.values()))

    def config(self) -> dict[str, Any]:
        """Our sections."""
        models = self._models()
        self._add_fallbacks(models)
        rest = self._rest
        default = rest.default_model[1] if rest.default_model and rest.default_model[1] in models else None
        return {
            "providers": {name: _entry(upstream, name) for upstream, name in self._entries.items()},
            "routes": list(self._routes()),
            "models": {name: model if len(model) > 1 else model["target"] for name, model in models.items()},
            "default_model": default, "retries": rest.retries, "keys": rest.keys, "limits": rest.limits,
            "budgets": rest.budgets, "log": rest.log,
        }  # fmt: skip

    def target(self, deployment: Deployment) -> str:
        """What leads to a deployment."""
        return f"{self._entries[deployment.upstream]}/{deployment.model}"

    def _models(self) -> dict[str, dict[str, Any]]:
        models: dict[str, dict[str, Any]] = {}
        for deployment in sorted(self._deployments, key=lambda one: one.order):
            if is_wildcard(deployment):
                if deployment.defaults or deployment.price:
                    self._report.left_out((*deployment.path, "litellm_params"), _OF_ONE)
                continue
            target, known = self.target(deployment), models.get(deployment.name)
            if known is None:
                more = {"defaults": deployment.defaults, "price": deployment.price}
                models[deployment.name] = {"target": target, **{name: value for name, value in more.items() if value}}
                continue
            if target not in (known["target"], *known.get("fallbacks", ())):
                known.setdefault("fallbacks", []).append(target)
            if (deployment.defaults, deployment.price) not in (({}, {}), (known.get("defaults"), known.get("price"))):
                self._report.left_out((*deployment.path, "litellm_params"), _OF_THE_FIRST)
            self._report.changed((*deployment.path, "model_name"), _STANDS_IN)
        for name, (path, meant) in self._rest.aliases.items():
            if meant in models:
                price = models[meant].get("price")  # a price belongs to the name it stands under
                models.setdefault(name, {"target": meant, **({"price": price} if price else {})})
            else:
                self._report.left_out(path, f"{meant!r} is not moved")
        return models

    def _add_fallbacks(self, models: dict[str, dict[str, Any]]) -> None:
        for path, name, other in self._rest.fallbacks:
            missing = next((one for one in (name, other) if one not in models and one != "*"), None)
            if missing is not None:
                self._report.left_out(path, f"{missing!r} is not moved")
                continue
            if "price" in models[other]:
                self._report.changed(
                    path, f"the price of {other!r} counts where it is asked for, not where it stands in"
                )
            for one in models if name == "*" else [name]:
                if other not in (one, models[one]["target"], *models[one].get("fallbacks", ())):
                    models[one].setdefault("fallbacks", []).append(other)

    def _routes(self) -> Iterator[dict[str, str]]:
        """Beside OpenRouter, or a row for all names, authors' names belong to the author's own entry."""
        names = [name for upstream, name in self._entries.items() if upstream.host.kind != "openrouter"]
        for_all = [one for one in self._deployments if one.name == "*" and one.upstream.host.kind != "openrouter"]
        if len(names) < len(self._entries) or for_all:
            yield from ({"match": f"{name}/*", "provider": name} for name in names if self._has_authored(name))
        for one in self._deployments:  # an author's models at a server of another name
            entry = self._entries[one.upstream]
            if is_wildcard(one) and one.name.removesuffix("/*") in _AUTHORS - {entry}:
                yield {"match": one.name, "provider": entry}
        yield from ({"match": "*", "provider": self._entries[one.upstream]} for one in for_all[:1])

    def _has_authored(self, entry: str) -> bool:
        served = (one.model for one in self._deployments if self._entries[one.upstream] == entry)
        return entry in _AUTHORS and any("/" not in model for model in served)


def is_wildcard(deployment: Deployment) -> bool:
    """Whether a row stands for every model of an upstream."""
    return "*" in deployment.name or "*" in deployment.model


def _entry_name(upstream: Upstream, taken: set[str]) -> str:
    """A name for an entry of `providers:`: LiteLLM's, or that of the server where it is another than usual."""
    stem = upstream.vendor
    if upstream.base_url != upstream.host.base_url and not upstream.host.own:
        host = urlsplit(upstream.base_url).hostname or ""
        variable = re.search(r"\$\{(\w+?)(?:_API_BASE|_BASE_URL|_URL)?\}", upstream.base_url)
        stem = variable[1].lower() if variable else "local" if is_local(host) else host
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", stem).strip("._-")[:50] or "server"
    return next(name for name in chain([stem], (f"{stem}-{n}" for n in count(2))) if name not in taken)


def _entry(upstream: Upstream, name: str) -> dict[str, Any]:
    host = upstream.host
    members = {
        "kind": host.kind if name != host.kind else None,
        "api_key": upstream.api_key,
        "base_url": upstream.base_url,
        "headers": dict(upstream.headers),
        "timeouts": dict(upstream.timeouts),
        "free": upstream.free,
    }
    return {member: value for member, value in members.items() if value}


def _astray(text: str, deployments: list[Deployment], config: dict[str, Any]) -> list[Deployment]:
    """The deployments whose name would not lead to them, by the same rules as a running daemon's."""
    variables = {
        name: f"http://{name.lower().replace('_', '-')}.invalid/v1" for name in re.findall(r"\$\{(\w+)\}", text)
    }
    settings = load_text(text, FilePath("imported.yaml"), variables).settings
    names = Names(settings, read_feed(snapshot_bytes()), {})
    entries = list(config["providers"])
    by_upstream = dict(zip(dict.fromkeys(one.upstream for one in deployments), entries, strict=True))
    return [one for one in deployments if not _leads(names, one, by_upstream[one.upstream])]


def _leads(names: Names, deployment: Deployment, entry: str) -> bool:
    asked, model = deployment.name, deployment.model
    if is_wildcard(deployment):
        if deployment.upstream.host.kind == "openrouter":
            return asked in ("*", f"{entry}/*") and model == "*"
        asked, model = asked.replace("*", _PROBE), model.replace("*", _PROBE)
    try:
        return Target(entry, model) in resolve(names, asked).targets
    except ModelNotFound:
        return False
