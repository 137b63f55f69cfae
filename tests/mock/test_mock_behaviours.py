"""Model names, as a table."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.errors import InvalidValue
from proxy.mock.behaviours import (
    EXPECTED,
    OWN_OPTIONS,
    Behaviour,
    parse_behaviour,
    without_fault,
)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("mock/echo", Behaviour()),
        ("echo", Behaviour()),
        ("openai/gpt-4o", Behaviour()),
        ("openai/gpt-4o?cost=0.03", Behaviour(cost=Decimal("0.03"))),
        ("slow?ttft=2&interval=0.05", Behaviour("slow", ttft=2.0, interval=0.05)),
        ("mock/slow", Behaviour("slow", ttft=2.0, interval=0.05)),
        ("mock/slow?interval=0", Behaviour("slow", ttft=2.0, interval=0.0)),
        ("mock/error?status=429&retry_after=3", Behaviour("error", status=429, retry_after="3")),
        ("mock/error?message=a%20b&times=2&body=html", Behaviour("error", message="a b", times=2, body="html")),
        ("mock/cut?after=5&rst=1", Behaviour("cut", after=5, rst=True)),
        ("mock/cut", Behaviour("cut", after=3)),
        ("mock/hang", Behaviour("hang")),
        ("mock/hang?before=headers", Behaviour("hang")),
        ("mock/hang?after=headers", Behaviour("hang", after=0)),
        ("mock/hang?after=4", Behaviour("hang", after=4)),
        ("mock/big?bytes=7", Behaviour("big", size=7)),
        ("mock/first-event-error", Behaviour("first-event-error", status=429)),
        ("mock/echo?cost_style=sci&usage_shape=2", Behaviour(cost_style="sci", usage_shape=2)),
        ("mock/echo?bills_after_disconnect=1", Behaviour(bills_after_disconnect=True)),
    ],
)
def test_a_model_name_says_what_to_do(model: str, expected: Behaviour) -> None:
    assert parse_behaviour(model) == expected


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("mock/slow?ttft=soon", "'soon' is not usable: it must be a number of seconds from 0 to 3600."),
        ("mock/slow?ttft=nan", "a number of seconds"),
        ("mock/slow?ttft=-1", "a number of seconds"),
        ("mock/echo?tokens=1.5", "a whole number"),
        ("mock/cut?after=headrs", "a whole number of events"),
        ("mock/hang?before=lunch", "the word headers"),
        ("mock/echo?cost=nan", "an amount in USD"),
        ("mock/echo?cost=-1", "an amount in USD"),
        ("mock/echo?usage_shape=4", "1, 2 or 3"),
        ("mock/error?retry_after=1%0d%0aX-Evil:1", "the text of a Retry-After header"),
        ("mock/error?statuss=429", "has no option 'statuss'; it has tokens"),
        ("mock/echo?status=429", "has no option 'status'"),
        ("mock/slow?ttft", "must read name=value"),
    ],
)
def test_a_wrong_option_is_refused_with_a_sentence(model: str, sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_behaviour(model)
    assert sentence in caught.value.message


def test_every_option_says_what_it_expects() -> None:
    assert {option for own in OWN_OPTIONS.values() for option in own} <= set(EXPECTED)


def test_a_fault_that_is_over_keeps_its_other_options() -> None:
    assert without_fault(parse_behaviour("error?tokens=3&times=1")) == Behaviour(status=500, tokens=3, times=1)
