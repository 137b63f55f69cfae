"""README and docs say what the code says: commands, options, settings, errors, log fields, links, pasted output."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import click
import pytest
import yaml
from measures import TREES
from pydantic import BaseModel

import proxy.exchange.session_errors
import proxy.jobs.faults
import proxy.stores.failures
import proxy.translate.images.refusals
import proxy.web.faults
from proxy.cli import main
from proxy.cli.start_lines import start_lines
from proxy.config.load import load
from proxy.config.models import Config
from proxy.data import snapshot_bytes
from proxy.errors import ModelNotFound, ProxyError
from proxy.exchange.entry import Entry
from proxy.policy.names.feed import read_feed
from proxy.policy.names.resolution import Names, resolve
from proxy.policy.retries.retry import Again, Attempt, Rounds, Seen, Trouble, judge
from proxy.policy.values import RetryRules
from proxy.web.operator.access.rights import RIGHTS
from proxy.web.operator.admin_table import ROUTES
from proxy.web.operator.settings.settings_orders import SETTINGS_ORDERS
from proxy.wire.endpoints import FREE_ROWS, MODEL_ROWS, endpoint_for
from proxy.wire.error_objects import Missing

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    return SPAN.findall(prose(page))


def fences(page: Path, language: str | None = None) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text()) if language in (None, kind)]


def section(page: Path, title: str) -> str:
    """Return what stands under a heading, up to the next one of its rank or a higher one."""
    found = re.search(rf"^(#+) {re.escape(title)}$(.*?)(?=^#{{1,3}} |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {title!r}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row, headings included."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield path + name, command


COMMANDS = dict(commands(main))
ALWAYS = {"--help", "-h", "--version"}


def shown(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option) and not option.hidden]


def options(command: click.Command) -> set[str]:
    return {name for option in shown(command) for name in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_section_with_its_options_and_a_sample(name: str) -> None:
    text = section(DOCS / "commands.md", name)
    documented = {word for row in rows(text) for word in re.findall(r"--?[a-z][a-z-]*|[A-Z_]+", row[0])}
    arguments = {argument.name.upper() for argument in COMMANDS[name].params if isinstance(argument, click.Argument)}
    assert options(COMMANDS[name]) | arguments <= documented
    assert {word for word in documented if word.startswith("-")} <= options(COMMANDS[name]) | ALWAYS
    assert f"$ tollkeeper {name}" in text
    assert all(option.help for option in shown(COMMANDS[name]))


def mentions(page: Path) -> Iterator[str]:
    """Yield every use of the command in code: spans, and lines of fenced blocks."""
    lines = [line.strip().removeprefix("$ ") for body in fences(page) for line in body.splitlines()]
    yield from (text for text in spans(page) + lines if re.match(r"tollkeeper [a-z-]", text))


def command_named(words: list[str]) -> str | None:
    return next((name for name in COMMANDS if words[: len(name.split())] == name.split()), None)


@every_page
def test_no_page_names_a_command_or_option_that_does_not_exist(page: Path) -> None:
    for text in mentions(page):
        words = text.partition("#")[0].split()[1:]
        name = command_named(words)
        assert name or words[0] in ALWAYS, f"{text!r}: there is no such command"
        known = ALWAYS | (options(COMMANDS[name]) if name else set())
        assert {word for word in words if re.match("--?[a-z]", word)} <= known, text


def config_fields(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Yield `providers.timeouts.idle` and its like: names of entries and list marks are left out."""
    for given, field in model.model_fields.items():
        name = field.alias or given
        yield prefix + name
        for part in parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from config_fields(part, f"{prefix}{name}.")


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from parts(argument)


FIELDS = frozenset(config_fields())
SECTIONS = frozenset(field.rpartition(".")[0] for field in FIELDS)
ENTRIES = ("providers", "models", "strategies", "keys", "tenants", "models.variables", "admins", "auth.oidc.groups",
           "experiments", "features", "alert_rules")  # fmt: skip


def written(value: Any, path: str = "") -> Iterator[str]:
    """Yield the settings of a YAML sample, as `config_fields` spells them."""
    if isinstance(value, list):
        for item in value:
            yield from written(item, path)
    elif isinstance(value, dict) and path in SECTIONS:
        for name, item in value.items():
            here = f"{path}.{name}".lstrip(".")
            yield here
            for part in item.values() if here in ENTRIES else [item]:
                yield from written(part, here)


@every_page
def test_no_page_names_a_setting_that_does_not_exist(page: Path) -> None:
    for span in spans(page):
        path = re.sub(r"\.NAME\b|\[\]", "", span).rstrip(":")
        is_path = re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", path) and path.partition(".")[0] in Config.model_fields
        if is_path and not path.endswith((".db", ".py", ".json")):
            assert path in FIELDS, f"{span!r} is no setting"


@every_page
def test_yaml_samples_hold_known_settings_only(page: Path) -> None:
    if page.name == "clients.md":
        return  # some of its samples are the files of other programs
    for body in fences(page, "yaml"):
        if body.startswith("model_list:"):
            continue  # LiteLLM's
        assert set(written(yaml.safe_load(body))) <= FIELDS, body


