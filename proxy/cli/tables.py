"""Tables and amounts for people: right-aligned numbers, thousands separators, bars; plain where colours are off."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click
from msgspec import Struct

from proxy.policy.money.amounts import dollars

NARROW = 100
_BAR_CELLS = 10
_BROKEN, _GAP = 10, 3  # cells of a text that is broken over lines, and between two columns


class Table(Struct):
    """Columns are (heading, is a number); `total` is a last row set apart."""

    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] | None = None
    title: str | None = None


def print_table(table: Table) -> None:
    """Print with rich, as wide as the terminal; NO_COLOR is heeded. Names stand as they are: nothing in them is markup."""
    if _least_width(table) > terminal_width():
        _print_stacked(table)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        box=SIMPLE_HEAD,
        title=None if table.title is None else Text(table.title),
        title_justify="left",
        pad_edge=False,
        show_edge=False,
    )
    for heading, is_number in table.columns:
        drawn.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for name, *cells in table.rows:
        drawn.add_row(Text(on_one_line(name)), *(Text(visible(cell)) for cell in cells))
    if table.total is not None:
        drawn.add_section()
        drawn.add_row(*(Text(visible(cell)) for cell in table.total), style="bold")
    console = Console(file=sys.stdout, width=terminal_width(), highlight=False)
    with console.capture() as drawing:
        console.print(drawn)
    click.echo("\n".join(line.rstrip() for line in drawing.get().splitlines()))


def _least_width(table: Table) -> int:
    """Cells the table takes at least: numbers and the name a row begins with stay whole, other texts may be broken."""
    cells = [[heading for heading, _ in table.columns], *table.rows, *([table.total] if table.total else [])]
    widest = [max(len(line) for row in cells for line in row[index].split("\n")) for index in range(len(table.columns))]
    whole = [index == 0 or is_number for index, (_, is_number) in enumerate(table.columns)]
    least = [width if stays else min(width, _BROKEN) for width, stays in zip(widest, whole, strict=True)]
    return sum(least) + _GAP * (len(least) - 1)


def _print_stacked(table: Table) -> None:
    """For a terminal that is too narrow: each row one under the other, headed by its name."""
    headings = [heading for heading, _ in table.columns]
    width = max(map(len, headings[1:]), default=0)
    if table.title:
        say(table.title)
    for name, *cells in [*table.rows, *([table.total] if table.total else [])]:
        say_line(name)
        for heading, cell in zip(headings[1:], cells, strict=True):
            if cell:
                say(f"  {heading:{width}}  " + cell.replace("\n", "\n" + " " * (width + 4)))


def terminal_width() -> int:
    """Columns of the terminal, of $COLUMNS, else 120 (a file has no width)."""
    import shutil

    return shutil.get_terminal_size((120, 24)).columns


def say(text: str) -> None:
    """A line of plain text."""
    click.echo(visible(text))


def say_line(text: str) -> None:
    """Of names that clients choose: one line, whatever stands in them."""
    click.echo(on_one_line(text))


def budget_name(budget: dict[str, Any]) -> str:
    """What a budget is called, and whether it is in shadow."""
    return f"{budget['budget']} (shadow)" if budget["shadow"] else str(budget["budget"])


def bar(spent: str, cap: str) -> str:
    """How much of a cap is spent: ████░░░░░░ 40%. All of a cap of nothing."""
    part = max(Decimal(0), Decimal(spent)) / Decimal(cap) if Decimal(cap) else Decimal(1)
    full = min(_BAR_CELLS, int(part * _BAR_CELLS))
    return f"{'█' * full}{'░' * (_BAR_CELLS - full)} {int(part * 100)}%"


def cents(usd: str) -> str:
    """An estimate, in whole cents."""
    return f"${Decimal(usd):,.2f}"


def moment(instant: str | None) -> str:
    """An instant to the minute, or "-"."""
    return "-" if instant is None else f"{instant[:16].replace('T', ' ')}Z"


def visible(text: str) -> str:
    """Clients choose some names: what would steer a terminal is shown as an escape."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def on_one_line(text: str) -> str:
    """The same, and the end of a line as well, so that no name makes a line that looks like one of ours."""
    return visible(text).replace("\n", "\\n")


def unit_of(rows: list[dict[str, Any]], amount: str) -> str:
    """The name of the operator's own unit, in which these rows tell an amount ("cost") beside USD; "" where there is none."""
    names = [name for row in rows[:1] for name in row if name.startswith(f"{amount}_") and name != f"{amount}_usd"]
    return names[0].removeprefix(f"{amount}_") if names else ""


def amount_of(row: dict[str, Any], amount: str) -> str:
    """An amount a row tells ("cost") in dollars, and in the operator's own unit where there is one: $0.03 (75 credits)."""
    unit = unit_of([row], amount)
    beside = f" ({in_units(row[f'{amount}_{unit}'])} {unit})" if unit and row[f"{amount}_{unit}"] is not None else ""
    return f"{dollars(row[f'{amount}_usd'])}{beside}"


def in_units(amount: str) -> str:
    """An amount of it, without zeros at its end."""
    return f"{Decimal(amount).normalize():,f}"
