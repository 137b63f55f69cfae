"""Log lines: one each, no secret in them, and nothing that a name can break."""

from __future__ import annotations

import io
import json
import logging
from decimal import Decimal
from typing import Any, Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.logs import redact, redacted, set_up
from proxy.secret import Secret

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

CANARIES = [
    "sk-or-v1-0123456789abcdefcanary",
    "sk-ant-api03-canary_canary-canary",
    "sk-proj-canarycanary",
    "Bearer canarycanary",
    "bearer  canary.canary-canary",
    "BEARER CANARYCANARY",
    "Authorization: Bearer canary+canary/canary~canary==",
]


def logger(style: Literal["auto", "json", "pretty"] = "json", level: str = "info") -> tuple[Any, io.StringIO]:
    out = io.StringIO()
    set_up(level, style, out)
    return structlog.get_logger(), out


def only_line(out: io.StringIO) -> dict[str, Any]:
    text = out.getvalue()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    line = json.loads(text)
    assert isinstance(line, dict)
    return line


@pytest.mark.parametrize("text", CANARIES)
@pytest.mark.parametrize("style", ["json", "pretty"])
def test_what_looks_like_a_credential_is_never_written(text: str, style: Literal["json", "pretty"]) -> None:
    log, out = logger(style)
    nested = {"headers": [("Authorization", text)], text: {"deep": [text]}}
    log.warning(f"before {text} after", word=text, value=nested, error=ValueError(text), raw=text.encode())
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("failed")
    logging.getLogger("aiohttp.server").error("theirs %s", text)
    written = out.getvalue()
    assert "anary" not in written.lower()
    assert written.count("***") >= 8


def test_a_secret_has_no_text_to_write() -> None:
    log, out = logger()
    log.info("call", key=Secret("canary"), keys=[Secret("canary")])
    assert only_line(out)["key"] == "Secret(***)"
    assert "canary" not in out.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("sk-short", "sk-short"),
        ("task-abcdefgh disk-abcdefgh", "task-abcdefgh disk-abcdefgh"),
        ("a bearer of news", "a bearer of news"),
        ("x=sk-abcdefgh,y", "x=sk-***,y"),
        ("Bearer abcdefgh, and more", "Bearer ***, and more"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\rb\x1b[31mc\x00\x7f\x85\x9b\u2028\ud83d", "a\\rb\\x1b[31mc\\x00\\x7f\\x85\\x9b\\u2028\\ud83d"),
        ("é😀", "é😀"),
        ("x" * 2048, "x" * 2048),
        ("x" * 2049, "x" * 2048 + "…"),
        ("\n" + "x" * 10_000, "\n" + "x" * 10_000),
        ("\n" + "x" * 20_000, "\n" + "x" * (8 * 2048 - 1) + "…"),
    ],
)
def test_texts_are_made_fit_and_kept_short(text: str, expected: str) -> None:
    assert redacted(text) == expected


HOSTILE = [
    "\r\n",
    '"}\n{"event":"forged"}',
    "\x1b[2J\x1b[31m",
    "\x00\x07\x7f\x9b31m",
    "\u2028\u2029\x85\x0b\x0c",
    "\ud83d",
    "\udce9",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_every_event_is_one_valid_line_whatever_a_name_holds(name: str) -> None:
    log, out = logger()
    log.info(f"call{name}", model=name, nested={"model": [name, (name,)], name: 1}, **{name: 2})
    line = only_line(out)
    assert line["event"].startswith("call")
    assert line["level"] == "info"
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in out.getvalue().rstrip("\n"))
    logging.getLogger("aiohttp").error("theirs %s", name)
    assert len(out.getvalue().splitlines()) == 2


@pytest.mark.parametrize("name", ["\x1b[31m", "\x9b31m", "\r", "\x07", "\ud83d"])
def test_no_name_reaches_a_terminal_as_a_command(name: str) -> None:
    log, out = logger("pretty")
    log.info(f"call{name}", model=name, words=f"a {name} b", nested=[name])
    assert name not in out.getvalue()
    assert out.getvalue().count("\n") == 1


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.text() | st.integers() | st.floats() | st.binary() | st.none())
)
def test_no_value_whatever_fails_a_line(values: dict[str, Any]) -> None:
    log, out = logger()
    own = {name: value for name, value in values.items() if name not in ("event", "exc_info", "stack_info")}
    log.bind(**own).info("call")
    assert only_line(out)["event"] == "call"


def test_numbers_stay_numbers_and_everything_else_is_text() -> None:
    log, out = logger()
    log.info("call", n=7, big=2**70, f=0.25, yes=True, none=None, cost=Decimal("0.00000425"), raw=b"\xff", of=range(2))
    line = only_line(out)
    expected = {"n": 7, "big": 2**70, "f": 0.25, "yes": True, "none": None, "cost": "0.00000425"}
    assert {name: line[name] for name in expected} == expected
    assert (line["raw"], line["of"]) == ("b'\\xff'", "range(0, 2)")


def test_a_line_says_when_and_how_grave() -> None:
    log, out = logger()
    log.warning("call")
    line = only_line(out)
    assert line["level"] == "warning"
    assert line["time"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", ["debug", "info", "warning"]), ("info", ["info", "warning"]), ("warning", ["warning"]), ("error", [])],
)
def test_lines_below_the_level_are_not_written(level: str, written: list[str]) -> None:
    log, out = logger(level=level)
    for name in ("debug", "info", "warning"):
        getattr(log, name)(name)
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == written


@pytest.mark.parametrize(("level", "written"), [("debug", ["w", "e"]), ("info", ["w", "e"]), ("error", ["e"])])
def test_other_libraries_are_heard_from_warnings_on(level: str, written: list[str]) -> None:
    _, out = logger(level=level)
    theirs = logging.getLogger("some.library")
    theirs.info("i")
    theirs.warning("w")
    theirs.error("e")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == written


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("style", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("pretty", io.StringIO, False),
        ("pretty", Terminal, False),
    ],
)
def test_the_style_follows_the_terminal_unless_it_is_named(
    style: Literal["auto", "json", "pretty"], stream: type[io.StringIO], is_json: bool
) -> None:
    out = stream()
    set_up("info", style, out)
    structlog.get_logger().info("call", model="m")
    assert out.getvalue().startswith("{") is is_json
    assert ("\x1b[" in out.getvalue()) is (stream is Terminal and not is_json)


def test_members_that_structlog_keeps_for_itself_are_left_alone() -> None:
    record = object()
    assert redact(None, "info", {"_record": record, "event": "sk-canarycanary"}) == {
        "_record": record,
        "event": "sk-***",
    }
