"""Numbers in requests, as lenient providers read them."""

from __future__ import annotations

from typing import Any


def count(value: Any) -> int | None:
    """A number of things, at least one; None where it is no number."""
    number = 1 if value is None else whole(value)
    return None if number is None else max(1, number)


def positive(value: Any) -> int | None:
    """A count of at least one; None where it is none."""
    number = whole(value)
    return None if number is None or number < 1 else number


def whole(value: Any) -> int | None:
    """A whole number as lenient providers read it (`100.0`, `"100"`); None for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
