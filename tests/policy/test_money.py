"""Tables over amounts at the edges: Decimal in, text out, whole pusd between."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.money.amounts import PUSD_PER_USD, to_pusd, to_pusd_up, usd_text


@pytest.mark.parametrize(
    ("usd", "nearest", "up"),
    [
        ("0", 0, 0),
        ("1", 10**12, 10**12),
        ("0.0000000000004", 0, 1),
        ("0.0000000000005", 0, 1),
        ("0.0000000000015", 2, 2),
        ("0.0000000000016", 2, 2),
        ("4.25e-06", 4_250_000, 4_250_000),
        ("0.00000008333333333333334", 83_333, 83_334),
        ("1000000", 10**18, 10**18),
        ("1e-400", 0, 1),
    ],
)
def test_an_amount_becomes_the_nearest_pusd_and_a_bound_the_next_higher_one(usd: str, nearest: int, up: int) -> None:
    assert (to_pusd(Decimal(usd)), to_pusd_up(Decimal(usd))) == (nearest, up)


@pytest.mark.parametrize(
    ("pusd", "text"),
    [
        (0, "0.000000000000"),
        (1, "0.000000000001"),
        (30_000_000_000, "0.030000000000"),
        (12 * PUSD_PER_USD, "12.000000000000"),
        (-1_500_000_000_000, "-1.500000000000"),
    ],
)
def test_text_has_all_twelve_places(pusd: int, text: str) -> None:
    assert usd_text(pusd) == text


@given(st.integers(-(10**20), 10**20))
def test_text_comes_back_as_the_same_amount(pusd: int) -> None:
    assert to_pusd(Decimal(usd_text(pusd))) == pusd


@given(st.lists(st.integers(0, 10**15), max_size=50))
def test_sums_are_exact(amounts: list[int]) -> None:
    assert to_pusd(sum((Decimal(usd_text(amount)) for amount in amounts), Decimal(0))) == sum(amounts)


def test_a_bound_is_never_below_the_amount() -> None:
    thirds = [Decimal(1) / 3 / 10**power for power in range(20)]
    assert all(Decimal(to_pusd_up(usd)) >= usd * PUSD_PER_USD for usd in thirds)
