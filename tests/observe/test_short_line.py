"""The line of a call at a terminal: short, one line whatever a name holds, and in JSON every field."""

from __future__ import annotations

import io
import json
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import asdict

from proxy.exchange.entry import Entry, Tried
from proxy.exchange.reporting.lines import OddLine
from proxy.observe.logs import log_calls, set_up
from proxy.observe.short_line import coloured, short_line

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

ENDED = datetime(2026, 11, 21, 8, 5, 9)
USUAL = Entry(
    request_id="req_1", upstream_request_id=None, at="2026-11-21T08:05:07.000Z", key="alice", endpoint="chat/completions",
    model="gpt-4o-mini", target="openai/gpt-4o-mini", provider="openrouter", served=None, stream=True, status=200,
    error_type=None, error=None, attempts=1, tried=(Tried("openrouter", "openai/gpt-4o-mini", "200"),), adjusted=(),
    input_tokens=1204, output_tokens=310, cached_tokens=None, reasoning_tokens=None, cost_usd="0.002310000000",
    cost_source="reported", first_byte_seconds=0.31, first_token_seconds=0.4213, total_seconds=2.1, overhead_seconds=0.001, client_left=None,
    shadow_rejections=(),
    session=None,
    tags=(),
)  # fmt: skip


def entry(**fields: Any) -> Entry:
    return Entry(**{**{name: getattr(USUAL, name) for name in Entry.__struct_fields__}, **fields})


def line_of(call: Entry, level: str = "info") -> OddLine:
    return OddLine(**asdict(call), event="call", level=level, time="2026-11-21T08:05:09.000000Z")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {},
            "08:05:09  200  alice  gpt-4o-mini → openrouter: openai/gpt-4o-mini  1,204+310 tokens  $0.00231  "
            "first 0.42s  2.10s  req_1",
        ),
        (
            {"model": "openai/gpt-4o-mini", "first_token_seconds": None, "input_tokens": None, "output_tokens": None},
            "08:05:09  200  alice  openai/gpt-4o-mini → openrouter  $0.00231  2.10s  req_1",
        ),
        (
            {"status": 402, "tried": (), "error": "budget_exceeded", "error_type": "policy_budget", "cost_usd": None,
             "first_token_seconds": None},
            "08:05:09  402  alice  gpt-4o-mini  1,204+310 tokens  2.10s  budget_exceeded  req_1",
        ),
        ({"model": None, "tried": (), "endpoint": "models", "key": None, "cost_usd": None, "input_tokens": None,
          "output_tokens": None, "first_token_seconds": None}, "08:05:09  200  -  models  2.10s  req_1"),
        ({"client_left": "streaming", "status": 499, "cost_usd": "0", "tried": (), "model": "a\nb\x1b[2J",
          "first_token_seconds": None}, "08:05:09  499  alice  a\\nb\\x1b[2J  1,204+310 tokens  $0.00  2.10s  client left  req_1"),
        ({"shadow_rejections": ("budget_exceeded by global:day", "rate_limit_exceeded by global:requests:day"),
          "input_tokens": None, "output_tokens": None, "first_token_seconds": None}, "08:05:09  200  alice  gpt-4o-mini → "
         "openrouter: openai/gpt-4o-mini  $0.00231  2.10s  would be refused: budget_exceeded by global:day, "
         "rate_limit_exceeded by global:requests:day  req_1"),
        ({"status": 0, "tried": (), "input_tokens": 0, "output_tokens": 0, "cost_usd": None, "first_token_seconds": None},
         "08:05:09    -  alice  gpt-4o-mini  0+0 tokens  2.10s  req_1"),
    ],
)  # fmt: skip
def test_the_line_says_what_people_look_for(fields: dict[str, Any], line: str) -> None:
    assert short_line(entry(**fields), ENDED) == line


@pytest.mark.parametrize(("status", "written"), [(200, "x"), (404, "\x1b[33mx\x1b[0m"), (502, "\x1b[31mx\x1b[0m")])
def test_colours_are_for_what_deserves_a_look(status: int, written: str) -> None:
    assert coloured("x", status) == written


def test_a_terminal_gets_the_short_line_and_a_file_every_field() -> None:
    pretty, whole = io.StringIO(), io.StringIO()
    set_up("info", "pretty", pretty)
    log_calls([line_of(entry(key="sk-canarycanary"))], has_odd=True)
    set_up("info", "json", whole)
    log_calls([line_of(USUAL)], has_odd=True)
    (line,) = pretty.getvalue().splitlines()
    assert line.endswith("first 0.42s  2.10s  req_1")
    assert "canary" not in line
    assert {"upstream_request_id", "served", "adjusted", "overhead_seconds"} <= json.loads(whole.getvalue()).keys()


def test_lines_below_the_level_are_left_out_here_too() -> None:
    out = io.StringIO()
    set_up("warning", "pretty", out)
    log_calls([line_of(USUAL), line_of(entry(status=502), "warning")], has_odd=True)
    assert out.getvalue().count("\n") == 1
