"""`tollkeeper import litellm FILE`: what it writes runs, every name of it answers, and what it leaves out is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.commands import typed
from harness.daemon import Daemon
from harness.mock import Mock
from harness.tmux import Tmux, needs_tmux

from proxy.cli.litellm.moving import Moved, move
from proxy.config.problems import ConfigProblems


def moved(text: str) -> tuple[dict[str, Any], Moved]:
    found = move(text, "litellm.yaml")
    return yaml.safe_load(found.text), found


def model(name: str, *params: str) -> str:
    """One row of `model_list`."""
    return f"  - model_name: {name}\n    litellm_params:\n" + "".join(f"      {param}\n" for param in params)


WORKING = """\
x-anchors: &mini
  model: openai/gpt-4o-mini
  api_base: ROOT/openai/v1
  api_key: os.environ/MINI_KEY
model_list:
  - model_name: mini
    litellm_params: {<<: *mini, temperature: 0.25, rpm: 20_000}
    model_info: {input_cost_per_token: 1.5e-07, output_cost_per_token: 0.0000006, mode: chat}
  - model_name: balanced
    litellm_params: {model: openrouter/openai/gpt-4o-mini, api_base: ROOT/api/v1, api_key: sk-or-canary}
  - model_name: balanced
    litellm_params: {<<: *mini, order: -1}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_base: ROOT/anthropic, api_key: os.environ/CLAUDE_KEY}
  - model_name: at home
    litellm_params: {model: ollama_chat/llama3.1}
  - model_name: home
    litellm_params: {model: ollama_chat/mock/echo, api_base: ROOT/openai}
  - model_name: broken
    litellm_params: {model: "hosted_vllm/mock/error?status=500", api_base: "ROOT/openai/v1", api_key: none}
  - model_name: gpt-azure
    litellm_params: {model: azure/gpt, api_base: "https://x.openai.azure.com", api_version: "2024-10-21"}
  - model_name: openai/*
    litellm_params: {model: openai/*, api_base: ROOT/openai/v1, api_key: os.environ/MINI_KEY}
    model_info: {input_cost_per_token: 1e-06}
router_settings:
  fallbacks: [{broken: [gpt-azure, claude]}]
  model_group_alias: {short: mini, gone: gpt-azure}
  num_retries: 0
litellm_settings: {callbacks: [prometheus]}
general_settings: {master_key: sk-litellm-canary, database_url: os.environ/DATABASE_URL}
"""
SECRETS = {
    "MINI_KEY": "sk-mini", "CLAUDE_KEY": "sk-claude", "LITELLM_MASTER_KEY": "sk-litellm-canary",
    "OPENROUTER_API_KEY": "sk-or-canary",
}  # fmt: skip


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with Mock() as running:
        yield running


def test_what_is_written_passes_check_and_every_name_answers(mock: Mock, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "litellm.yaml", tmp_path / "ours.yaml"
    theirs.write_text(WORKING.replace("ROOT", mock.root))
    done = typed(tmp_path, "import", "litellm", str(theirs), "--output", str(ours))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "canary" not in done.stderr + ours.read_text() and "&" not in ours.read_text()
    assert ours.stat().st_mode & 0o777 == 0o600
    checked = typed(tmp_path, "check", str(ours), **SECRETS)
    assert checked.returncode == 0, checked.stdout
    assert "warning" not in checked.stdout
    config = yaml.safe_load(ours.read_text())
    with Daemon(config, tmp_path, env=SECRETS, key=SECRETS["LITELLM_MASTER_KEY"]) as daemon:
        served = {}
        for name in [*config["models"], "openai/gpt-4o"]:
            mock.forget()
            reply = daemon.chat(name)
            served[name] = (reply.status, mock.bill()[-1]["model"])
        assert daemon.stop() == 0
    assert served == {
        "mini": (200, "gpt-4o-mini"), "balanced": (200, "gpt-4o-mini"), "claude": (200, "claude-sonnet-4-5"),
        "home": (200, "mock/echo"), "broken": (200, "claude-sonnet-4-5"), "short": (200, "gpt-4o-mini"),
        "openai/gpt-4o": (200, "gpt-4o"),
    }  # fmt: skip


def test_what_is_left_out_is_told_with_its_line_and_why(mock: Mock, tmp_path: Path) -> None:
    theirs = tmp_path / "litellm.yaml"
    theirs.write_text(WORKING.replace("ROOT", mock.root))
    done = typed(tmp_path, "import", "litellm", str(theirs))
    assert done.returncode == 0
    told = done.stderr.replace(str(tmp_path), "").splitlines()
    for line, start in ((7, "model_list[0].litellm_params.rpm: left out: limits"),
                        (8, "model_list[0].model_info.mode: left out: what a model is"),
                        (9, "model_list[1].model_name: one of several of this name"),
                        (15, "model_list[4].model_name: left out: 'at home' holds a space"),
                        (22, "model_list[7].litellm_params.model: left out: 'gpt-azure' is azure/…: Azure"),
                        (27, "router_settings.fallbacks[0].broken: left out: 'gpt-azure' is not moved"),
                        (28, "router_settings.model_group_alias.gone: left out: 'gpt-azure' is not moved"),
                        (30, "litellm_settings.callbacks: left out: metrics"),
                        (31, "general_settings.database_url: left out: keys")):  # fmt: skip
        assert [row for row in told if row.startswith(f"/litellm.yaml:{line}:") and f": {start}" in row], start
    assert "6 names at 6 providers" in told
    assert "set LITELLM_MASTER_KEY (its value stands in /litellm.yaml:31)" in told
    assert "set OPENROUTER_API_KEY (its value stands in /litellm.yaml:10)" in told
    assert any("/key/generate" in row for row in told)


CASES: list[tuple[str, str, Any]] = [
    (model("a", "model: gpt-4o"), "providers", {"openai": {"api_key": "${OPENAI_API_KEY}"}}),
    (model("a", "model: gpt-4o"), "models", {"a": "openai/gpt-4o"}),
    (model("openai/gpt-4o", "model: openai/gpt-4o"), "models", {"openai/gpt-4o": "openai/gpt-4o"}),
    (model("a", "model: gpt-4o", "custom_llm_provider: groq"), "models", {"a": "groq/gpt-4o"}),
    (model("a", "model: lm_studio/phi"), "providers",
     {"lm_studio": {"kind": "openai", "base_url": "http://127.0.0.1:1234/v1", "free": True}}),
    (model("a", "model: openai/x", "api_base: http://localhost:8000", "api_key: sk-1"), "providers",
     {"local": {"kind": "openai", "api_key": "${OPENAI_API_KEY}", "base_url": "http://localhost:8000", "free": True}}),
    (model("a", "model: openai/x", "api_base: os.environ/EU_API_BASE", "input_cost_per_token: 0.000002"), "providers",
     {"eu": {"kind": "openai", "api_key": "${OPENAI_API_KEY}", "base_url": "${EU_API_BASE}"}}),
    (model("a", "model: openai/x", "api_base: http://10.0.0.5/v1", "output_cost_per_token: 0"), "models",
     {"a": {"target": "local/x", "price": {"output": 0}}}),
    (model("a", "model: openai/x", "organization: org-1", "extra_headers: {X-Team: os.environ/TEAM}"), "providers",
     {"openai": {"api_key": "${OPENAI_API_KEY}", "headers": {"X-Team": "${TEAM}", "OpenAI-Organization": "org-1"}}}),
    (model("a", "model: openai/x", "api_key: one") + model("a", "model: openai/x", "api_key: two"), "models",
     {"a": {"target": "openai/x", "fallbacks": ["openai-2/x"]}}),
    (model("a", "model: openai/x", "api_key: one") + model("b", "model: openai/y"), "providers",
     {"openai": {"api_key": "${OPENAI_API_KEY_2}"}, "openai-2": {"kind": "openai", "api_key": "${OPENAI_API_KEY}"}}),
    (model("a", "model: fireworks_ai/llama-v3p1-8b-instruct"), "models",
     {"a": "fireworks_ai/accounts/fireworks/models/llama-v3p1-8b-instruct"}),
    (model("a", "model: openai/x", "stop: ['${END}']", "extra_body: {top_k: 1e3}"), "models",
     {"a": {"target": "openai/x", "defaults": {"stop": ["$${END}"], "top_k": 1000.0}}}),
    (model("'no'", "model: openai/017"), "models", {"no": "openai/017"}),
    (model("a", "model: openai/x") + model('"*"', "model: openrouter/*"), "routes",
     [{"match": "openai/*", "provider": "openai"}]),
    (model("a", "model: anthropic/x") + model('"*"', "model: openai/*"), "routes",
     [{"match": "anthropic/*", "provider": "anthropic"}, {"match": "openai/*", "provider": "openai"},
      {"match": "*", "provider": "openai"}]),
    (model("a", "model: openai/x") + "litellm_settings: {num_retries: 3, request_timeout: 90}\n", "retries",
     {"attempts": 4}),
    (model("a", "model: openai/x") + "litellm_settings: {num_retries: 3}\nrouter_settings: {num_retries: 1}\n",
     "retries", {"attempts": 2}),
    (model("a", "model: openai/x", "stream_timeout: 5") + "router_settings: {timeout: 90}\n", "providers",
     {"openai": {"api_key": "${OPENAI_API_KEY}", "timeouts": {"unstreamed": 90, "first_byte": 5, "idle": 5}}}),
    (model("a", "model: openai/x") + model("b", "model: openai/y") + "router_settings: {default_fallbacks: [b]}\n",
     "models", {"a": {"target": "openai/x", "fallbacks": ["b"]}, "b": "openai/y"}),
    (model("a", "model: openai/x") + "litellm_settings: {max_budget: 100, budget_duration: 30d}\n", "budgets",
     [{"usd": 100, "per": "month"}]),
    (model("a", "model: openai/x") + "litellm_settings: {max_budget: 0.5}\n", "budgets", [{"usd": 0.5, "per": "total"}]),
    (model("a", "model: openai/x") + "general_settings: {master_key: os.environ/M, max_parallel_requests: 4,"
     " global_max_parallel_requests: 9}\n", "keys", {"master": {"key": "${M}", "limits": [{"concurrent": 4}]}}),
    (model("a", "model: openai/x") + "general_settings: {completion_model: a}\n", "default_model", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "section", "expected"), CASES)
def test_a_setting_of_theirs_is_one_of_ours(rows: str, section: str, expected: Any) -> None:
    assert moved("model_list:\n" + rows)[0].get(section) == expected


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (model("a", "model: bedrock/x"), "'a' is bedrock/…: AWS wants"),
        (model("a", "model: vertex_ai/x"), "'a' is vertex_ai/…: Vertex AI wants"),
        (model("a", "model: nobody/x"), "'a' is nobody/…: neither its address nor its protocol"),
        (model("a", "model: command-r"), "'a' is 'command-r', and only LiteLLM's list says"),
        (model("a", "model: hosted_vllm/x"), "wants an api_base, and there is none"),
        (model("a", "model: openai/x", "api_base: https://u:p@host/v1"), "the address of 'a' cannot be called"),
        (model('"team/*"', 'model: "openai/*"'), "'team/*': by the rules of names here it would go elsewhere"),
        (model('"openai/*"', 'model: "openai/*"', "temperature: 0"), "are of single models here, not of a pattern"),
        (model("a", "model: openai/x", "timeout: soon"), "is no number of seconds"),
        (model("a", "model: openai/x", "weight: 2"), "are tried in their order; `experiments:` shares"),
        (model("a", "model: openai/x", "input_cost_per_second: 1"), "only prices of tokens"),
        (model("a", "model: openai/x") + "litellm_settings: {max_budget: 1, budget_duration: 10d}\n", "in total here"),
        (model("a", "model: openai/x") + "router_settings: {fallbacks: [{b: [a]}]}\n", "'b' is not moved"),
        (model("a", "model: openai/x") + "include: [more.yaml]\n", "the files named there are not read"),
        (model("a", "model: openai/x") + "guardrails: []\n", "guardrails: left out: has no counterpart"),
    ],
)
def test_what_cannot_be_said_here_is_said_to_be_left_out(rows: str, sentence: str) -> None:
    _, found = moved("model_list:\n" + rows)
    assert [told for told in found.report.sentences() if sentence in told and told.startswith("litellm.yaml:")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model_list: [", "litellm.yaml:2:1: this is not YAML"),
        ("model_list: []\n", "litellm.yaml:1:13: model_list: must be a list of models"),
        ("providers: {openai: {}}\n", "this one is Tollkeeper's already"),
        ("model_list:\n  - litellm_params: {model: a/b}\n", "litellm.yaml:2:5: model_list[0]: must have a model_name"),
        ("model_list:\n  - model_name: a\n", "litellm.yaml:2:5: model_list[0]: must have litellm_params with a model"),
        (f"model_list:\n{model('a', 'model: a/b')}general_settings: on\n", "litellm.yaml:5:19: general_settings: must"),
        (f"model_list:\n{model('a', 'model: a/b')}model_list: []\n", "litellm.yaml:5:1: model_list: is given twice"),
    ],
)
def test_a_bad_file_is_sentences_with_lines(text: str, problem: str) -> None:
    with pytest.raises(ConfigProblems) as raised:
        move(text, "litellm.yaml")
    assert problem in str(raised.value)


def test_a_file_is_replaced_only_by_force_and_one_of_nothing_is_none(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "litellm.yaml", tmp_path / "ours.yaml"
    theirs.write_text("model_list:\n" + model("a", "model: openai/x"))
    ours.write_text("mine")
    arguments = ("import", "litellm", str(theirs), "--output", str(ours))
    refused = typed(tmp_path, *arguments)
    assert (refused.returncode, refused.stdout, ours.read_text()) == (1, "", "mine")
    assert refused.stderr.endswith(f"Error: {ours} exists already; --force replaces it\n")
    assert typed(tmp_path, *arguments, "--force").returncode == 0
    assert yaml.safe_load(ours.read_text())["models"] == {"a": "openai/x"}
    theirs.write_text("model_list:\n" + model("a", "model: azure/x"))
    nothing = typed(tmp_path, "import", "litellm", str(theirs))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.endswith(f"Error: none of the models of {theirs} can be moved\n")


@needs_tmux
def test_in_a_terminal_it_asks_before_it_replaces(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "litellm.yaml", tmp_path / "ours.yaml"
    theirs.write_text("model_list:\n" + model("a", "model: openai/x"))
    ours.write_text(json.dumps("mine"))
    with Tmux(200, 24) as terminal:
        for answer, expected in (("n", '"mine"'), ("y", "# Written by")):
            terminal.run(f"clear; {sys.executable} -m proxy import litellm {theirs} --output {ours}; echo done $?")
            terminal.wait_for(f"{ours} exists already. Replace it? [y/N]:")
            terminal.run(answer)
            terminal.wait_for(f"done {int(answer == 'n')}")
            assert ours.read_text().startswith(expected)
