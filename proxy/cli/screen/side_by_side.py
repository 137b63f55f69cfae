"""Replies as they come, a column each; gone once they are all there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_MOST_SHOWN = 500  # characters of each

News = dict[str, Any]


@contextmanager
def watching(models: list[str] | None, *, is_on: bool) -> Iterator[Callable[[News], None]]:
    """What takes the news. `models` None: their names are not to be seen yet."""
    if not is_on:
        yield lambda _: None
        return
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    said: dict[str, str] = {}

    def drawn() -> Table:
        table = Table(expand=True)
        for column in sorted(said):
            name = "" if models is None else f" {models[ord(column) - ord('A')]}"
            table.add_column(f"{column}{name}", ratio=1)
        table.add_row(*(Text(said[column][-_MOST_SHOWN:]) for column in sorted(said)))
        return table

    with Live(transient=True, refresh_per_second=8) as live:

        def show(news: News) -> None:
            if "text" in news:
                said[news["column"]] = said.get(news["column"], "") + news["text"]
                live.update(drawn())

        yield show
