"""What the YAML parser complains about, in our own words: its own would quote the text, secrets and all."""

from __future__ import annotations

import yaml

# (a part of the parser's complaint, our sentence); the first that fits counts.
_SENTENCES = (
    ("tab character", "a tab in the indentation; YAML wants spaces"),
    (
        "mapping values are not allowed",
        "a colon where none can stand: put the text in quotes, or check the indentation",
    ),
    ("could not find expected ':'", "the colon after this name is missing"),
    ("expected ',' or ']'", "a list is not closed: a comma or ] is missing"),
    ("expected ',' or '}'", "a {…} is not closed: a comma or } is missing"),
    ("unexpected end of stream", "a quote is opened and never closed"),
    ("unexpected document", "a quote is opened and never closed"),
    ("unknown escape character", "an unknown escape after a backslash; single quotes take backslashes as they are"),
    ("expected hex", "an escape after a backslash that is not finished"),
    ("invalid Unicode character escape", "an escape that names no character"),
    ("expected key", "the indentation does not fit the lines above"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("expected '-' indicator", "a list item starts with `- `; this line does not"),
    ("block sequence entries are not allowed", "a list (`- `) cannot start here; put it on its own lines"),
    ("incompatible YAML document", "this is written for a YAML version nobody reads yet"),
)
_OTHERWISE = "this is not YAML; text with special characters wants quotes"


def syntax_sentence(error: yaml.YAMLError, text: str) -> tuple[int, int, str]:
    """Return line, column (from 1) and a sentence for what the parser could not read."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    complaint = getattr(error, "problem", None) or ""
    if "cannot start any token" in complaint:
        return line, column, _unstartable(text, line, column)
    if _is_variable(text, line, column):
        return line, column, 'inside {…} or […] this variable wants quotes: "${NAME:-a default}"'
    sentence = next((ours for theirs, ours in _SENTENCES if theirs in complaint), _OTHERWISE)
    return line, column, sentence


def _is_variable(text: str, line: int, column: int) -> bool:
    """Say whether the parser stopped at the brace of a bare `${`: braces have a meaning of their own in {…}."""
    return _line(text, line)[max(column - 2, 0) : column] == "${"


def _line(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line - 1] if line <= len(lines) else ""


def _unstartable(text: str, line: int, column: int) -> str:
    if _line(text, line)[:column].endswith("\t"):
        return "a tab in the indentation; YAML wants spaces"
    return "a character that cannot start a value (one of @ ` %); put the text in quotes"
