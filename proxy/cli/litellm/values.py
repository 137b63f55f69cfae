"""Single values of a LiteLLM file: texts that name variables, numbers, prices, durations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from proxy.config.units import LARGEST_DIGIT, LONGEST_AMOUNT, SMALLEST_DIGIT, WrittenFloat

_VARIABLE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_DURATION = re.compile(r"(\d{1,9})(mo|[smhdw])", re.ASCII)
_WORDS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}
_PERIODS = {
    (1, "m"): "minute", (60, "s"): "minute", (1, "h"): "hour", (60, "m"): "hour", (1, "d"): "day", (24, "h"): "day",
    (1, "w"): "week", (7, "d"): "week", (1, "mo"): "month", (30, "d"): "month", (31, "d"): "month",
}  # fmt: skip
# what stands where a client insists on a key and nobody asks for one
PLACEHOLDERS = frozenset(("", "anything", "dummy", "empty", "fake", "fake-key", "key", "lm-studio", "na", "no-key", "none",
                          "not-needed", "null", "ollama", "placeholder", "x"))  # fmt: skip


def variable_in(value: Any) -> str | None:
    """The variable that `os.environ/NAME` names."""
    found = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


def written(value: str) -> str:
    """A text as our file writes it."""
    variable = variable_in(value)
    return f"${{{variable}}}" if variable else value.replace("${", "$${")


def variables_in(tree: Any) -> Iterator[str]:
    """Every variable a tree names."""
    if isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from variables_in(item)
    elif (variable := variable_in(tree)) is not None:
        yield variable


def number(value: Any) -> Decimal | None:
    """A number as it is written (`20_000` and `"5"` included), at least 0; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = value.text if isinstance(value, WrittenFloat) else str(value).replace("_", "")
    try:
        found = Decimal(text) if len(text) <= LONGEST_AMOUNT else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() and found >= 0 else None


def whole(value: Any) -> int | None:
    """A whole number above 0."""
    found = number(value)
    return int(found) if found is not None and found == int(found) > 0 else None


def per_million(value: Any) -> Decimal | None:
    """USD per million tokens from USD per token, exactly."""
    found = number(value)
    if found is None:
        return None
    price = (found.scaleb(6)).normalize()
    fits = not price or (price.adjusted() <= LARGEST_DIGIT and int(price.as_tuple().exponent) >= SMALLEST_DIGIT)
    return price if fits else None


def seconds(value: Any) -> Decimal | None:
    """A timeout above 0 and at most the week that is the longest here."""
    found = number(value)
    return found if found and found <= 7 * 86400 else None


def period(value: Any) -> str | None:
    """The period of a budget that `budget_duration` means, `total` where there is none; None for any other length."""
    if value is None:
        return "total"
    if not isinstance(value, str):
        return None
    found = _DURATION.fullmatch(value.strip())
    return _PERIODS.get((int(found[1]), found[2])) if found else _WORDS.get(value.strip().lower())