def errors(parent: type[ProxyError] = ProxyError) -> Iterator[type[ProxyError]]:
    for child in parent.__subclasses__():
        yield from errors(child) if child.__subclasses__() else [child]


ERRORS = list(errors())


def test_all_errors_are_looked_at() -> None:
    assert {proxy.web.faults.BadRequest, proxy.stores.failures.JournalUnwritable, ModelNotFound} <= set(ERRORS)
    assert len(ERRORS) > 20


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_row_with_its_code_status_and_hint(error: type[ProxyError]) -> None:
    found = [row for row in rows((DOCS / "errors.md").read_text()) if row[0] == f"`{error.code}`"]
    assert [row[2] for row in found] == [f"`{error.__name__}`"]
    assert found[0][1] == str(error.status)
    assert (found[0][-1] == "no") is (error.should_retry is False)
    assert error.kind in spans(DOCS / "operations.md"), "the error_type has no row"


def test_no_error_is_documented_that_does_not_exist() -> None:
    tables = [row for row in rows((DOCS / "errors.md").read_text()) if len(row) == 6 and row[0].startswith("`")]
    assert {row[0].strip("`") for row in tables} == {error.code for error in ERRORS}


def retry_rows() -> list[tuple[Seen, str, str]]:
    """The rows of the table of retries as what was seen, and the two verdicts."""
    found: list[tuple[Seen, str, str]] = []
    for what, again, elsewhere in rows(section(DOCS / "errors.md", "What is retried, and what falls back"))[1:]:
        trouble = re.search(r"\(`(\w+)`\)$", what)
        if trouble:
            found.append((Seen(trouble=cast(Trouble, trouble[1])), again, elsewhere))
        elif "any other" in what:
            found += [(Seen(status), again, elsewhere) for status in (400, 405, 409, 413, 415, 422, 451, 501, 520)]
        else:
            quota, affordable = "spent money" in what, 812 if "afford" in what else None
            statuses = re.findall(r"\b[45]\d\d\b", what)
            missing: Missing = "object" if "stored" in what else "model" if "model" in what else "unknown"
            told = [Seen(int(s), quota=quota, affordable=affordable, missing=missing) for s in statuses]
            found += [(seen, again, elsewhere) for seen in told]
    return found


@pytest.mark.parametrize(("seen", "again", "elsewhere"), retry_rows())
def test_the_table_of_retries_is_what_judge_does(seen: Seen, again: str, elsewhere: str) -> None:
    rules = RetryRules()
    first = judge(seen, Attempt(), Rounds(1, rules), 1.0)
    assert isinstance(first, Again) is again.startswith(("yes", "once"))
    if again.startswith("once"):
        assert isinstance(first, Again) and first.attempt.lowered_to == seen.affordable
    last_try = Attempt(tries=rules.attempts, lowered_to=seen.affordable)
    after = judge(seen, last_try, Rounds(2, rules), 1.0)
    assert (isinstance(after, Again) and after.attempt.target == 1) is elsewhere.startswith("yes")


def test_every_field_of_the_log_line_is_explained_and_no_other() -> None:
    explained = [row[0].strip("`") for row in rows(section(DOCS / "operations.md", "The log line"))[1:]]
    assert explained == list(Entry.__struct_fields__)


LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def event_logged(node: ast.AST) -> str | None:
    """The literal of `log.<level>("event")` or of `told("event", reason)`, which logs a warning."""
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return None
    speaker = ast.unparse(node.func)
    logs = re.fullmatch(r"(?:log|get_logger\(\)|structlog\.get_logger\(\))\.(\w+)", speaker)
    tells = re.fullmatch(r"(?:self\.)?_?told", speaker)
    return str(node.args[0].value) if tells or (logs and logs[1] in LEVELS) else None


def test_every_event_of_the_log_is_explained_and_no_other() -> None:
    explained = {
        event for row in rows(section(DOCS / "operations.md", "The log"))[1:] for event in SPAN.findall(row[0])
    }
    logged = {event for tree in TREES.values() for node in ast.walk(tree) if (event := event_logged(node))}
    assert {"stopping", "stopped", "crashed", "reloaded", "ledger_behind"} <= logged
    assert explained - {"call"} == logged - {"call"}
    assert "call" in explained


def examples() -> list[list[str]]:
    return rows(section(DOCS / "models.md", "Examples"))[1:]


