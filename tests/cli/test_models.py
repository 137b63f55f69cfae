"""`models`: where names go, and what is known of one, without a daemon and without the network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli.models import models

CONFIG = """
state_dir: {state}
providers:
  openrouter: {{api_key: x}}
  openai: {{api_key: x}}
  eu: {{kind: openai, base_url: "https://api.mistral.ai/v1", api_key: x}}
  local: {{kind: openai, base_url: "http://127.0.0.1:1/v1", free: true}}
routes: [{{match: "openai/*", provider: openai}}]
models:
  fast: {{target: gpt-4o-mini, price: {{input: 1}}, fallbacks: [local/llama]}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG.format(state=tmp_path / "state"))
    config.chmod(0o600)
    return config


def run(file: Path, *arguments: str) -> str:
    result = CliRunner().invoke(models, [*arguments, "--config", str(file)])
    assert result.exit_code == 0, result.output
    return result.output


def known(file: Path, name: str) -> list[dict[str, Any]]:
    first = json.loads(run(file, name, "--json"))[0]
    assert first["name"] == name
    found: list[dict[str, Any]] = first["known"]
    return found


def test_a_name_shows_what_is_known_of_it_and_who_says_so(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = run(file, "gpt-4o-mini")
    assert text.startswith("gpt-4o-mini ")
    for line in (
        "gpt-4o-mini at openai",
        "context window         128,000 tokens",
        "largest output         16,384 tokens",
        "USD                    input 0.15, output 0.6, cached input 0.075 a million tokens; web search 0.01 a search",
        "service_tier=priority  input 0.25, output 1, cached input 0.125 a million tokens",
        "; web search preview 0.025 a search",
        "genai-prices ",
        "litellm ",
        "https://developers.openai.com/",
    ):
        assert line in text


def test_long_prompts_and_tiers_are_told(file: Path) -> None:
    text = run(file, "gpt-5.4")
    assert "above 272,000 tokens" in text
    assert "service_tier=flex above 272,000 tokens" in text
    (price,) = [facts["price"] for facts in known(file, "gpt-5.4")]
    assert price["above"] == [{"tokens": 272_000, "input_usd": "5", "output_usd": "22.5", "cached_input_usd": "0.5"}]
    assert price["tiers"]["service_tier=flex"]["input_usd"] == "1.25"


def test_json_has_every_fact_of_every_target(file: Path) -> None:
    mini, llama = known(file, "fast")
    assert (mini["provider"], mini["model"], mini["modes"]) == ("openai", "gpt-4o-mini", ["chat"])
    assert (mini["context_length"], mini["max_output"]) == (128_000, 16_384)
    assert mini["price"]["input_usd"] == "1" and mini["price"]["web_search_preview_usd"] == "0.025"
    assert mini["sources"]["your own price"] == ["input_usd"]
    assert {"tools", "pictures"} <= set(mini["takes"])
    assert (llama["price"], llama["sources"], llama["max_output"]) == ("free", {}, None)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gpt-image-1", "high/1024x1024"),
        ("claude-opus-4.6", "inference_geo=us"),
        ("openai/gpt-unheard-of", "unknown: give it one under `models:`"),
        ("text-embedding-3-small", "does                embedding"),
        ("eu/mistral-ocr-latest", "page 0.004 a page"),
        ("eu/deepseek-v4-flash", "price"),
        ("eu/open-mistral-nemo", "holds  "),
        ("deepseek/deepseek-v4-flash", "largest output"),
    ],
)
def test_every_kind_of_price_has_its_line(file: Path, name: str, line: str) -> None:
    assert line in run(file, name)


def test_without_a_name_it_is_a_list(file: Path) -> None:
    lines = run(file).splitlines()
    assert len(lines) > 100 and all("  ->  " in line for line in lines)
    assert all("known" not in row for row in json.loads(run(file, "--json")))


def test_a_part_of_names_lists_them_and_a_misspelled_name_is_told(file: Path) -> None:
    assert "openai/gpt-4o-mini" in run(file, "gpt-4o-mi")
    (row,) = json.loads(run(file, "gtp-4o", "--json"))
    assert row["target"] is None and row["known"] == [] and "nearest name is openai/gpt-4o." in row["problem"]


def test_a_fetched_list_says_when(file: Path, tmp_path: Path) -> None:
    entry = {"architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]}}
    entry |= {"supported_parameters": ["tools"], "top_provider": {"max_completion_tokens": 77}}
    rows = [entry | {"id": f"a/m{n}", "pricing": {"prompt": "0.000001", "completion": "0.000002"}} for n in range(60)]
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "catalogue.json").write_text(json.dumps({"data": rows}))
    (facts,) = known(file, "a/m7")
    assert (facts["max_output"], facts["takes"], facts["modes"]) == (77, ["tools", "pictures"], ["chat"])
    ((source, said),) = facts["sources"].items()
    assert source.startswith("OpenRouter's list, 20")
    assert said == ["prompt", "completion", "max_output", "modes", "takes"]
