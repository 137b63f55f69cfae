"""Whatever text comes in: a configuration comes out, or ConfigProblems; never anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.config.load import Loaded, load_text
from proxy.config.loader import parse
from proxy.config.models import Config
from proxy.config.problems import ConfigProblems

NAMES = sorted(
    {name for part in Config.model_json_schema()["$defs"].values() for name in part.get("properties", {})}
    | set(Config.model_fields)
    | {"openai", "mock", "a b", "", "\x1b[1m", "target", "price", "fallbacks", "defaults"}
)
WORDS = [
    "openai", "mock", "0.0.0.0", "::1", "127.0.0.1", "http://[x", "https://x/v1/", "http://127.0.0.1:8655", "${A}", "${B}",
    "${B:-x}", "$${", "${", "6h", "64MiB", "never", "forever", "day", "minute", "Europe/Berlin", "../..", "\x00", "sha256:" + "0" * 64, "é",
    "0", "-1", "1e5", ".nan",
]  # fmt: skip
FRAGMENTS = [
    "- ", "? ", ": ", "{", "}", "[", "]", ", ", "\n", "\n  ", "&a ", "*a", "!!int ", "!x ", "|\n", ">", "'", '"', "#", "---\n", "...\n", "%YAML 1.2\n",
    "\t", "\\", "${", "}", "~", ".inf", "1e999", "9" * 5000, "\ufeff", "\x85", "\u2028", "\ud800", "@", "`", "<<: ",
    *NAMES, *WORDS,
]  # fmt: skip
ENV = {"A": "x", "OPENAI_API_KEY": "k", "HOME": "/nowhere"}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=30,
)


def outcome(text: str) -> Loaded | ConfigProblems:
    try:
        return load_text(text, Path("c.yaml"), ENV)
    except ConfigProblems as problems:
        assert problems.problems
        assert all(problem.sentence and "\n" not in str(problem) for problem in problems.problems)
        return problems


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_a_configuration_or_a_list_of_problems(text: str) -> None:
    assert isinstance(outcome(text), (Loaded, ConfigProblems))


@settings(max_examples=300)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))
def test_any_heap_of_yaml_is_a_configuration_or_a_list_of_problems(text: str) -> None:
    assert isinstance(outcome(text), (Loaded, ConfigProblems))


@pytest.mark.parametrize("parser", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_both_parsers_survive_any_heap_of_yaml(parser: Any) -> None:
    @settings(max_examples=100)
    @given(st.lists(st.sampled_from(FRAGMENTS), max_size=15).map("".join))
    def survives(text: str) -> None:
        try:
            document = parse(text, "c.yaml", parser)
        except ConfigProblems as problems:
            assert problems.problems
        else:
            assert isinstance(document.tree, dict)

    survives()


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), trees, max_size=4))
@example({"providers": {"headers": {"kind": None}}})
@example({"models": {"price": {"price": {"input": "x"}}}})
def test_any_tree_of_known_names_is_a_configuration_or_a_list_of_problems(tree: dict[str, Any]) -> None:
    assert isinstance(outcome(yaml.safe_dump(tree)), (Loaded, ConfigProblems))
