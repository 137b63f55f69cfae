"""From a path to a configuration that can be run, or to everything that is wrong with it at once."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from proxy.config.build import Sources, build
from proxy.config.checks import cross_findings
from proxy.config.discover import beside, key_file
from proxy.config.document import Document
from proxy.config.environment import Said, lay_under
from proxy.config.loader import parse
from proxy.config.locate import read_text
from proxy.config.models import Config
from proxy.config.problems import ConfigProblems, Problem
from proxy.config.problems import Path as Place
from proxy.config.secrets import Filled, fill_in, is_whole_bundle, read_key_file, unreadable_authorities
from proxy.config.sentences import shape_problems
from proxy.config.stored import Entry, Layers, lay_over
from proxy.policy.tenants import SECRET_HEADERS
from proxy.policy.values import Settings
from proxy.secret import Secret

ENVIRONMENT = "environment"
_EMPTY = "the file is empty, as one that was cut or lost would be; where nothing is to be said, remove it or write {}"

KeyFiles = dict[Place, tuple[Path, Secret]]


class Loaded(Struct, frozen=True):
    """A usable configuration: `settings` for the daemon, `config` with the sections on money as they were written,
    `layers` with who wrote what."""

    settings: Settings
    config: Config
    layers: Layers


class Wanted(Struct, frozen=True):
    """How a configuration is to be read, as `load` says."""

    mock: bool = False
    needs_secrets: bool = True
    stored: tuple[Entry, ...] = ()


AS_IT_IS = Wanted()


def load(
    path: Path | str | None,
    env: Mapping[str, str],
    *,
    mock: bool = False,
    needs_secrets: bool = True,
    stored: tuple[Entry, ...] = (),
) -> Loaded:
    """Read, check and resolve the file at `path`; None lets the environment decide. Raises ConfigProblems.

    `mock` puts the built-in provider in the place of all others. Without `needs_secrets` no key file is read, and a
    variable that is not set stands for itself: enough for whoever calls no provider. `stored` is laid over the file.
    """
    file = None if path is None else Path(path)
    text = "" if file is None else read_text(file)
    return load_text(text, file, env, Wanted(mock, needs_secrets, stored))


def load_text(text: str, file: Path | None, env: Mapping[str, str], wanted: Wanted = AS_IT_IS) -> Loaded:
    """Do the work of `load` for text already read."""
    document = parse(text, ENVIRONMENT if file is None else str(file))
    if file is not None and not document.has_content:
        raise ConfigProblems([Problem(str(file), 0, 0, "", _EMPTY)])
    filled = fill_in(document, env)
    warnings = (*_readable_by_others(file, filled), *(_lost_authorities(env) if wanted.needs_secrets else ()))
    written = {name for name, value in filled.tree.items() if value is not None}
    said = Said() if wanted.mock else lay_under(document, filled, env)
    filled.tree = lay_over(document, filled.tree, wanted.stored)
    config, shape = _shaped(document, filled.tree)
    problems = said.problems + shape
    key_files, unread = _key_files(document, filled, file, env) if wanted.needs_secrets else ({}, [])
    unread += _ca_files(document, filled, file, env) if wanted.needs_secrets else ()
    names = tuple(_sections(filled.tree, "providers"))
    findings = cross_findings({**filled.tree, "routes": None} if wanted.mock else filled.tree, names)
    unread += [document.problem(path, sentence) for path, sentence in findings]
    unset = filled.problems + said.unset if wanted.needs_secrets else []
    everything = _causes([document.problems + unset, problems, unread])
    if everything or config is None:
        if not wanted.needs_secrets:  # where a variable stands that is not set, that is what is wrong
            everything = _only_at(_causes([document.problems + filled.problems, problems, unread]), everything)
        raise ConfigProblems(everything)
    laid = [entry for entry in wanted.stored if (entry.section, entry.name) in document.stored.values()]
    written |= {entry.section for entry in laid}
    stored = {(entry.section, entry.name): entry.unreadable for entry in laid}
    sources = Sources(file, filled, env, key_files, said, frozenset(written), wanted.mock, stored)
    settings = build(config, sources, warnings + tuple(_not_opened(laid)))
    return Loaded(settings, config, Layers(document, wanted.stored))


def _not_opened(laid: Iterable[Entry]) -> Iterator[str]:
    return (entry.complaint for entry in laid if entry.unreadable)


def _shaped(document: Document, tree: Mapping[str, Any]) -> tuple[Config | None, list[Problem]]:
    try:
        return Config.model_validate(tree), []
    except ValidationError as error:
        return None, list(shape_problems(document, error))


def _key_files(
    document: Document, filled: Filled, file: Path | None, env: Mapping[str, str]
) -> tuple[KeyFiles, list[Problem]]:
    found: KeyFiles = {}
    problems: list[Problem] = []
    for place in _key_file_places(filled.tree):
        written = _value_at(filled.tree, place)
        if not isinstance(written, str) or not written:
            continue
        path = key_file(written, file, env)
        try:
            found[place] = (path, read_key_file(path))
        except ValueError as error:
            problems.append(document.problem(place, str(error)))
    return found, problems


def _key_file_places(tree: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where the name of a file with a provider's key may stand."""
    for name in _sections(tree, "providers"):
        yield "providers", name, "api_key_file"
    for name, tenant in _sections(tree, "tenants").items():
        for provider in _sections(tenant if isinstance(tenant, dict) else {}, "credential_files"):
            yield "tenants", name, "credential_files", provider