@pytest.mark.parametrize("column", [1, 2, 3], ids=["openrouter", "vendors", "config.example.yaml"])
def test_the_examples_of_names_are_what_becomes_of_them(column: int) -> None:
    env = {
        "OPENROUTER_API_KEY": "a",
        "OPENAI_API_KEY": "b",
        "ANTHROPIC_API_KEY": "c",
        "ALICE_KEY": "d",
        "ALERT_SECRET": "e",
        "SMTP_PASSWORD": "g",
        "ACME_KEY": "f",
    }
    env = {1: {"OPENROUTER_API_KEY": "a"}, 2: {k: v for k, v in env.items() if "ROUTER" not in k}, 3: env}[column]
    settings = load(ROOT / "config.example.yaml" if column == 3 else None, env).settings
    names = Names(settings, read_feed(snapshot_bytes()), {})
    assert len(examples()) > 10
    for row in examples():
        try:
            targets = [f"{target.provider}: {target.model}" for target in resolve(names, row[0].strip("`")).targets]
            assert row[column] == f"`{', then '.join(targets)}`"
        except ModelNotFound:
            assert row[column] == "404", row[0]


@pytest.mark.parametrize("row", rows(section(DOCS / "models.md", "A provider by the call"))[1:], ids=lambda row: row[0])
def test_the_examples_of_providers_by_the_call_are_what_becomes_of_them(row: list[str]) -> None:
    keys = dict.fromkeys(("OPENROUTER_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "k")
    settings = load(None, keys).settings
    names = Names(settings, read_feed(snapshot_bytes()), {})
    for shown, provider in zip(row[1:], settings.providers, strict=True):
        try:
            (target,) = names.look_up(row[0].strip("`"), provider).plan.targets
            assert (target.provider, f"`{target.model}`") == (provider, shown)
        except ProxyError as error:
            assert str(error.status) == shown


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_the_start_lines_shown_are_the_ones_printed(page: str) -> None:
    settings = load(None, {}, mock=True).settings
    printed = start_lines(settings, "http://127.0.0.1:8655/v1", "http://127.0.0.1:8656")
    shown = printed[: printed.index("Listening on http://127.0.0.1:8655/v1") + 1]
    assert "\n".join(["$ tollkeeper serve --mock", *shown]) in (ROOT / page).read_text()


@every_page
def test_make_targets_named_are_those_of_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line.strip() for body in fences(page) for line in body.splitlines()]
    named = {found[1] for text in spans(page) + lines if (found := re.match(r"make ([a-z]+)", text))}
    assert named <= targets


def test_the_readme_has_the_commands_that_set_up_and_test() -> None:
    blocks = {body.strip() for body in fences(ROOT / "README.md")}
    assert {"make run", "make test"} <= blocks
    assert "\nmake check " in (ROOT / ".ci" / "run").read_text()


ENDPOINTS = {
    span: place
    for cells in rows(section(DOCS / "errors.md", "Endpoints under a budget"))[1:]
    for span in SPAN.findall(cells[0])
    if " /" in span
    for place in cells[1:2]
}


def stands(method: str, path: str) -> str:
    """The place of an endpoint under a budget, as the table words it."""
    row = endpoint_for(method, path)
    return "not bounded" if row.unbounded else "bounded" if row.counts else "free"


@pytest.mark.parametrize("named", ENDPOINTS)
def test_every_endpoint_stands_under_a_budget_as_the_table_says(named: str) -> None:
    method, _, path = named.partition(" ")
    path = path.replace("{", "").replace("}", "")
    assert stands(method, path) == ENDPOINTS[named]
    assert {stands(reading, path) for reading in ("GET", "HEAD")} == {"free"}


def test_the_table_of_endpoints_is_whole() -> None:
    """Every row of the code is there; what is not listed cannot be bounded."""
    named = {re.sub(r"\{[^}]*\}", "*", span) for span in ENDPOINTS} - {"POST /chat/completions/*"}
    of_code = {f"{method} /{path}" for method, path in FREE_ROWS} | {f"POST {path}" for path in MODEL_ROWS}
    expected = {re.sub(r"chatcmpl-\*|uploads/\*/\*", "", row) for row in of_code}
    assert {row for row in expected if not row.endswith("/")} <= named
    assert stands("POST", "/nobody/knows/this") == stands("PUT", "/models") == "not bounded"


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if not link.startswith(("http://", "https://"))]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page.name} links to {link}"


@every_page
def test_every_file_named_exists(page: Path) -> None:
    for span in spans(page):
        if re.fullmatch(r"(proxy|tests|tools|bench|requirements)/[\w/.-]+", span):
            assert (ROOT / span).exists(), f"{page.name} names {span}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in PAGES and page not in seen:
            seen.add(page)
            ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert seen == set(PAGES)


def test_every_order_and_path_of_operators_has_a_row_in_the_table_of_rights() -> None:
    """What changes something is written down under a name the page on the audit explains."""
    ordered = re.findall(
        r'^            "(\w+)": self\._', (ROOT / "proxy/web/operator/orders.py").read_text(), re.MULTILINE
    )
    assert {*ordered, *SETTINGS_ORDERS, "tail", *(route.order for route in ROUTES)} == set(RIGHTS)
    assert {route.order for route in ROUTES if route.changes is (RIGHTS[route.order].verb == "read")} == set()
    explained = {span for row in rows((DOCS / "audit.md").read_text()) for span in SPAN.findall(row[0])}
    assert {right.action for right in RIGHTS.values() if right.verb == "write"} <= explained
