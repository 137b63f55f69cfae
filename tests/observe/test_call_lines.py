"""The lines of calls that ended: what is said once for many is what each of them would have said for itself."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog

from proxy.errors import EndpointNotServed, ModelNotFound
from proxy.exchange.entry import Tried
from proxy.exchange.record import Record
from proxy.exchange.reporting.lines import Kinds, Line
from proxy.observe.logs import log_calls, set_up
from proxy.policy.money.credits import Credits
from proxy.policy.values import Target
from proxy.wire.marks import Marks
from proxy.wire.usage import Usage

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

ENDED = 102.25
USUAL: dict[str, Any] = {
    "request_id": "req_1",
    "started": 100.0,
    "waited_seconds": 0.25,
    "upstream_seconds": 1.0,
    "first_byte_at": 101.75,
    "first_token_at": 101.875,
    "at": 1_790_000_000.125,
    "phase": "done",
    "endpoint": "chat/completions",
    "key": "alice",
    "model": "quick",
    "label": "quick",
    "target": Target("openrouter", "openai/gpt-4o-mini"),
    "tried": [Tried("openrouter", "openai/gpt-4o-mini", "200")],
    "calls": 1,
    "status": 200,
    "cost_pusd": 18_900_000,
    "cost_source": "reported",
    "usage": Usage(38, 22),
    "served": "openai/gpt-4o-mini",
    "upstream_request_id": "gen-1",
}
# another value of every field that a line depends on
CHANGES: dict[str, Any] = {
    "request_id": "req_2",
    "started": 99.5,
    "waited_seconds": 0.5,
    "upstream_seconds": 0.75,
    "first_byte_at": None,
    "first_token_at": None,
    "at": 1_790_000_001.5,
    "phase": "streaming",
    "endpoint": "messages",
    "key": None,
    "tenant": "acme",
    "model": None,
    "label": "other",
    "stream": True,
    "pending": True,
    "marks": Marks("ses_1", ("a", "b")),
    "cache": "miss",
    "target": None,
    "tried": [Tried("local", "m", "503"), Tried("openrouter", "openai/gpt-4o-mini", "200")],
    "calls": 2,
    "status": 502,
    "cost_pusd": 3 * 10**12 + 7,
    "saved_pusd": 5,
    "cost_source": "cached",
    "adjusted": ["max_tokens=812"],
    "decision": "dec_1",
    "use_case": "roleplay@3",
    "arm": "newer/m",
    "losses": (("chat", "messages", "n"),),
    "error": ModelNotFound("m"),
    "failure": "upstream_timeout",
    "failure_status": 504,
    "missing": "model",
    "usage": None,
    "served": None,
    "upstream_request_id": None,
    "client_left": "streaming",
    "shadow_rejections": ("budget_exceeded by global:day",),
}
# those that say how a call is served, and nothing of it when it is over
ELSEWHERE = {
    "shape", "speaks_anthropic", "timing", "cors", "unsettled", "fallback", "task", "listener", "dressed",
    "asked_of", "limit_headers", "cut_by", "findings", "held", "when_settled", "sent_at", "opened_at", "queued",
}  # fmt: skip
ODD = [
    {"key": "sk-canarycanary"},
    {"model": "a\nb\x1b[2J"},
    {"model": "\ud83d"},
    {"served": "é😀\u2028"},
    {"tenant": "zoë"},
    {"key": "sk-canarycanary"},
    {"tried": [Tried("local", 'm"\\', "200")]},
    {"adjusted": ["model=Bearer canarycanary"]},
    {"upstream_request_id": "sk-canarycanary"},
    {"upstream_request_id": 'a"b\\\x7f\udce9'},
    {"upstream_request_id": "x" * 3000},
    {"marks": Marks("sk-canarycanary")},
    {"marks": Marks("", ("sk-canarycanary",))},
    {"model": "y" * 3000},
]


def record(**fields: Any) -> Record:
    return Record(**{**USUAL, **fields})


def written(records: list[Record], unit: Credits | None = None) -> list[str]:
    """The lines of calls that end together."""
    out = io.StringIO()
    set_up("info", "json", out)
    told = Kinds().told([(one, ENDED) for one in records], unit)
    log_calls(told.lines, has_odd=told.has_odd)
    return out.getvalue().splitlines()


def through_the_chain(one: Record) -> str:
    """What structlog makes of the call's entry."""
    out = io.StringIO()
    set_up("info", "json", out)
    entry = Kinds().told([(one, ENDED)], None).alike[0].entry
    getattr(structlog.get_logger(), "warning" if entry.status >= 500 else "info")("call", **msgspec.to_builtins(entry))
    return out.getvalue().rstrip("\n")


def without_time(line: str) -> str:
    head, _, time = line.rpartition(',"time":"')
    assert len(time) == len('2026-11-21T08:05:09.000000Z"}')
    return head


def test_every_field_of_a_record_is_thought_of() -> None:
    assert CHANGES.keys() | ELSEWHERE == set(Record.__struct_fields__)
    assert not CHANGES.keys() & ELSEWHERE


@pytest.mark.parametrize("name", CHANGES)
def test_a_call_of_a_known_kind_says_what_it_would_say_alone(name: str) -> None:
    usual, other = record(), record(**{name: CHANGES[name]})
    told = Kinds().told([(usual, ENDED), (other, ENDED), (usual, ENDED)], None)
    alone = Kinds().told([(other, ENDED)], None)
    assert told.lines[1].entry() == alone.lines[0].entry() == alone.alike[0].entry
    assert told.lines[0] == told.lines[2]
    assert all(isinstance(line, Line) for line in told.lines)


@pytest.mark.parametrize("fields", [{}, *({name: value} for name, value in CHANGES.items()), *ODD])
def test_a_line_is_what_the_chain_would_write_byte_for_byte(fields: dict[str, Any]) -> None:
    usual, other = record(), record(**fields)
    lines = written([usual, other, usual])
    assert [without_time(line) for line in lines] == [
        without_time(through_the_chain(one)) for one in (usual, other, usual)
    ]
    assert "canary" not in "".join(lines)
    assert lines[0].endswith(',"time":"2026-09-21T14:13:22.375000Z"}')


def test_kinds_are_kept_apart_by_what_metrics_tell_and_together_by_all_else() -> None:
    alike = [record(request_id=f"req_{n}", cost_pusd=n, upstream_request_id=None if n % 2 else "x") for n in range(9)]
    refused = [record(error=error, status=404) for error in (ModelNotFound("a"), ModelNotFound("b"))]
    barred = record(error=EndpointNotServed("a"), status=404)
    told = Kinds().told([(one, ENDED) for one in (*alike, *refused, barred, record(losses=(("a", "b", "c"),)))], None)
    assert [len(same.lines) for same in told.alike] == [9, 2, 1, 1]
    assert [json.loads(msgspec.json.encode(line))["request_id"] for line in told.lines[:9]] == [
        one.request_id for one in alike
    ]


def test_each_line_says_its_cost_in_the_operators_unit() -> None:
    lines = written([record(cost_pusd=cost) for cost in (10**12, 2 * 10**12, 5)], Credits(Decimal(2)))
    told = [json.loads(line)["cost_credits"] for line in lines]
    assert told == ["0.500000 credits", "1.000000 credits", "0.000000 credits"]
    assert json.loads(written([record(cost_source=None)], Credits(Decimal(2)))[0])["cost_credits"] is None
