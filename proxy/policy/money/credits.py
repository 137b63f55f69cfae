"""A unit of one's own beside US dollars: whatever an answer tells in USD is told in it as well."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from msgspec import Struct

COST_HEADER = "x-tollkeeper-cost-usd"
_USD = "usd"
_EXACT = Decimal("0.000001")


class Credits(Struct, frozen=True):
    """What one unit is worth in USD, and what it is called."""

    usd: Decimal
    name: str = "credits"

    def of(self, usd: str) -> str:
        """An amount of USD in units, to a millionth."""
        units = (Decimal(usd) / self.usd).quantize(_EXACT, ROUND_HALF_EVEN)
        return f"{units:f}"

    def header(self, usd: str) -> tuple[str, str]:
        """The header that tells in units what one tells in USD."""
        return f"x-tollkeeper-cost-{self.name.lower()}", self.of(usd)


def with_credits(answer: Any, unit: Credits | None) -> Any:
    """The answer, made of dicts, lists and texts, with a member `…credits` behind every `…usd`."""
    if unit is None:
        return answer
    if isinstance(answer, list | tuple):
        return [with_credits(one, unit) for one in answer]
    if not isinstance(answer, dict):
        return answer
    told: dict[str, Any] = {}
    for name, value in answer.items():
        told[name] = with_credits(value, unit)
        if isinstance(name, str) and name.endswith(_USD):
            told.setdefault(name.removesuffix(_USD) + unit.name, _units(value, unit))
    return told


def _units(value: Any, unit: Credits) -> Any:
    if isinstance(value, dict):  # several amounts under one name
        return {name: _units(one, unit) for name, one in value.items()}
    try:
        return None if value is None else unit.of(str(value))
    except InvalidOperation:
        return None
