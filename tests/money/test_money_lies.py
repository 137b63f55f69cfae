"""What a provider that lies about usage achieves, in every shape of a reply: nothing is cheaper than it was (trust.md U28)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from harness.events import DONE, chat_chunk, chat_reply, event
from harness.steps import Script, json_reply, sse
from money_calls import COMPUTED, Calls, usd

from proxy.stores.journal.records import Row

SHAPES = {"chat": "chat/completions", "responses": "responses", "messages": "messages"}
NAMES = {"chat": ("prompt_tokens", "completion_tokens")}
KINDS = ("negative", "not_a_number", "absurd")
STATED = Decimal("0.5")
COUNTED = Decimal("0.013")  # 11 tokens in, and the one word that streamed past
MISSING = None

LIES: list[tuple[str | None, str | None]] = [
    ("-1", "negative"),
    ("-1e308", "negative"),
    ("NaN", "not_a_number"),
    ("Infinity", "not_a_number"),
    ("1e308", "absurd"),
    ('"12"', "not_a_number"),
    ("true", "not_a_number"),
    ("{}", "not_a_number"),
    ("null", None),
    (MISSING, None),
]


def usage_text(shape: str, cost: str | None, read: str | None = "11", written: str | None = "4") -> str:
    """A usage object as JSON, without what is None."""
    names = NAMES.get(shape, ("input_tokens", "output_tokens"))
    told = {names[0]: read, names[1]: written, "cost": cost}
    return "{" + ",".join(f'"{name}":{text}' for name, text in told.items() if text is not None) + "}"


def with_usage(value: Any, usage: str) -> bytes:
    return json.dumps(value).encode().replace(b'"USAGE"', usage.encode())


def whole(shape: str, usage: str) -> Script:
    """A reply that is not streamed."""
    if shape == "chat":
        return json_reply(with_usage(chat_reply(usage="USAGE"), usage))
    content = [{"type": "text", "text": "Hello"}]
    return json_reply(
        with_usage({"id": "x_1", "model": "m", "content": content, "output": [], "usage": "USAGE"}, usage)
    )


def streamed(shape: str, usages: Sequence[str]) -> Script:
    """A complete stream of one word, which tells its usage as often as there are any."""
    if shape == "chat":
        carriers = [
            chat_chunk("Hello"),
            *(chat_chunk("", usage="USAGE") for _ in usages),
            chat_chunk(finish="stop"),
            DONE,
        ]
    elif shape == "responses":
        told = [event({"type": "response.in_progress", "response": {"usage": "USAGE"}}) for _ in usages]
        word = event({"type": "response.output_text.delta", "delta": "Hello"})
        carriers = [word, *told, event({"type": "response.completed", "response": {"status": "completed"}})]
    else:
        word = event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}})
        told = [event({"type": "message_delta", "delta": {}, "usage": "USAGE"}) for _ in usages]
        start = event({"type": "message_start", "message": {"id": "msg_1", "usage": {"output_tokens": 1}}})
        carriers = [start, word, *told, event({"type": "message_stop"})]
    left = list(usages)
    events = [one.replace(b'"USAGE"', left.pop(0).encode()) if b'"USAGE"' in one else one for one in carriers]
    return sse(b"".join(events))


class Lies:
    """Has a lie told once and says what came of it."""

    def __init__(self, calls: Calls, shape: str, stream: bool) -> None:
        self.shape = shape
        self.stream = stream
        self._calls = calls

    def told(self, usage: str, doubts: Sequence[str | None], *, times: Sequence[str] = ()) -> Row:
        """The row; the log and the metric must have told of exactly these doubts."""
        before = self._anomalies()
        script = streamed(self.shape, [*times, usage]) if self.stream else whole(self.shape, usage)
        body = {
            "model": "chat",
            "messages": [],
            "input": "hi",
            "max_tokens": 500,
            "max_output_tokens": 500,
            "stream": self.stream,
        }
        row = self._calls.row(self._calls.post(script, SHAPES[self.shape], body))
        expected = Counter(doubt for doubt in doubts if doubt)
        assert Counter(self._calls.doubts(row)) == expected
        assert self._anomalies() - before == expected
        return row

    def _anomalies(self) -> Counter[str]:
        toll = self._calls.toll
        return Counter({kind: int(toll.metric("tollkeeper_cost_anomalies_total", kind=kind)) for kind in KINDS})


@pytest.fixture(params=[(shape, stream) for shape in SHAPES for stream in (False, True)], ids=str)
def lies(calls: Calls, request: pytest.FixtureRequest) -> Lies:
    return Lies(calls, *request.param)


@pytest.mark.parametrize(("lie", "doubt"), LIES)
def test_a_cost_that_cannot_be_is_passed_over(lies: Lies, lie: str | None, doubt: str | None) -> None:
    row = lies.told(usage_text(lies.shape, lie), [doubt])
    assert (row.source, usd(row)) == ("computed", COMPUTED)


@pytest.mark.parametrize("cost", ["0", "0.0", "1e-9"])
def test_a_cost_that_can_be_is_believed(lies: Lies, cost: str) -> None:
    row = lies.told(usage_text(lies.shape, cost), [])
    assert (row.source, usd(row)) == ("reported", Decimal(cost))


@pytest.mark.parametrize(("lie", "doubt"), LIES)
def test_a_count_that_cannot_be_does_not_matter_beside_a_cost(lies: Lies, lie: str | None, doubt: str | None) -> None:
    row = lies.told(usage_text(lies.shape, "0.5", lie, lie), [doubt, doubt])
    assert (row.source, usd(row)) == ("reported", STATED)


@pytest.mark.parametrize(("lie", "doubt"), LIES)
def test_output_nobody_can_believe_is_counted_or_costs_the_hold(lies: Lies, lie: str | None, doubt: str | None) -> None:
    row = lies.told(usage_text(lies.shape, None, written=lie), [doubt])
    if lies.stream:
        assert (row.source, usd(row)) == ("counted", COUNTED)
    else:
        assert (row.source, row.cost_pusd) == ("held", row.hold_pusd)
        assert row.cost_pusd > 0


@pytest.mark.parametrize(("lie", "doubt"), LIES)
def test_input_nobody_can_believe_is_estimated_or_costs_the_hold(
    lies: Lies, lie: str | None, doubt: str | None
) -> None:
    row = lies.told(usage_text(lies.shape, None, read=lie), [doubt])
    if lies.stream:
        assert row.source == "counted"
        assert usd(row) > Decimal("0.008")
    else:
        assert (row.source, row.cost_pusd) == ("held", row.hold_pusd)


@pytest.mark.parametrize(("read", "written", "cost"), [("0", "4", "0.008"), ("11", "0", "0.011"), ("0", "0", "0")])
def test_zero_is_zero(lies: Lies, read: str, written: str, cost: str) -> None:
    row = lies.told(usage_text(lies.shape, None, read, written), [])
    assert (row.source, usd(row)) == ("computed", Decimal(cost))


@pytest.mark.parametrize("usage", ["null", "{}", '"lies"', "[]", "7", "NaN"])
def test_a_usage_that_is_none_is_like_a_missing_one(lies: Lies, usage: str) -> None:
    row = lies.told(usage, [])
    if lies.stream:
        assert row.source == "counted"
        assert usd(row) >= Decimal("0.002")
    else:
        assert (row.source, row.cost_pusd) == ("held", row.hold_pusd)


@pytest.mark.parametrize(("cost", "expected"), [(None, ("computed", COMPUTED)), ("0.5", ("reported", STATED))])
@pytest.mark.parametrize(
    "earlier", [["4"], ["1", "2", "3"], ["9"], ["-1"]], ids=["twice", "cumulative", "less", "lies"]
)
def test_the_last_usage_of_a_stream_wins_and_nothing_is_added_up(
    calls: Calls, cost: str | None, expected: tuple[str, Decimal], earlier: list[str]
) -> None:
    for shape in SHAPES:
        times = [usage_text(shape, cost and "1", written=written) for written in earlier]
        row = Lies(calls, shape, stream=True).told(usage_text(shape, cost), [], times=times)
        assert (row.source, usd(row), row.output_tokens) == (*expected, 4)
