"""What docs/analytics.md shows of answers has the members that answers have, each and no other."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from example_blocks import BLOCKS

from proxy.web.operator.spending.anomalies import AnomaliesAnswer
from proxy.web.operator.spending.forecasts import ForecastAnswer
from proxy.web.operator.spending.reconciliation import ReconciliationAnswer
from proxy.web.operator.spending.savings import SavingsAnswer

ANSWERS: dict[str, Any] = {
    '"budgets"': ForecastAnswer,
    '"anomalies"': AnomaliesAnswer,
    '"corrections"': ReconciliationAnswer,
    '"savings"': SavingsAnswer,
}


@pytest.mark.parametrize("member", ANSWERS)
def test_an_answer_on_the_page_is_one_that_is_given(member: str) -> None:
    shown = [block.body for block in BLOCKS if block.page == "docs/analytics.md" and member in block.body]
    assert [json.loads(msgspec.json.encode(msgspec.json.decode(body, type=ANSWERS[member]))) for body in shown] == [
        json.loads(body) for body in shown
    ]
    assert len(shown) == 1
