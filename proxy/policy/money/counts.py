"""Numbers in requests, as lenient providers read them."""

from __future__ import annotations

from typing import Any

from proxy.wire.call import whole


def count(value: Any) -> int | None:
    """A number of things, at least one; None where it is no number."""
    number = 1 if value is None else whole(value)
    return None if number is None else max(1, number)


def positive(value: Any) -> int | None:
    """A count of at least one; None where it is none."""
    number = whole(value)
    return None if number is None or number < 1 else number
