"""`explain` says step by step who says what, and who won: request, key, tenant, parent, file, environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness.commands import typed

STEPS = {
    "model": ["request", "tenant child", "tenant above", "file", "environment"],
    "credential for openai": ["tenant child", "tenant above", "file", "environment"],
    "translation": ["key alice", "tenant child", "tenant above", "file"],
    "models": ["key alice", "tenant child", "tenant above"],
    "max_output": ["tenant child", "tenant above"],
    "privacy": ["key alice", "tenant child", "tenant above"],
}
OPENAI = {"openai": "sk-of-a-tenant"}
ZDR = {"privacy": {"zdr": True}}

CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, list[str]]] = [
    # what the key, its tenant and its parent say; what it is about, and who won
    ({}, {}, {}, "model", ["request"]),
    ({}, {}, {}, "credential for openai", ["environment"]),
    ({}, {}, {"credentials": OPENAI}, "credential for openai", ["tenant above"]),
    ({}, {"credentials": OPENAI}, {"credentials": OPENAI}, "credential for openai", ["tenant child"]),
    ({}, {}, {}, "translation", ["file"]),
    ({}, {}, {"translation": {"lossy": "allow"}}, "translation", ["tenant above"]),
    ({"translation": {"lossy": "warn"}}, {"translation": {"lossy": "reject"}}, {}, "translation", ["key alice"]),
    ({"models": ["openai/*"]}, {}, {"models": ["openai/gpt-4o"]}, "models", ["key alice", "tenant above"]),
    ({}, {"max_output": 900}, {"max_output": 700}, "max_output", ["tenant above"]),
    ({}, {"max_output": 700}, {"max_output": 700}, "max_output", ["tenant child", "tenant above"]),
    ({}, {}, {}, "max_output", []),
    ({}, ZDR, ZDR, "privacy", ["tenant child", "tenant above"]),
]


@pytest.mark.parametrize(("key", "child", "above", "what", "won"), CASES)
def test_every_step_is_told_and_who_won(
    key: dict[str, Any], child: dict[str, Any], above: dict[str, Any], what: str, won: list[str], tmp_path: Path
) -> None:
    config = {
        "state_dir": str(tmp_path / "state"),
        "providers": {"openai": {"api_key": "${OPENAI_API_KEY}", "zdr": True}},
        "tenants": {"above": above, "child": {"parent": "above", **child}},
        "keys": {"alice": {"key": "sk-alice-canary", "tenant": "child", **key}},
        "catalogue": {"refresh": "never"},
    }
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config))
    told = typed(
        tmp_path, "explain", "openai/gpt-4o", "--key", "alice", "--json", "--config", str(file), OPENAI_API_KEY="sk-x"
    )
    found = {one["what"]: one for one in json.loads(told.stdout)["order"]}
    assert {name: [step["who"] for step in one["steps"]] for name, one in found.items()} == STEPS
    assert found[what]["won"] == won
    assert "sk-" not in str(found)


def test_a_stored_keys_own_word_is_told_as_its_own_and_no_key_has_none(tmp_path: Path) -> None:
    config = {
        "state_dir": str(tmp_path / "state"),
        "providers": {"openai": {"api_key": "sk-x"}},
        "tenants": {"child": {"translation": {"lossy": "allow"}}},
        "catalogue": {"refresh": "never"},
    }
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config))
    made = typed(
        tmp_path, "keys", "create", "eve", "--tenant", "child", "--lossy", "reject", "--config", str(file), "--json"
    )
    assert made.returncode == 0, made.stderr
    for named, who in ((["--key", "eve"], ["key eve", "tenant child", "file"]), ([], ["file"])):
        told = typed(tmp_path, "explain", "openai/gpt-4o", *named, "--json", "--config", str(file))
        (found,) = [one for one in json.loads(told.stdout)["order"] if one["what"] == "translation"]
        assert [step["who"] for step in found["steps"]] == who and found["won"] == who[:1]
