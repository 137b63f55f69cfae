"""Amounts and bars as people read them."""

from __future__ import annotations

import pytest

from proxy.cli.tables import Table, bar, moment, print_table
from proxy.policy.money.amounts import dollars


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "-"),
        ("0.000000000000", "$0.00"),
        ("0.030000000000", "$0.03"),
        ("0.500000000000", "$0.50"),
        ("0.000037000000", "$0.000037"),
        ("0.000000000012", "$0.000000000012"),
        ("-0.310000000000", "-$0.31"),
        ("-2.000000000000", "-$2.00"),
        ("1.005000000000", "$1.00"),
        ("1234567.891000000000", "$1,234,567.89"),
    ],
)
def test_amounts_have_cents_and_what_matters_below_one(usd: str | None, shown: str) -> None:
    assert dollars(usd) == shown


@pytest.mark.parametrize(
    ("spent", "cap", "shown"),
    [
        ("0.00", "5", "░░░░░░░░░░ 0%"),
        ("2.30", "5", "████░░░░░░ 46%"),
        ("5", "5", "██████████ 100%"),
        ("6", "5", "██████████ 120%"),
        ("-1", "5", "░░░░░░░░░░ 0%"),
    ],
)
def test_a_bar_is_as_long_as_what_is_spent(spent: str, cap: str, shown: str) -> None:
    assert bar(spent, cap) == shown


def test_moments_are_shown_to_the_minute() -> None:
    assert (moment("2026-11-21T06:12:28.490Z"), moment(None)) == ("2026-11-21 06:12Z", "-")


NAMES = ["key:cat:month", "author/model:free", "[bold]x[/bold]", ":smile:", "a\\[b]", "[link=x]"]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_names_are_printed_as_they_are(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(Table([("Name", False), ("N", True)], [[name, "1"] for name in NAMES], [NAMES[0], "6"], NAMES[0]))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == NAMES[0]
    assert [line.split()[0] for line in lines if line.endswith((" 1", " 6"))] == [*NAMES, NAMES[0]]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_name_stays_whole_on_every_terminal(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    headings = [("Budget", False), ("Per", False), *((name, True) for name in ("Cap", "Spent", "Held", "Left"))]
    row = ["key:cat:month", "month", "$5.00", "$0.000003", "$0.00", "$5.00"]
    print_table(Table([*headings, ("Starts anew", False)], [[*row, "2026-12-01 00:00Z"]], ["Total", *[""] * 6]))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("key:cat:month") for line in lines) and any(line.startswith("Total") for line in lines)
    assert all(len(line) <= int(columns) for line in lines)
    if columns == "40":
        assert lines == [
            "key:cat:month", "  Per          month", "  Cap          $5.00", "  Spent        $0.000003", "  Held         $0.00",
            "  Left         $5.00", "  Starts anew  2026-12-01 00:00Z", "Total",
        ]  # fmt: skip
    else:
        assert lines[0].split() == ["Budget", "Per", "Cap", "Spent", "Held", "Left", "Starts", "anew"]
