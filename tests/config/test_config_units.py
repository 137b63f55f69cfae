"""Sizes, durations, money: what may be written, and what it comes to."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.config.units import WrittenFloat, duration_seconds, percent, ratio, size_bytes, usd


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1, 1),
        (4096, 4096),
        ("4096", 4096),
        ("10B", 10),
        ("1KB", 1000),
        ("2MB", 2_000_000),
        ("1GB", 10**9),
        ("1KiB", 1024),
        ("64MiB", 64 * 2**20),
        ("64mib", 64 * 2**20),
        ("64 MiB", 64 * 2**20),
        ("1.5GiB", 3 * 2**29),
    ],
)
def test_a_size_is_read_in_bytes(written: object, size: int) -> None:
    assert size_bytes(written) == size


@pytest.mark.parametrize(
    "written", [0, -1, "0B", True, 1.5, None, "", "MiB", "1MiBs", "1XB", "-1MiB", "１KB", "1e9", [], 2**51]
)
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="bytes"):
        size_bytes(written)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (30, 30.0),
        (0.25, 0.25),
        ("30", 30.0),
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("5m", 300.0),
        ("6h", 21600.0),
        ("400d", 400 * 86400.0),
        ("2w", 14 * 86400.0),
        ("1h30m", 5400.0),
    ],
)
def test_a_duration_is_read_in_seconds(written: object, seconds: float) -> None:
    assert duration_seconds(written) == seconds


@pytest.mark.parametrize(
    "written", [-1, True, None, "", "h", "6 h", "-5s", "1y", "5mm", float("inf"), float("nan"), 10**400, [], "1h 30m"]
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        duration_seconds(written)


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        (5, "5"),
        (WrittenFloat("0.1"), "0.1"),
        (WrittenFloat("2.50"), "2.50"),
        (WrittenFloat("1e3"), "1E+3"),
        (WrittenFloat("0.123456789012345678"), "0.123456789012345678"),
        ("0.25", "0.25"),
        (0, "0"),
    ],
)
def test_money_is_read_digit_by_digit(written: object, amount: str) -> None:
    assert str(usd(written)) == amount


@pytest.mark.parametrize(
    "written",
    [
        True,
        None,
        "",
        "five",
        "NaN",
        "inf",
        float("inf"),
        0.5,
        [],
        WrittenFloat("1e400"),
        WrittenFloat("1e-99"),
        "9" * 41,
    ],
)
def test_what_is_no_money_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        usd(written)


def test_a_ratio_is_above_zero_and_at_most_one() -> None:
    assert ratio(1) == 1
    assert ratio(WrittenFloat("0.5")) == Decimal("0.5")
    for written in (0, 2, -1, "x", None, True, "NaN"):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            ratio(written)


@pytest.mark.parametrize(
    ("written", "text"),
    [("80%", "80%"), ("62.5%", "62.5%"), ("095.00 %", "95%"), ("0.01%", "0.01%"), ("100%", "100%"), ("1000%", "1000%")],
)
def test_a_part_in_percent_is_spelled_in_one_way(written: object, text: str) -> None:
    assert percent(written) == text


@pytest.mark.parametrize(
    "written", [80, 0.8, "80", "0%", "0.00%", "-1%", "1000.01%", "0.001%", "８%", "%", "", None, True]
)
def test_what_is_no_part_in_percent_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="such as 80%"):
        percent(written)
