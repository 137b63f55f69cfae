"""`connect` says what is so: the address, the model, the key, and nothing secret; docs/clients.md says the same."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from proxy.cli.connect import connect
from proxy.cli.snippets import Choice, Situation, read_clients, render

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()
CLIENTS = read_clients()
PROVIDER_KEYS = (
    "OPENROUTER_API_KEY",
    "OPEN_ROUTER_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "TOLLKEEPER_CONFIG",
)
SECRETS = {"OPENROUTER_API_KEY": "sk-or-canary", "ALICE_KEY": "sk-alice-canary"}
# what no text may be torn by, wherever it stands
ODD = 'mock/o\'dd "one" \\ $HOME `x` # é?a=1&b={2}'

every_client = pytest.mark.parametrize("name", CLIENTS)

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command with a configuration as text, or with none at all; variables are the environment's."""

    def run_it(*arguments: str, config: str | None = None, **variables: str) -> Result:
        state = {name: str(tmp_path / name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
        env = {**dict.fromkeys(PROVIDER_KEYS), **state, **variables}
        if config is not None:
            file = tmp_path / "config.yaml"
            file.write_text(f"state_dir: {tmp_path}\n{config}")
            arguments = (*arguments, "--config", str(file))
        return CliRunner(env=env).invoke(connect, arguments)

    return run_it


def report(run: Run, *arguments: str, config: str | None = None, **variables: str) -> Any:
    result = run(*arguments, "--json", config=config, **variables)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_without_a_client_the_names_are_listed(run: Run) -> None:
    assert run().output.splitlines() == list(CLIENTS)
    assert json.loads(run("--json").output) == {"clients": list(CLIENTS)}


def test_an_unknown_client_is_a_usage_error_that_names_the_nearest(run: Run) -> None:
    result = run("langchian")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no client 'langchian' here (did you mean langchain?)" in result.stderr


def fences(title: str) -> list[tuple[str, str]]:
    section = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, f"clients.md has no section {title!r}"
    return re.findall(r"^```(\w+)\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)


@every_client
def test_the_page_shows_what_the_command_prints(run: Run, name: str) -> None:
    parts = report(run, name, OPENROUTER_API_KEY="any")["parts"]
    shown = fences(CLIENTS[name].title)
    assert [(part["language"], part["text"]) for part in parts] == shown[: len(parts)]
    assert all(f"`{part['file']}`" in PAGE for part in parts if part["file"])


@every_client
def test_the_page_says_how_each_was_tried(name: str) -> None:
    assert f"\n| `{name}` | " in PAGE


@every_client
@pytest.mark.parametrize("keys", ["", "keys: {alice: {key: '${ALICE_KEY}'}}\n"], ids=["open", "keys"])
def test_no_secret_is_printed_and_keys_come_from_the_environment(run: Run, name: str, keys: str) -> None:
    result = run(name, config=f"providers: {{openrouter: }}\n{keys}", **SECRETS)
    assert result.exit_code == 0, result.output
    assert not [secret for secret in SECRETS.values() if secret in result.output]
    assert ("The key is read from TOLLKEEPER_KEY" in result.stderr) is bool(keys)
    wants_a_key = name != "llm"  # which asks for it, and keeps it
    assert ("TOLLKEEPER_KEY" in result.stdout) is (bool(keys) and wants_a_key) or name == "codex"
    if keys:
        assert "anything" not in result.stdout


def test_a_key_of_the_store_counts_as_well(run: Run, tmp_path: Path) -> None:
    (tmp_path / "keyed").touch()
    assert report(run, "curl", config="providers: {mock: }\n")["key_variable"] == "TOLLKEEPER_KEY"


@every_client
def test_a_file_is_printed_alone_and_what_has_no_file_whole(run: Run, name: str) -> None:
    found, plain = report(run, name, config=KEYED), run(name, config=KEYED)
    files = [part for part in found["parts"] if part["file"]]
    assert plain.stdout == "".join(part["text"] for part in files or found["parts"])
    for part in found["parts"]:
        assert part in files or not files or f"then, in a shell:\n{part['text']}" in plain.stderr


def test_codex_is_told_not_to_try_a_websocket(run: Run) -> None:
    provider = tomllib.loads(run("codex", config=KEYED).stdout)["model_providers"]["tollkeeper"]
    assert (provider["wire_api"], provider["supports_websockets"]) == ("responses", False)


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_nothing_is_wrapped_however_narrow_the_terminal(run: Run, columns: str) -> None:
    config = f"{KEYED}default_model: mock/{'long-' * 40}name\n"
    assert f'model = "mock/{"long-" * 40}name"\n' in run("codex", config=config, COLUMNS=columns).stdout


OPENAI, ANTHROPIC = "openai: {api_key: k}", "anthropic: {api_key: k}"
OWN = "own: {kind: openai, base_url: 'http://127.0.0.1:1/v1', free: true}"


@pytest.mark.parametrize(
    ("name", "providers", "warning"),
    [
        (
            "claude-code",
            OPENAI,
            "Claude Code calls /v1/messages, which openai does not speak: its calls are translated",
        ),
        ("anthropic-python", OPENAI, "A provider of kind openrouter or anthropic speaks it."),
        ("codex", ANTHROPIC, "A provider of kind openrouter or openai speaks it."),
        ("codex", f"{ANTHROPIC}, other: {{kind: anthropic, api_key: k}}", "which anthropic and other do not speak"),
        ("codex", OPENAI, None),
        ("claude-code", ANTHROPIC, None),
        ("claude-code", f"{OPENAI}, {ANTHROPIC}", None),
        ("claude-code", "openrouter: {api_key: k}", None),
        ("codex", "openrouter: {api_key: k}", None),
        ("codex", "mock: ", None),
        ("claude-code", "mock: ", None),
        ("claude-code", OWN, None),
        ("claude-code", f"{OPENAI}, {OWN}", None),
        ("curl", ANTHROPIC, None),
        ("curl", OPENAI, None),
    ],
)
def test_a_client_nobody_understands_is_warned_about(run: Run, name: str, providers: str, warning: str | None) -> None:
    result = run(name, config=f"providers: {{{providers}}}\n")
    assert result.exit_code == 0
    assert ("Warning: " in result.stderr) is (warning is not None)
    assert (warning or "") in result.stderr
    assert "Warning" not in result.stdout


KEYED = "providers: {mock: }\nkeys: {alice: {key: k}}\n"


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("{}", "http://127.0.0.1:8655/v1"),
        ("{port: 9000}", "http://127.0.0.1:9000/v1"),
        ("{host: 0.0.0.0}", "http://127.0.0.1:8655/v1"),
        ("{host: '::'}", "http://[::1]:8655/v1"),
        ("{host: 192.168.7.1, port: 80}", "http://192.168.7.1:80/v1"),
        ("{host: 'fd00::7'}", "http://[fd00::7]:8655/v1"),
    ],
)
@every_client
def test_the_address_is_the_one_of_the_configuration(run: Run, name: str, listen: str, url: str) -> None:
    found = report(run, name, config=f"{KEYED}listen: {listen}\n")
    assert found["url"] == url
    written = "".join(part["text"] for part in found["parts"])
    assert (url if name not in ("claude-code", "anthropic-python") else url.removesuffix("/v1")) in written
    assert (url in written) is (name not in ("claude-code", "anthropic-python"))


def test_only_curl_can_be_pointed_at_a_unix_socket(run: Run) -> None:
    config = f"{KEYED}listen: {{socket: /run/toll house.sock}}\n"
    assert report(run, "curl", config=config)["socket"] == "/run/toll house.sock"
    assert "--unix-socket '/run/toll house.sock' http://localhost/v1/" in run("curl", config=config).stdout
    for name in set(CLIENTS) - {"curl"}:
        result = run(name, config=config)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"to which {name} cannot connect; curl can" in result.stderr


def test_a_port_that_nobody_knows_is_not_made_up(run: Run) -> None:
    result = run("curl", config=f"{KEYED}listen: {{port: 0}}\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "listen.port is 0" in result.stderr


OLLAMA = "providers: {local: {kind: openai, base_url: 'http://127.0.0.1:11434/v1', free: true}}\n"


@pytest.mark.parametrize(
    ("name", "config", "model"),
    [
        ("curl", "providers: {mock: }\n", "mock/echo"),
        ("claude-code", "providers: {mock: }\n", "mock/echo"),
        ("curl", "providers: {try: {kind: mock}}\n", "try/echo"),
        ("curl", "providers: {openrouter: {api_key: k}, mock: }\n", "openai/gpt-4o-mini"),
        ("codex", "providers: {openrouter: {api_key: k}}\n", "openai/gpt-5.5"),
        ("claude-code", "providers: {openrouter: {api_key: k}}\n", "anthropic/claude-sonnet-4.5"),
        ("curl", "providers: {anthropic: {api_key: k}}\n", "anthropic/claude-sonnet-4.5"),
        ("codex", "providers: {openai: {api_key: k}}\ndefault_model: gpt-4o\n", "gpt-4o"),
        ("curl", f"{OLLAMA}models: {{fast: local/llama3.1}}\n", "fast"),
        ("curl", OLLAMA, "local/MODEL"),
    ],
)
def test_the_model_is_one_that_is_served(run: Run, name: str, config: str, model: str) -> None:
    found = report(run, name, config=config)
    assert found["model"] == model
    assert any("in the place of local/MODEL" in note for note in found["notes"]) is (model == "local/MODEL")


def test_a_model_of_ones_own_goes_before_all_others(run: Run) -> None:
    told = run("claude-code", "--model", "opus", config="providers: {openrouter: {api_key: k}}\ndefault_model: other\n")
    assert "export ANTHROPIC_MODEL=opus\n" in told.stdout


@pytest.mark.parametrize("name", sorted({m for client in CLIENTS.values() for m in client.models}))
def test_the_models_proposed_are_in_the_list(run: Run, name: str) -> None:
    from proxy.data import snapshot_bytes
    from proxy.policy.names.feed import read_feed

    assert read_feed(snapshot_bytes()).get(name) is not None


def test_without_any_provider_it_says_who_would_answer(run: Run) -> None:
    found = report(run, "curl")
    assert found["model"] == "mock/echo"
    assert found["notes"] == ["No provider is configured: only `tollkeeper serve --mock` would answer."]


def test_problems_of_the_configuration_are_said(run: Run) -> None:
    result = run("curl", config="lisen: 1\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "unknown field (did you mean listen?)" in result.stderr


def texts_of(language: str, text: str) -> Iterator[str]:
    """Every string that a reader of the language would see."""
    if language == "python":
        nodes = ast.walk(ast.parse(text))
        yield from (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    elif language == "sh":
        for word in shlex.split(text, comments=True):
            yield from texts_of("json", word) if word.startswith("{") else [word]
    else:
        read = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}[language]
        yield from strings(read(text))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", [name for name in CLIENTS if CLIENTS[name].parts[0].language != "js"])
@pytest.mark.parametrize("is_open", [True, False])
def test_the_oddest_model_is_read_as_it_was_meant(name: str, is_open: bool) -> None:
    parts = render(CLIENTS[name], Situation("http://127.0.0.1:1", Choice(ODD), is_open))
    found = [text for part in parts for text in texts_of(part.language, part.text)]
    assert name == "open-webui" or any(text.endswith(ODD) for text in found), found


def test_it_is_quick() -> None:
    code = (
        "import sys; from proxy.cli import main; main(['connect', 'codex'], standalone_mode=False);"
        "sys.exit(bool({'aiohttp', 'sqlalchemy', 'rich', 'uvloop'} & set(sys.modules)))"
    )
    env = {"HOME": "/nowhere", "OPENROUTER_API_KEY": "any"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done
