"""What stands in a cell of a table for spreadsheets."""

from __future__ import annotations


def sources_text(sources: dict[str, int]) -> str:
    """How many calls have their cost from where, in one cell: `reported:8 computed:1`."""
    return " ".join(f"{name}:{count}" for name, count in sources.items())


def harmless(name: str) -> str:
    """A name that a spreadsheet would take for a formula is quoted: clients choose some of them."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
