"""Where YAML is generous, the loader is not; and every complaint has its place."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from proxy.config.loader import DEEPEST, MOST_CHARACTERS, MOST_VALUES, parse
from proxy.config.problems import ConfigProblems, Path

PARSERS = [yaml.SafeLoader] + ([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])


@pytest.fixture(params=PARSERS, ids=lambda parser: parser.__name__)
def parser(request: pytest.FixtureRequest) -> Any:
    return request.param


def complaints(text: str, parser: Any) -> list[str]:
    try:
        return [str(problem) for problem in parse(text, "c.yaml", parser).problems]
    except ConfigProblems as problems:
        return [str(problem) for problem in problems.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("12:30:45", "12:30:45"),
        ("2026-11-21", "2026-11-21"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("1.20", 1.2),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("+.INF", math.inf),
        ("~", None),
        ("null", None),
        ("", None),
        ("'no'", "no"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("0b11", "0b11"),
        ("9" * 101, "9" * 101),
        ("=", "="),
        ("<<", "<<"),
        ("|\n  12\n", "12\n"),
    ],
)
def test_plain_text_means_what_yaml_1_2_says(written: str, value: object, parser: Any) -> None:
    document = parse(f"a: {written}", "c.yaml", parser)
    assert document.tree == {"a": value}
    assert isinstance(document.tree["a"], type(value))
    assert isinstance(document.tree["a"], bool) is isinstance(value, bool)
    assert document.problems == []


def test_not_a_number_is_a_number_nobody_can_use(parser: Any) -> None:
    value = parse("a: .nan", "c.yaml", parser).tree["a"]
    assert isinstance(value, float)
    assert math.isnan(value)


def test_names_are_text_whatever_they_look_like(parser: Any) -> None:
    document = parse("no: 1\n12: 2\n1.5: 3\nnull: 4\ntrue: 5\n", "c.yaml", parser)
    assert list(document.tree) == ["no", "12", "1.5", "null", "true"]


@pytest.mark.parametrize("text", ["", "   \n", "# nothing\n", "---\n", "--- ~\n", "\ufeff", "{}", "---\n...\n"])
def test_a_file_without_content_is_an_empty_configuration(text: str, parser: Any) -> None:
    document = parse(text, "c.yaml", parser)
    assert document.tree == {}
    assert document.problems == []


def test_a_byte_order_mark_is_passed_over(parser: Any) -> None:
    document = parse("\ufeffa: 1\n", "c.yaml", parser)
    assert document.tree == {"a": 1}
    assert document.place_of_name(("a",)) == (1, 1)


def test_every_value_and_name_remembers_its_place(parser: Any) -> None:
    document = parse("a:\n  b: [1, {c: x}]\n  d:   y\n", "c.yaml", parser)
    places: dict[Path, tuple[int, int]] = {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", "b"): (2, 6),
        ("a", "b", 0): (2, 7),
        ("a", "b", 1): (2, 10),
        ("a", "b", 1, "c"): (2, 14),
        ("a", "d"): (3, 8),
    }
    assert {path: document.place(path) for path in places} == places
    assert document.place_of_name(("a", "b", 1, "c")) == (2, 11)
    for absent in (("b",), ("a", "b", 2), ("a", "b", "c"), ("a", "d", "e")):
        assert document.place(absent) is None


def test_an_alias_stands_for_what_its_anchor_marks(parser: Any) -> None:
    document = parse("a: &x {n: 1}\nb: *x\nc: &y [1]\nd: *y\n", "c.yaml", parser)
    assert document.tree == {"a": {"n": 1}, "b": {"n": 1}, "c": [1], "d": [1]}
    assert document.place(("b", "n")) == (1, 11)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", ["c.yaml:2:1: a: is given twice; the first is on line 1"]),
        ("x:\n  - {b: 1, b: 2}\n", ["c.yaml:2:12: x[0].b: is given twice; the first is on line 2"]),
        ("no: 1\n'no': 2\n", ["c.yaml:2:1: no: is given twice; the first is on line 1"]),
        ("a: 1\n---\nb: 2\n", ["c.yaml:2:1: a second document starts here; a configuration is one document"]),
        ("- a\n", ["c.yaml:1:1: the file must hold `name: value` lines at its top level"]),
        ("words\n", ["c.yaml:1:1: the file must hold `name: value` lines at its top level"]),
        ("12\n", ["c.yaml:1:1: the file must hold `name: value` lines at its top level"]),
        (
            "a: !!python/object:x {}\n",
            ["c.yaml:1:4: a: tags (!) have no meaning here; put text that starts with ! in quotes"],
        ),
        ("a: !canary x\n", ["c.yaml:1:4: a: tags (!) have no meaning here; put text that starts with ! in quotes"]),
        (
            "a: *canary\n",
            ["c.yaml:1:4: a: an alias (*) whose anchor (&) has not ended above; put text that starts with * in quotes"],
        ),
        (
            "a: &x [*x]\n",
            [
                "c.yaml:1:8: a[0]: an alias (*) whose anchor (&) has not ended above; put text that starts with * in quotes"
            ],
        ),
        ("? [a]\n: b\n", ["c.yaml:1:3: a name must stand before the colon, as plain text"]),
        ("a: {'': b}\n", ["c.yaml:1:5: a: a name must stand before the colon, as plain text"]),
        ('a: "x\\0y"\n', ["c.yaml:1:4: a: text cannot hold the NUL character or half of a surrogate pair"]),
        ("a: b: c\n", ["c.yaml:1:5: a colon where none can stand: put the text in quotes, or check the indentation"]),
        (
            "a: 1\n b: 2\n",
            ["c.yaml:2:3: a colon where none can stand: put the text in quotes, or check the indentation"],
        ),
        ("a: 'canary\n", None),
        ("a: @canary\n", ["c.yaml:1:4: a character that cannot start a value (one of @ ` %); put the text in quotes"]),
        ("a:\n\tb: 1\n", ["c.yaml:2:1: a tab in the indentation; YAML wants spaces"]),
        ("a: {b: ${X:-d, e}}\n", ['c.yaml:1:9: inside {…} or […] this variable wants quotes: "${NAME:-a default}"']),
        ("a: {b: ${X\n", ['c.yaml:1:9: inside {…} or […] this variable wants quotes: "${NAME:-a default}"']),
        ("a: 1\nb: x\x07y\n", ["c.yaml:2:5: a control character that YAML does not allow"]),
        ("a: \ud800\n", ["c.yaml:1:4: a control character that YAML does not allow"]),
        ("%YAML 3.0\n--- a\n", ["c.yaml:1:1: this is written for a YAML version nobody reads yet"]),
    ],
)
def test_what_is_refused_is_refused_in_its_place(text: str, expected: list[str] | None, parser: Any) -> None:
    found = complaints(text, parser)
    assert found
    assert not any("canary" in complaint for complaint in found)
    assert expected is None or found == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{b: ${X}, c: [${Y:-d}, x-${Z}]}", {"b": "${X}", "c": ["${Y:-d}", "x-${Z}"]}),
        ("{b: ${X:-https://a:1/x}}", {"b": "${X:-https://a:1/x}"}),
        ('{"b":${X}, c: "${Y:-d, e}", d: $${Z}}', {"b": "${X}", "c": "${Y:-d, e}", "d": "$${Z}"}),
        ("${X}${Y:-}", "${X}${Y:-}"),
        ("|\n  ${X} # no comment", "${X} # no comment\n"),
    ],
)
def test_a_variable_needs_no_quotes_inside_braces_and_brackets(text: str, value: Any, parser: Any) -> None:
    document = parse(f"a: {text}\n", "c.yaml", parser)
    assert not document.problems
    assert document.tree == {"a": value}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1, 2", "a list is not closed"),
        ("a: {b: 1", "is not closed: a comma or }"),
        ("a: 'x", "a quote is opened and never closed"),
        ("a: 'x\n---\n", "a quote is opened and never closed"),
        ('a: "\\q"', "an unknown escape after a backslash"),
        ('a: "\\xZZ"', "an escape after a backslash that is not finished"),
        ("a: 1\nb\nc: 2", "the colon after this name is missing"),
        ("a:\n    b: 1\n  c: 2", "the indentation does not fit the lines above"),
        ("- a\nb: c", "line does not"),
        ("a: - b", "a list (`- `) cannot start here"),
        ("a: |x", "this is not YAML"),
    ],
)
def test_a_syntax_error_is_told_in_plain_words(text: str, part: str) -> None:
    (complaint,) = complaints(text, PARSERS[-1])
    assert part in complaint


def test_what_was_wrong_before_the_syntax_broke_is_told_as_well(parser: Any) -> None:
    found = complaints("a: 1\na: 2\nb: [", parser)
    assert len(found) == 2
    assert found[0].startswith("c.yaml:2:1: a: is given twice")


def test_an_alias_bomb_is_refused_without_being_built(parser: Any) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    (complaint,) = complaints("\n".join(lines), parser)
    assert complaint.startswith(f"c.yaml:1:1: its values are more than {MOST_VALUES:,}")


def test_aliases_cannot_nest_what_brackets_may_not(parser: Any) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, DEEPEST + 1)]
    (complaint,) = complaints("\n".join(lines), parser)
    assert "levels" in complaint


def test_deep_nesting_is_refused_where_it_gets_too_deep(parser: Any) -> None:
    for depth in (DEEPEST, 100_000):
        (complaint,) = complaints("a: " + "[" * depth, parser)
        assert complaint.startswith(f"c.yaml:1:{3 + DEEPEST}: a[0]")
        assert complaint.endswith(f"nested more than {DEEPEST} levels deep")


def test_a_file_may_be_large_but_not_endless() -> None:
    assert len(parse("a:\n" + " - 1\n" * (MOST_VALUES - 10), "c.yaml").tree["a"]) == MOST_VALUES - 10  # type: ignore[arg-type]
    keys = "".join(f"  k{n}: {{key_hash: sha256:{n:064x}, tenant: t{n % 1000}}}\n" for n in range(10_000))
    assert len(parse(f"keys:\n{keys}", "c.yaml").tree["keys"]) == 10_000  # type: ignore[arg-type]
    assert complaints("#" * (MOST_CHARACTERS + 1), PARSERS[-1]) == [
        "c.yaml: the file is larger than 4 MiB; a configuration never is"
    ]