def _ca_files(document: Document, filled: Filled, file: Path | None, env: Mapping[str, str]) -> Iterator[Problem]:
    for name, provider in _sections(filled.tree, "providers").items():
        written = provider.get("ca_file") if isinstance(provider, dict) else None
        if isinstance(written, str) and written and (why := unreadable_authorities(beside(written, file, env))):
            yield document.problem(("providers", name, "ca_file"), why)


def _lost_authorities(env: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with SSL_CERT_FILE, which whoever has no `ca_file:` is held against."""
    named = env.get("SSL_CERT_FILE")
    if named and not is_whole_bundle(Path(named)) and (why := unreadable_authorities(Path(named))):
        yield f"SSL_CERT_FILE is {named}: {why}; TLS to every provider without a `ca_file:` will fail"


def _causes(groups: list[list[Problem]]) -> list[Problem]:
    """Drop what stands where an earlier group saw a problem: a variable that is not set is no number either."""
    causes: list[Problem] = []
    for group in groups:
        known = {(problem.line, problem.column) for problem in causes if problem.line}
        causes += [problem for problem in group if (problem.line, problem.column) not in known]
    return causes


def _only_at(problems: list[Problem], places: list[Problem]) -> list[Problem]:
    """Those of `problems` that stand where one of `places` does."""
    known = {(problem.line, problem.column) for problem in places}
    return [problem for problem in problems if (problem.line, problem.column) in known]


def _readable_by_others(file: Path | None, filled: Filled) -> tuple[str, ...]:
    if file is None or not any(_written_secrets(filled)):
        return ()
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:  # gone since it was read
        return ()
    if not mode & 0o044:
        return ()
    return (f"{file} holds secrets and others can read it (mode {mode:04o}): chmod 600 {file}, or use ${{NAME}}",)


def _written_secrets(filled: Filled) -> Iterator[bool]:
    """Yield for every secret of the tree whether it stands in the file itself."""
    places: list[tuple[str, ...]] = [("admin", "token")]
    places += [("keys", name, "key") for name in _sections(filled.tree, "keys")]
    for name, tenant in _sections(filled.tree, "tenants").items():
        credentials = _sections(tenant if isinstance(tenant, dict) else {}, "credentials")
        places += [("tenants", name, "credentials", provider) for provider in credentials]
    places += [("admins", name, "token") for name in _sections(filled.tree, "admins")]
    places.append(("auth", "oidc", "client_secret"))
    for name, provider in _sections(filled.tree, "providers").items():
        members = provider if isinstance(provider, dict) else {}
        places += [("providers", name, member) for member in ("api_key", "admin_key")]
        headers = [header for header in _sections(members, "headers") if str(header).lower() in SECRET_HEADERS]
        places += [("providers", name, "headers", header) for header in headers]
        if "@" in str(members.get("proxy")):
            places.append(("providers", name, "proxy"))
    for place in places:
        yield _value_at(filled.tree, place) is not None and place not in filled.variables
    hooks = filled.tree.get("alerts")
    for index, hook in enumerate(hooks if isinstance(hooks, list) else []):
        yield _value_at(hook, ("secret",)) is not None and ("alerts", index, "secret") not in filled.variables
    yield _value_at(filled.tree, ("smtp", "password")) is not None and ("smtp", "password") not in filled.variables


def _value_at(tree: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def _sections(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = tree.get(name)
    return value if isinstance(value, dict) else {}
