"""What `tollkeeper check` says of names that lead nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.commands import typed

TWO = "providers: {openai: {api_key: k}, anthropic: {api_key: k}}\n"
OWN = (
    "providers: {openrouter: {api_key: k}, own: {kind: openai, base_url: 'http://127.0.0.1:1/v1'}}\nstate_dir: state\n"
)
ARMS = "arms: [{target: gpt-4.1, share: 50}, {target: gpt-4o, share: 50}]"
NOWHERE = "names no model that a provider is known to serve"


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        (TWO + "models: {x: nosuch/zzz}", [f"models.x {NOWHERE}"]),
        (TWO + "models: {x: {target: gpt-4o, fallbacks: [gtp-4o, claude-sonnet-4-5]}}", [f"models.x {NOWHERE}"]),
        (TWO + "models: {x: {candidates: [gpt-4o, gtp-4o], strategy: balanced}}", [f"models.x {NOWHERE}"]),
        (TWO + "default_model: nope", [f"default_model {NOWHERE}"]),
        (TWO + "models: {x: {target: gpt-4o, at: {80%: gtp-4o}}}", [f"models.x {NOWHERE}"]),
        (TWO + "models: {x: {target: gpt-4o, quality: {judge: {model: gtp-4o, rubric: r}}}}", [f"models.x {NOWHERE}"]),
        (TWO + f"experiments: {{e: {{model: gtp-4o, {ARMS}}}}}", [f"experiments.e {NOWHERE}"]),
        (TWO + f"experiments: {{e: {{model: gpt-4o, {ARMS}}}}}", []),
        (
            TWO + f"experiments: {{e: {{model: gpt-4o, {ARMS.replace('gpt-4.1', 'gtp-4.1')}}}}}",
            [f"experiments.e {NOWHERE}"],
        ),
        (TWO + "tenants: {a: {default_model: nope}}", [f"tenants.a.default_model {NOWHERE}"]),
        (TWO + "tenants: {a: {models: ['opnai/*']}}", ["tenants.a.models has models of `opnai/`"]),
        (TWO + "models: {x: gpt-4o, y: x, gpt-4o: gpt-4o, z: openai/gpt-99}\ndefault_model: y", []),
        (TWO + "keys: {a: {key: k-1, models: ['opnai/*']}}", ["keys.a.models has models of `opnai/`"]),
        (TWO + "keys: {a: {key: k-1, models: ['openai/*', '*', 'gpt-*', '~google/*', '@preset/x', '*/x', x]}}", []),
        (
            TWO + "budgets: [{usd: 1, per: day, for: {model: 'antropic/*'}}]",
            ["the budget global:day:model=antropic/* has models of `antropic/`"],
        ),
        (TWO + "budgets: [{usd: 1, per: day, for: {model: 'anthropic/*'}}]", []),
        (OWN + "models: {x: house-model, y: meta/house}", []),
        (OWN + "keys: {a: {key: k-1, models: ['own/*', 'openai/*']}}", []),
        ("providers: {own: {kind: openai, base_url: 'http://127.0.0.1:1/v1'}}\nmodels: {x: anything}", []),
        ("models: {x: gpt-4o}", []),
    ],
)
def test_a_name_that_leads_nowhere_is_warned_of(tmp_path: Path, text: str, warned: list[str]) -> None:
    assert _warnings(tmp_path, text) == warned


def test_what_a_server_of_ones_own_listed_counts(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "listed.json").write_text('{"own": {"house-model": null}}')
    assert _warnings(tmp_path, OWN + "models: {x: house-model}") == []
    assert _warnings(tmp_path, OWN + "models: {x: house-modle}") == [f"models.x {NOWHERE}"]


def _warnings(folder: Path, text: str) -> list[str]:
    """How the warnings about names begin."""
    file = folder / "config.yaml"
    file.write_text(text)
    done = typed(folder, "check", str(file), "--json")
    assert done.returncode == 0, done
    told = [line for line in json.loads(done.stdout)["warnings"] if NOWHERE in line or " has models of " in line]
    return [line.partition(": `")[0].partition(", and neither")[0] for line in told]
