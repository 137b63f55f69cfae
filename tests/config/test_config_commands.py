"""`check` says everything, `init` overwrites nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.check import check
from proxy.cli.init import init
from proxy.config.discover import NO_PROVIDER
from proxy.config.load import load

NO_KEYS = {name: None for name in ("OPENROUTER_API_KEY", "OPEN_ROUTER_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY")}


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={**NO_KEYS, "XDG_CONFIG_HOME": str(tmp_path / "xdg"), "TOLLKEEPER_CONFIG": None})


def write(folder: Path, text: str) -> Path:
    file = folder / "c.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_a_good_file_is_ok_with_its_names(runner: CliRunner, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "providers: {openai: , local: {kind: openai, base_url: 'http://x/v1'}}\nkeys: {alice: {key: k}}\nmodels: {m: a/b}\n",
    )
    for arguments in ([str(file)], ["--config", str(file)]):
        result = runner.invoke(check, arguments)
        assert result.exit_code == 0
        assert result.output.splitlines() == [
            f"{file}: ok",
            "  providers: openai, local",
            "  models: m",
            "  keys: alice",
            "warning: provider openai has no key, and https://api.openai.com/v1 wants one: set api_key or api_key_file",
        ]


def test_a_bad_file_shows_every_problem_and_fails(runner: CliRunner, tmp_path: Path) -> None:
    file = write(tmp_path, "lisen: 1\nmax_body: x\n")
    result = runner.invoke(check, [str(file)])
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first == f"{file}:1:1: lisen: unknown field (did you mean listen?)"
    assert second.startswith(f"{file}:2:11: max_body: must be a size")


def test_problems_come_as_json_too(runner: CliRunner, tmp_path: Path) -> None:
    file = write(tmp_path, "lisen: 1\n")
    result = runner.invoke(check, [str(file), "--json"])
    assert result.exit_code == 1
    problem = {
        "file": str(file),
        "line": 1,
        "column": 1,
        "path": "lisen",
        "sentence": "unknown field (did you mean listen?)",
    }
    assert json.loads(result.output) == {"file": str(file), "ok": False, "problems": [problem]}


def test_a_good_file_comes_as_json_too(runner: CliRunner, tmp_path: Path) -> None:
    file = write(tmp_path, "providers: {mock: }\n")
    result = runner.invoke(check, [str(file), "--json"])
    assert result.exit_code == 0
    report = {
        "file": str(file),
        "ok": True,
        "problems": [],
        "providers": ["mock"],
        "models": [],
        "keys": [],
        "environment": [],
        "unused": [],
        "alerts": [],
        "warnings": [],
    }
    assert json.loads(result.output) == report


def test_a_missing_file_is_one_clear_line(runner: CliRunner) -> None:
    result = runner.invoke(check, ["/nowhere.yaml"])
    assert (result.exit_code, result.output) == (
        1,
        "/nowhere.yaml: there is no such file; `tollkeeper init` writes one to start from\n",
    )


def test_two_files_are_a_wrong_use(runner: CliRunner) -> None:
    assert runner.invoke(check, ["a", "--config", "b"]).exit_code == 2


def test_without_a_file_the_environment_is_checked(runner: CliRunner) -> None:
    result = runner.invoke(check, env={"OPENAI_API_KEY": "x"})
    assert result.exit_code == 0
    assert result.output.splitlines()[:2] == ["environment: ok", "  providers: openai"]
    assert f"warning: {NO_PROVIDER}" in runner.invoke(check).output
    broken = runner.invoke(check, ["--json"], env={"OPENAI_API_KEY": "x y"})
    assert (broken.exit_code, json.loads(broken.output)["file"]) == (1, "environment")


def test_what_init_writes_passes_check(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "xdg" / "tollkeeper" / "config.yaml"
    result = runner.invoke(init)
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == f"wrote {file}"
    assert "next: export OPENROUTER_API_KEY=" in result.output
    assert file.stat().st_mode & 0o777 == 0o600
    checked = runner.invoke(check, env={"OPENROUTER_API_KEY": "sk-or-1"})
    assert checked.exit_code == 0
    assert checked.output.splitlines()[:2] == [f"{file}: ok", "  providers: openrouter"]
    assert "warning" not in checked.output


def test_every_commented_line_of_the_starting_file_is_valid(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "start.yaml"
    runner.invoke(init, [str(file)])
    lines = [line for line in file.read_text().splitlines() if "api_key_file" not in line]
    body = [re.sub(r"^( +)# ", r"\1", line) for line in lines]
    file.write_text("\n".join(body))
    keys = {"OPENROUTER_API_KEY": "a", "OPENAI_API_KEY": "b", "ANTHROPIC_API_KEY": "c", "ALICE_KEY": "d"}
    result = runner.invoke(check, [str(file)], env=keys)
    assert result.output.splitlines()[:4] == [
        f"{file}: ok",
        "  providers: openrouter, openai, anthropic, local",
        "  models: fast, storyteller, roleplay, storytelling, prompt_enhancement, casual_chat, creative_writing",
        "  keys: alice",
    ]


def test_init_replaces_a_file_only_when_told_to(runner: CliRunner, tmp_path: Path) -> None:
    file = write(tmp_path, "mine")
    refused = runner.invoke(init, [str(file)])
    assert (refused.exit_code, file.read_text()) == (1, "mine")
    assert "exists already; --force replaces it" in refused.output
    file.chmod(0o644)
    replaced = runner.invoke(init, [str(file), "--force"], env={"OPENROUTER_API_KEY": "x"})
    assert replaced.exit_code == 0
    assert f"then: tollkeeper check --config {file}" in replaced.output
    assert "export" not in replaced.output
    assert file.read_text().startswith("# Tollkeeper's configuration")
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_init_leaves_nothing_behind_where_it_cannot_write(runner: CliRunner, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for arguments in ([str(folder), "--force"], ["/dev/null/x/config.yaml"]):
        result = runner.invoke(init, arguments)
        assert result.exit_code == 1
        assert "cannot be written" in result.output
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("env", "providers"),
    [
        ({"OPENAI_API_KEY": "a"}, {"openai": "OPENAI_API_KEY"}),
        (
            {"ANTHROPIC_API_KEY": "a", "OPENROUTER_API_KEY": "b"},
            {"openrouter": "OPENROUTER_API_KEY", "anthropic": "ANTHROPIC_API_KEY"},
        ),
        ({"OPEN_ROUTER_API_KEY": "a"}, {"openrouter": "OPEN_ROUTER_API_KEY"}),
        ({"OPENAI_API_KEY": ""}, {"openrouter": "OPENROUTER_API_KEY"}),
    ],
)
def test_init_writes_what_the_environment_has(
    runner: CliRunner, tmp_path: Path, env: dict[str, str], providers: dict[str, str]
) -> None:
    result = runner.invoke(init, env=env)
    assert result.exit_code == 0, result.output
    file = tmp_path / "xdg" / "tollkeeper" / "config.yaml"
    assert load(file, {**dict.fromkeys(providers.values(), "k"), **env}).settings.providers.keys() == providers.keys()
    is_found = all(env.get(name) for name in providers.values())
    for kind, variable in providers.items():
        assert (f"provider {kind}, whose key the daemon reads from {variable}" in result.output) is is_found
    assert ("next: export" in result.output) is not is_found
    checked = runner.invoke(check, env={**dict.fromkeys(providers.values(), "k"), **env})
    assert checked.output.splitlines()[1] == f"  providers: {', '.join(providers)}"
