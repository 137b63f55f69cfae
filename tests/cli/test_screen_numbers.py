"""Numbers of `tail` and `top` in few cells, and what becomes of budgets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from screen_values import NOW, budget

from proxy.cli.screen.forecast import Burn, bar, burn_of, forecast, resets_in
from proxy.cli.screen.numbers import clock, count, growing, percentile, rate, seconds, span


@pytest.mark.parametrize(
    ("number", "shown"),
    [(None, "-"), (0, "0"), (999, "999"), (1000, "1.0k"), (1299, "1.2k"), (9999, "9.9k"), (10_000, "10k")]
    + [(128_999, "128k"), (999_999, "999k"), (1_550_000, "1.5M"), (2_000_000_000, "2.0G")],
)
def test_counts_take_five_cells_at_most(number: int | None, shown: str) -> None:
    assert count(number) == shown
    assert len(shown) <= 5


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (None, "-"),
        (0.004, "0.00s"),
        (0.214, "0.21s"),
        (9.994, "9.99s"),
        (9.996, "10.0s"),
        (99.96, "100s"),
        (3599, "3599s"),
    ],
)
def test_seconds_have_three_digits(duration: float | None, shown: str) -> None:
    assert seconds(duration) == shown


@pytest.mark.parametrize(("duration", "shown"), [(0.9, "0:00"), (67, "1:07"), (3599.9, "59:59"), (3725, "1:02:05")])
def test_ages_read_like_a_stopwatch(duration: float, shown: str) -> None:
    assert clock(duration) == shown


SPANS = [
    (0, "0 s"),
    (59.9, "59 s"),
    (60, "1 min"),
    (3599, "59 min"),
    (3600, "1 h"),
    (12_000, "3 h 20 min"),
    (35_999, "9 h 59 min"),
    (40_000, "11 h"),
    (86_400, "1 d"),
    (187_200, "2 d 4 h"),
    (86_400 * 12 + 5000, "12 d"),
]


@pytest.mark.parametrize(("duration", "shown"), SPANS)
def test_spans_are_as_exact_as_they_deserve(duration: float, shown: str) -> None:
    assert span(duration) == shown
    assert len(shown) <= 10


@pytest.mark.parametrize(
    ("usd", "shown"), [("0", "$0.000000"), ("0.0000312", "$0.000031"), ("0.99", "$0.990000"), ("1234.567", "$1,234.57")]
)
def test_a_growing_amount_keeps_its_places(usd: str, shown: str) -> None:
    assert growing(Decimal(usd)) == shown


@pytest.mark.parametrize(
    ("usd", "shown"), [("0", "$0.00"), ("0.0000312", "$0.000031"), ("0.5925", "$0.59"), ("7", "$7.00")]
)
def test_a_rate_has_cents(usd: str, shown: str) -> None:
    assert rate(Decimal(usd)) == shown


@pytest.mark.parametrize(
    ("values", "value"), [([], None), ([3.0], 3.0), ([2.0, 1.0], 2.0), ([float(n) for n in range(1, 21)], 19.0)]
)
def test_the_percentile_is_one_of_the_values(values: list[float], value: float | None) -> None:
    assert percentile(values, 95) == value


def at(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


# what is left, USD an hour, when it starts anew; what is said
FORECASTS = [
    (budget("5"), "0", "lasts"),
    (budget("5", resets_at=at(3)), "0", "lasts"),
    (budget("5"), "1.5", "spent in 3 h 20 min"),
    (budget("5", resets_at=at(5)), "1.5", "spent in 3 h 20 min"),
    (budget("5", resets_at=at(3)), "1.5", "lasts"),
    (budget("5", resets_at=at(5 / 1.5)), "1.5", "lasts"),
    (budget("5", "4", resets_at=at(5)), "1.5", "spent in 40 min"),
    (budget("10", resets_at=at(5)), "1.5", "spent"),
    (budget("10"), "0", "spent"),
    (budget("6", "4"), "0", "spent"),
    (budget("12", resets_at=at(-1)), "0", "spent"),
    (budget("5", resets_at=at(-1)), "1.5", "lasts"),
    (budget("0"), "0.001", "lasts"),
    (budget("0"), "0.002", "spent in 208 d"),
    (budget("9.999999999999"), "1000000", "spent in 0 s"),
    (budget("-2"), "1", "spent in 12 h"),
]


@pytest.mark.parametrize(("standing", "per_hour", "said"), FORECASTS)
def test_the_forecast_says_when_a_budget_is_spent(standing: Any, per_hour: str, said: str) -> None:
    assert forecast(standing, Decimal(per_hour), NOW) == said
    assert len(said) <= 19


@pytest.mark.parametrize(("resets_at", "said"), [(None, "never"), (at(5), "5 h"), (at(-1), "0 s"), (at(76), "3 d 4 h")])
def test_a_budget_says_when_it_starts_anew(resets_at: str | None, said: str) -> None:
    assert resets_in(budget(resets_at=resets_at), NOW) == said


def test_the_burn_is_by_the_hour_and_by_the_key() -> None:
    burn = burn_of(4500, "2.500000000000", {"alice": "1.000000000001", "global": "1"})
    assert burn.per_hour("global") == Decimal(2)
    assert burn.per_hour("key:alice") == Decimal("1.000000000001") * 3600 / 4500
    assert burn.per_hour("key:bob") == 0
    assert Burn(0, Decimal(1), {}).per_hour("global") == 0


@pytest.mark.parametrize(
    ("standing", "drawn"),
    [
        (budget("0"), "░░░░░░░░░░"),
        (budget("4"), "████░░░░░░"),
        (budget("4", "2.5"), "████▒▒░░░░"),
        (budget("9", "1"), "█████████▒"),
        (budget("12"), "██████████"),
        (budget("12", "1"), "██████████"),
        (budget("-3", "1"), "░░░░░░░░░░"),
    ],
)
def test_the_bar_tells_spent_from_held(standing: Any, drawn: str) -> None:
    assert bar(standing, 10) == drawn
