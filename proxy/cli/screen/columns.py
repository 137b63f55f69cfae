"""Lines of coloured text in columns that keep their places: cut to a terminal's width, whole in a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click
from msgspec import Struct
from msgspec.structs import replace

from proxy.cli.tables import terminal_width, visible

Span = tuple[str, str]  # a text, and its style in rich's words
Line = list[Span]

ROOMY = 100


class Column(Struct, frozen=True):
    """`width` cells, up to `most` where there is room; left out on lines of less than `shown_from` cells."""

    heading: str
    width: int
    is_number: bool = False
    most: int = 0
    shown_from: int = 0


class Layout(Struct, frozen=True):
    """Columns with their widths in cells, `gap` apart. `cuts`: what is longer than its column loses its end."""

    columns: list[tuple[Column, int]]
    gap: int
    cuts: bool = True

    def row(self, cells: Mapping[str, Span]) -> Line:
        """One line; cells are found by their column's heading."""
        line: Line = []
        for column, width in self.columns:
            text, style = cells.get(column.heading, ("", ""))
            line += [(" " * self.gap, "")] if line else []
            line.append((fit(text, width, is_number=column.is_number, cuts=self.cuts), style))
        return line

    def headings(self) -> Line:
        """The line above the rows."""
        return self.row({column.heading: (column.heading, "dim") for column, _ in self.columns})


def lay_out(columns: Sequence[Column], room: int | None) -> Layout:
    """Give each column its width; what is left over goes to those that lack most. `room` None is a file."""
    if room is None:
        return Layout([(column, max(column.width, column.most)) for column in columns], 2, cuts=False)
    shown = [column for column in columns if room >= column.shown_from]
    widths, gap = {column: column.width for column in shown}, 1 if room < ROOMY else 2
    for _ in range(room - sum(widths.values()) - gap * (len(shown) - 1)):
        neediest = max(shown, key=lambda column: column.most - widths[column])
        widths[neediest] += widths[neediest] < neediest.most
    return Layout([(column, widths[column]) for column in shown], gap)


def beside(columns: Sequence[Column], heading: str, unit: str, shown_from: int) -> Sequence[Column]:
    """With the operator's own unit behind the amount of this heading; as they are where there is none ("")."""
    if not unit:
        return columns
    own = Column(in_unit(unit), 10, is_number=True, most=14, shown_from=shown_from)
    found: list[Column] = []
    for column in columns:  # what comes on wider lines only waits for as many cells more
        later = column.shown_from + own.width + 2 if column.shown_from > shown_from else column.shown_from
        found += [replace(column, shown_from=later), *([own] if column.heading == heading else [])]
    return found


def in_unit(unit: str) -> str:
    """The heading of amounts in it."""
    return f"in {unit}"


def fit(text: str, width: int, *, is_number: bool = False, cuts: bool = True) -> str:
    """Exactly so many cells, where wide characters take two; what is cut off shows as an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    text = visible(text).replace("\n", " ")
    cells = cell_len(text)
    if cells > width:
        return set_cell_size(text, width - 1) + "…" if cuts else text
    return " " * (width - cells) + text if is_number else text + " " * (width - cells)


def width_of(line: Line) -> int:
    """Cells it takes."""
    from rich.cells import cell_len

    return sum(cell_len(text) for text, _ in line)


def plain(line: Line) -> str:
    """Its text, without what pads its end."""
    return "".join(text for text, _ in line).rstrip()


class Printer:
    """Lines to standard output, each flushed: coloured and cut on a terminal, plain and whole in a file."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()

    @property
    def room(self) -> int | None:
        """Cells of a line."""
        return terminal_width() if self.is_terminal else None

    def say(self, line: Line) -> None:
        """Print one line; NO_COLOR is heeded."""
        if not self.is_terminal:
            click.echo(plain(line))
            return
        from rich.console import Console
        from rich.text import Text

        text = Text.assemble(*line, end="\n")
        text.rstrip()
        text.truncate(terminal_width())
        Console(highlight=False).print(text, no_wrap=True, overflow="ignore", crop=False)
