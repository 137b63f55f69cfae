"""What the environment says where the file says nothing: variables people have set already, read as settings.

They count where the environment makes the providers; one that holds nothing but space is not set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from proxy.config.document import Document, Tree
from proxy.config.problems import Path, Problem, path_text, suggestion
from proxy.config.secrets import Concealed, Filled, is_broken
from proxy.policy.values import FromEnvironment
from proxy.presets import PRESETS

LONGEST_VALUE = 4096
_LONGEST_TIMEOUT_MS = 7 * 86_400_000
_MOST_RETRIES = 9
_LEVELS = {
    **dict.fromkeys(("1", "true", "yes", "on"), "debug"),
    **dict.fromkeys(("0", "false", "no", "off"), "info"),
}
_MODEL = ("OPENROUTER_DEFAULT_MODEL", "OPEN_ROUTER_DEFAULT_MODEL")
_OF_OPENROUTER = (*_MODEL, "OPENROUTER_HTTP_REFERER", "OPENROUTER_APP_NAME", "OPENROUTER_TIMEOUT_MS")
_WEBHOOK = ("OPENROUTER_WEBHOOK_URL", "OPENROUTER_WEBHOOK_SECRET")
_THRESHOLDS = ("80%", "95%")
# what is set beside the keys of providers
VARIABLES = (
    "AI_PROVIDER",
    *_OF_OPENROUTER,
    "DEFAULT_AI_MODEL",
    "OPENROUTER_MAX_RETRIES",
    "OPENROUTER_DEBUG",
    *_WEBHOOK,
)
_REFERENCE = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?", re.ASCII)
_DIGITS = re.compile("[0-9]{1,15}", re.ASCII)


class Said(Struct):
    """What the variables say. `values` are (variable, value) by the path a file would have them at, `secrets` the
    variables whose values nobody may read, by path; `keys` are those that hold the key of a provider, by its kind, `only`
    is the one that AI_PROVIDER names.

    `unused` are sentences about variables that do nothing, `unset` the problems of a secret that is missing.
    """

    values: dict[Path, tuple[str, Any]] = field(default_factory=dict)
    secrets: dict[Path, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    only: str | None = None
    unused: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unset: list[Problem] = field(default_factory=list)

    @property
    def told(self) -> tuple[FromEnvironment, ...]:
        """The settings that come from here, keys aside."""
        only = [] if self.only is None else [FromEnvironment("providers", f"{self.only} only", "AI_PROVIDER")]
        rows = [(path, *row) for path, row in self.values.items() if path not in self.secrets]
        return (*only, *(FromEnvironment(path_text(path), _shown(value), name) for path, name, value in rows))


def read_environment(env: Mapping[str, str]) -> Said:
    """Read every variable, each by itself; what makes no sense is a problem that names it."""
    reading = _Reading(env, Said())
    reading.providers()
    if "openrouter" in reading.said.keys:
        reading.openrouter()
    else:
        reading.leave(_OF_OPENROUTER, "there is no provider openrouter")
    reading.everything_else()
    return reading.said


def lay_under(document: Document, filled: Filled, env: Mapping[str, str]) -> Said:
    """Put what the environment says where the file says nothing; a file with providers has all it wants.

    `document` learns which variable stands where, for problems; `filled` gets the values and the names.
    """
    if filled.tree.get("providers"):
        said = Said()
        written = {name for names in filled.variables.values() for name in names}
        others = tuple(name for name in VARIABLES if name not in written)
        _Reading(env, said).leave(others, f"{document.file} has providers")
        return said
    said = read_environment(env)
    if any(filled.tree.get(name) is not None for name in ("alerts", "budget_alerts")):
        said.values.pop(("budget_alerts",), None)
    for path, (name, value) in list(said.values.items()):
        if _put(filled.tree, path, _concealed(value)):
            within = {at: of for at, of in said.secrets.items() if at[: len(path)] == path}
            for at, variable in {path: name, **within}.items():
                filled.variables[at] = (variable,)
                document.variables[at] = variable
        else:
            del said.values[path]
            said.unused.append(f"{name}: {document.file} says {path_text(path)}")
    return said


def _shown(value: Any) -> str:
    """Of a list, what it holds; of a webhook its host, as its address may hold a token."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return urlsplit(value["url"]).hostname or "" if isinstance(value, dict) else str(value)


def _concealed(value: Any) -> Any:
    if isinstance(value, list):
        return [_concealed(item) for item in value]
    if isinstance(value, dict):
        return {name: _concealed(item) for name, item in value.items()}
    return Concealed(value) if isinstance(value, str) else value


def _put(tree: dict[str, Tree], path: Path, value: Any) -> bool:
    """Whether there was room for it: nothing is written there, and what is around it is a mapping or nothing."""
    here: Any = tree
    for step in path[:-1]:
        if here.get(step) is None:
            here[step] = {}
        here = here[step]
        if not isinstance(here, dict):
            return False
    if here.get(path[-1]) is not None:
        return False
    here[path[-1]] = value
    return True


