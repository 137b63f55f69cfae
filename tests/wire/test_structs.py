"""Structs that are set often (proxy/wire/structs.py)."""

from __future__ import annotations

import copy
import dis
import gc

import msgspec
import pytest
from msgspec import Struct

from proxy.exchange.io.response import Response
from proxy.exchange.record import record_of
from proxy.wire.findings import Findings
from proxy.wire.reply_head import ReplyHead
from proxy.wire.structs import often_set


@often_set
class Counter(Struct):
    name: str
    count: int = 0


def test_a_field_is_set_read_copied_and_encoded_as_ever() -> None:
    counter = Counter("calls")
    counter.count = 2
    assert counter == Counter("calls", 2) and copy.copy(counter) == counter
    assert msgspec.json.decode(msgspec.json.encode(counter), type=Counter) == counter
    assert msgspec.structs.replace(counter, count=3).count == 3


def test_what_is_no_field_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Counter("calls").total = 1  # type: ignore[attr-defined]


def test_the_interpreter_sets_a_field_in_one_step() -> None:
    def add(counter: Counter) -> None:
        counter.count += 1

    counter = Counter("calls")
    for _ in range(100):
        add(counter)
    assert "STORE_ATTR_SLOT" in [one.opname for one in dis.get_instructions(add, adaptive=True)]


@pytest.mark.parametrize(
    "one",
    [record_of("req_1"), Findings("chat"), ReplyHead({}, []), Response(None, 200, ReplyHead({}, []))],
    ids=lambda one: type(one).__name__,
)
def test_what_a_ring_may_lead_through_is_seen_by_the_garbage_collector_from_the_start(one: object) -> None:
    assert gc.is_tracked(one)  # whatever else has these in its fields is, too
