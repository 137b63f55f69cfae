"""What stands in a cell of a table for spreadsheets."""

from __future__ import annotations


def sources_text(sources: dict[str, int]) -> str:
    """How many calls have their cost from where, in one cell: `reported:8 computed:1`."""
    return " ".join(f"{name}:{count}" for name, count in sources.items())


def harmless(name: str) -> str:
    """A name that a spreadsheet would take for a formula is quoted, and what would steer a terminal is an escape: clients
    choose some of them."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    return f"'{shown}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else shown