class _Reading:
    """One look at an environment."""

    def __init__(self, env: Mapping[str, str], said: Said) -> None:
        self._env = env
        self.said = said

    def providers(self) -> None:
        """The key of each provider, of the chosen one only where one is chosen."""
        kinds = [kind for kind, preset in PRESETS.items() if preset.variables]
        chosen = self._chosen(kinds)
        for kind in kinds if chosen is None else [chosen]:
            variables = PRESETS[kind].variables
            if (given := self._text(*variables)) is not None:
                self._keep(("providers", kind, "api_key"), *given)
                self.said.secrets["providers", kind, "api_key"] = self.said.keys[kind] = given[0]
            elif kind == chosen:
                sentence = f"chooses {kind}, whose key is not set: set {variables[0]}"
                self.said.unset.append(Problem("AI_PROVIDER", 0, 0, "", sentence))
        if chosen is None:
            return
        self.said.only = chosen if chosen in self.said.keys else None
        for kind in kinds:
            if kind != chosen:
                self.leave(PRESETS[kind].variables, f"AI_PROVIDER chooses {chosen}")

    def openrouter(self) -> None:
        """What is sent to OpenRouter, and how long it may take."""
        entry: Path = ("providers", "openrouter")
        for name, header in (("OPENROUTER_HTTP_REFERER", "HTTP-Referer"), ("OPENROUTER_APP_NAME", "X-Title")):
            if (given := self._plain(name)) is not None and self._is_sendable(*given):
                self._keep((*entry, "headers", header), *given)
        if (given := self._plain(*_MODEL)) is not None:
            self._keep(("default_model",), *given)
        name = "OPENROUTER_TIMEOUT_MS"
        most = f"{_LONGEST_TIMEOUT_MS} (a week)"
        number = self._number(name, 1, _LONGEST_TIMEOUT_MS, f"a whole number of milliseconds, from 1 to {most}")
        for member in ("first_byte", "unstreamed") if number is not None else ():
            self._keep((*entry, "timeouts", member), name, f"{number}ms")

    def everything_else(self) -> None:
        """What no provider has for itself."""
        if ("default_model",) in self.said.values:
            self.leave(("DEFAULT_AI_MODEL",), f"{self.said.values['default_model',][0]} goes before it")
        elif (given := self._plain("DEFAULT_AI_MODEL")) is not None:
            self._keep(("default_model",), *given)
        what = f"a whole number from 0 to {_MOST_RETRIES}: how often a try is repeated"
        retries = self._number("OPENROUTER_MAX_RETRIES", 0, _MOST_RETRIES, what)
        if retries is not None:
            self._keep(("retries", "attempts"), "OPENROUTER_MAX_RETRIES", retries + 1)
        if (given := self._plain("OPENROUTER_DEBUG")) is not None:
            level = _LEVELS.get(given[1].lower())
            if level is None:
                self._report(given[0], "must be true or false (or 1 or 0, yes or no, on or off)")
            else:
                self._keep(("log", "level"), given[0], level)
        self._webhook()

    def _webhook(self) -> None:
        """Where alerts go, and from which parts of a budget on."""
        url, secret = self._plain(_WEBHOOK[0]), self._text(_WEBHOOK[1])
        if url is None:
            self.leave(_WEBHOOK[1:], f"there is no {_WEBHOOK[0]}")
        elif secret is None:
            self.said.unset.append(
                Problem(url[0], 0, 0, "", f"wants {_WEBHOOK[1]} beside it, which signs what is sent")
            )
        else:
            self._keep(("alerts",), url[0], [{"url": url[1], "secret": secret[1]}])
            self._keep(("budget_alerts",), url[0], list(_THRESHOLDS))
            self.said.secrets["alerts", 0, "url"], self.said.secrets["alerts", 0, "secret"] = url[0], secret[0]

    def leave(self, names: tuple[str, ...], reason: str) -> None:
        """Say of those that are set that they do nothing, and why."""
        self.said.unused += [f"{name}: {reason}" for name in names if self._env.get(name, "").strip()]

    def _chosen(self, kinds: list[str]) -> str | None:
        given = self._plain("AI_PROVIDER")
        if given is None or given[1].lower() == "auto":
            return None
        if given[1].lower() in kinds:
            return given[1].lower()
        near = suggestion(given[1], ("auto", *kinds))
        self._report(given[0], f"must be auto, {', '.join(kinds[:-1])} or {kinds[-1]}{near}")
        return None

    def _text(self, *names: str) -> tuple[str, str] | None:
        """The first of these spellings that is set, with its value; a problem where another says otherwise, or where
        the value is none."""
        given = [(name, value) for name in names if (value := self._env.get(name, "").strip())]
        if not given:
            return None
        (name, value), *others = given
        for sentence in (*_different(value, others), *_no_value(value)):
            self._report(name, sentence)
            return None
        return name, value

    def _plain(self, *names: str) -> tuple[str, str] | None:
        """The same for what is no secret: quotes around it, as `docker run --env-file` leaves them, are a problem."""
        given = self._text(*names)
        if given is not None and len(given[1]) > 1 and given[1][0] == given[1][-1] and given[1][0] in "'\"":
            self._report(given[0], "stands in quotes, which count as part of it: take them out where it is set")
            return None
        return given

    def _number(self, name: str, least: int, most: int, what: str) -> int | None:
        given = self._plain(name)
        if given is None:
            return None
        if not _DIGITS.fullmatch(given[1]) or not least <= int(given[1]) <= most:
            self._report(name, f"must be {what}")
            return None
        return int(given[1])

    def _is_sendable(self, name: str, value: str) -> bool:
        if value.isascii() and value.isprintable():
            return True
        self._report(name, "cannot be sent in an HTTP header: it takes ASCII without line breaks")
        return False

    def _keep(self, path: Path, name: str, value: Any) -> None:
        self.said.values[path] = name, value

    def _report(self, name: str, sentence: str) -> None:
        self.said.problems.append(Problem(name, 0, 0, "", sentence))


def _different(value: str, others: list[tuple[str, str]]) -> Iterator[str]:
    for name, other in others:
        if other != value:
            yield f"{name} is set as well and says otherwise; keep one of the two"


def _no_value(value: str) -> Iterator[str]:
    if len(value) > LONGEST_VALUE:
        yield f"is longer than {LONGEST_VALUE:,} characters"
    if is_broken(value):
        yield "does not hold readable text"
    if _REFERENCE.fullmatch(value):
        yield "holds the name of a variable, which nothing has put a value in the place of"
