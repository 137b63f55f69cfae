"""What variables say without a file: the tables of docs/configuration.md, and who wins."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from proxy.cli.check import check
from proxy.cli.init import init
from proxy.cli.start_lines import start_lines
from proxy.config.environment import LONGEST_VALUE, VARIABLES
from proxy.config.load import load
from proxy.config.problems import ConfigProblems
from proxy.policy.values import Settings, Timeouts

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
SECTION = PAGE.partition("\n## Without a file\n")[2].partition("\n## ")[0]
KEYS = {"OPENROUTER_API_KEY": "sk-or-canary", "OPENAI_API_KEY": "sk-canary"}
EVERYTHING = {
    **KEYS,
    "OPENROUTER_DEFAULT_MODEL": "openai/gpt-4o",
    "OPENROUTER_HTTP_REFERER": "https://example.org/\\a?b=${c}",
    "OPENROUTER_APP_NAME": 'My "app"',
    "OPENROUTER_TIMEOUT_MS": "1500",
    "OPENROUTER_MAX_RETRIES": "0",
    "OPENROUTER_DEBUG": "Yes",
    "OPENROUTER_WEBHOOK_URL": "https://hooks.example.org/canary?t=canary",
    "OPENROUTER_WEBHOOK_SECRET": "canary-secret",
}
SECRETS = {name: value for name, value in EVERYTHING.items() if "canary" in value}


def table(title: str) -> list[list[str]]:
    """The cells of the table of the section whose first heading is this."""
    lines = SECTION.partition(f"| {title} |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(lines) > 2, title
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def spans(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


def told(settings: Settings) -> dict[str, str]:
    return {one.setting: f"{one.value} by {one.variable}" for one in settings.environment}


EXAMPLES = [
    (
        name,
        {of: "s" for of in names.partition(" with ")[2].strip("`").split()},
        spans(example)[0],
        [span for span in spans(meaning.partition(". ")[0]) if ": " in span],
    )
    for names, example, meaning in table("variable | for example")
    for name in spans(names.partition(" with ")[0])
]


@pytest.mark.parametrize(("variable", "beside", "example", "meaning"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_each_variable_is_the_setting_the_table_says(
    variable: str, beside: dict[str, str], example: str, meaning: list[str]
) -> None:
    settings = load(None, {**KEYS, **beside, variable: f" {example}\n"}).settings
    assert [f"{one.setting}: {one.value}" for one in settings.environment] == meaning
    assert {one.variable for one in settings.environment} == {variable}
    assert load(None, {**KEYS, variable: "  "}).settings == load(None, KEYS).settings


def test_the_table_has_every_variable() -> None:
    assert {name for row in EXAMPLES for name in (row[0], *row[1])} == set(VARIABLES)
    keys = {name for names, _ in table("variable | provider") for name in spans(names)}
    assert [*load(None, dict.fromkeys(keys, "k")).settings.providers] == ["openrouter", "openai", "anthropic"]


@pytest.mark.parametrize(("variables", "sentence"), table("set | said"))
def test_what_makes_no_sense_is_told_as_the_table_says(variables: str, sentence: str) -> None:
    env = dict(span.split("=", 1) for span in spans(variables))
    with pytest.raises(ConfigProblems) as caught:
        load(None, {"OPENROUTER_API_KEY": "k", **env})
    assert str(caught.value) == f"{next(iter(env))}: {spans(sentence)[0]}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AI_PROVIDER", "mock"),
        ("OPENROUTER_TIMEOUT_MS", "604800001"),
        ("OPENROUTER_TIMEOUT_MS", "٣"),
        ("OPENROUTER_MAX_RETRIES", "9" * 10_000),
        ("OPENROUTER_MAX_RETRIES", "1e0"),
        ("OPENROUTER_DEFAULT_MODEL", "a" * 257),
        ("OPENROUTER_HTTP_REFERER", "https://example.org\nX-Evil: 1"),
        ("OPENROUTER_APP_NAME", "a" * (LONGEST_VALUE + 1)),
        ("OPENROUTER_APP_NAME", "caf\udce9"),
        ("OPENROUTER_API_KEY", "${KEY}"),
        ("OPENROUTER_WEBHOOK_URL", "http://["),
    ],
)
def test_one_problem_names_the_variable_and_never_its_value(variable: str, value: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(None, {**KEYS, "OPENROUTER_WEBHOOK_SECRET": "s", variable: value})
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.path) == (variable, 0, "")
    assert value not in problem.sentence


def test_everything_arrives_where_the_daemon_looks_for_it() -> None:
    settings = load(None, EVERYTHING).settings
    openrouter = settings.providers["openrouter"]
    assert openrouter.headers == (("HTTP-Referer", "https://example.org/\\a?b=${c}"), ("X-Title", 'My "app"'))
    assert openrouter.timeouts == Timeouts(first_byte=1.5, unstreamed=1.5)
    assert [openrouter.timeouts.whole_call(stream=stream) for stream in (True, False)] == [3600.0, 1.5]
    assert Timeouts(total=7.0).whole_call(stream=False) == 7.0
    assert settings.providers["openai"].timeouts == Timeouts()
    assert (settings.default_model, settings.retries.attempts, settings.log_level) == ("openai/gpt-4o", 1, "debug")
    (hook,) = settings.alerts
    assert {hook.url.reveal(), hook.secret.reveal()} < set(SECRETS.values())
    assert settings.warnings == ()


def test_one_provider_is_made_where_one_is_chosen() -> None:
    env = {**EVERYTHING, "AI_PROVIDER": "OpenAI", "DEFAULT_AI_MODEL": "gpt-4o"}
    settings = load(None, env).settings
    assert list(settings.providers) == ["openai"]
    assert told(settings) == {
        "providers": "openai only by AI_PROVIDER",
        "default_model": "gpt-4o by DEFAULT_AI_MODEL",
        "retries.attempts": "1 by OPENROUTER_MAX_RETRIES",
        "log.level": "debug by OPENROUTER_DEBUG",
        "alerts": "hooks.example.org by OPENROUTER_WEBHOOK_URL",
        "budget_alerts": "80%, 95% by OPENROUTER_WEBHOOK_URL",
    }
    assert settings.unused[0] == "OPENROUTER_API_KEY: AI_PROVIDER chooses openai"
    assert "OPENROUTER_TIMEOUT_MS: there is no provider openrouter" in settings.unused


def test_the_file_wins_value_by_value(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("default_model: mine\nretries: {first_wait: 2}\nlog: \n")
    settings = load(file, EVERYTHING).settings
    assert (settings.default_model, settings.retries.attempts, settings.retries.first_wait) == ("mine", 1, 2.0)
    assert (settings.log_level, list(settings.providers)) == ("debug", ["openrouter", "openai"])
    assert settings.unused == (f"OPENROUTER_DEFAULT_MODEL: {file} says default_model",)
    assert settings.written == {"default_model", "retries"}


@pytest.mark.parametrize(
    ("written", "due"),
    [
        ("alerts: [{url: 'http://a/b', secret: s}]\n", ["a"]),
        ("alerts: []\n", []),
        ("budget_alerts: []\n", ["hooks.example.org"]),
        ("{}", ["hooks.example.org"]),
    ],
)
def test_webhooks_of_a_file_stand_alone(tmp_path: Path, written: str, due: list[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(written)
    settings = load(file, EVERYTHING).settings
    assert [hook.host for hook in settings.alerts] == due
    assert (settings.unused == (f"OPENROUTER_WEBHOOK_URL: {file} says alerts",)) is ("alerts: [{" in written or not due)
    assert ("budget_alerts" in told(settings)) is (written == "{}")
    alone = load(None, {"OPENROUTER_WEBHOOK_SECRET": "s"}).settings
    assert alone.unused == ("OPENROUTER_WEBHOOK_SECRET: there is no OPENROUTER_WEBHOOK_URL",)


def test_a_file_with_providers_has_all_it_wants(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("providers: {mock: }\n")
    broken = {**EVERYTHING, "OPENROUTER_TIMEOUT_MS": "soon", "AI_PROVIDER": "openai"}
    settings, plain = load(file, broken).settings, load(file, {}).settings
    assert replace(settings, unused=()) == plain
    assert f"AI_PROVIDER: {file} has providers" in settings.unused
    assert not any("API_KEY" in sentence for sentence in settings.unused)
    mock = load(None, broken, mock=True).settings
    assert (mock.environment, mock.unused, mock.default_model) == ((), (), None)


def test_a_problem_in_the_file_is_told_beside_one_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("retries: 5\n")
    with pytest.raises(ConfigProblems) as caught:
        load(file, {**KEYS, "OPENROUTER_MAX_RETRIES": "3", "DEFAULT_AI_MODEL": "a b"})
    assert [problem.file for problem in caught.value.problems] == ["DEFAULT_AI_MODEL", str(file)]


def test_a_key_that_is_missing_matters_to_those_who_need_it_only() -> None:
    assert load(None, {"AI_PROVIDER": "openai"}, needs_secrets=False).settings.providers == {}
    with pytest.raises(ConfigProblems, match=r"^OPENROUTER_DEBUG: must be"):
        load(None, {"OPENROUTER_DEBUG": "?"}, needs_secrets=False)


def sample() -> str:
    return SECTION.partition("```\n")[2].partition("```")[0]


def test_the_start_lines_are_those_of_the_page() -> None:
    env = {
        "OPENROUTER_API_KEY": "sk-canary",
        "OPENROUTER_APP_NAME": "My app",
        "OPENROUTER_DEFAULT_MODEL": "openai/gpt-4o",
        "OPENROUTER_MAX_RETRIES": "5",
        "DEFAULT_AI_MODEL": "gpt-4o",
    }
    lines = start_lines(load(None, env).settings, "", "")
    assert "\n".join(lines[: sample().count("\n")]) + "\n" == sample()


def test_check_shows_what_the_environment_says(tmp_path: Path) -> None:
    runner = CliRunner(env={**dict.fromkeys(VARIABLES), "XDG_CONFIG_HOME": str(tmp_path), "TOLLKEEPER_CONFIG": None})
    shown = runner.invoke(check, env={**EVERYTHING, "DEFAULT_AI_MODEL": "x"}).output
    assert "  setting retries.attempts: 1; environment variable OPENROUTER_MAX_RETRIES\n" in shown
    assert "  not used: DEFAULT_AI_MODEL: OPENROUTER_DEFAULT_MODEL goes before it\n" in shown
    report = json.loads(runner.invoke(check, ["--json"], env=EVERYTHING).output)
    assert {"setting": "log.level", "value": "debug", "variable": "OPENROUTER_DEBUG"} in report["environment"]
    assert "canary" not in shown + json.dumps(report)
    broken = runner.invoke(check, ["--json"], env={**KEYS, "OPENROUTER_DEBUG": "?"})
    problem = json.loads(broken.output)["problems"][0]
    assert (broken.exit_code, problem["file"], problem["line"]) == (1, "OPENROUTER_DEBUG", 0)


@pytest.mark.parametrize("more", [{}, {"AI_PROVIDER": "openai", "DEFAULT_AI_MODEL": "gpt-4o"}], ids=["all", "one"])
def test_init_writes_a_file_that_says_the_same(tmp_path: Path, more: dict[str, str]) -> None:
    env = {**EVERYTHING, **more}
    file = tmp_path / "config.yaml"
    runner = CliRunner(env={**dict.fromkeys(VARIABLES), "XDG_CONFIG_HOME": str(tmp_path / "x")})
    done = runner.invoke(init, [str(file)], env=env)
    assert (done.exit_code, "canary" in done.output + file.read_text()) == (0, False), done.output
    assert "alerts: hooks.example.org, as OPENROUTER_WEBHOOK_URL says\n" in done.output
    assert "retries.attempts: 1, as OPENROUTER_MAX_RETRIES says\n" in done.output
    written, said = load(file, SECRETS).settings, load(None, env).settings
    assert replace(written, source=None, written=frozenset()) == replace(said, environment=(), unused=())


def test_init_writes_nothing_while_a_variable_makes_no_sense(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    done = CliRunner().invoke(init, [str(file)], env={**dict.fromkeys(VARIABLES), "OPENROUTER_DEBUG": "?"})
    assert (done.exit_code, file.exists()) == (1, False)
    assert done.output.startswith("OPENROUTER_DEBUG: must be true or false")
