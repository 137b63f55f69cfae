"""Money is an integer of 1e-12 USD (`pusd`); Decimal and text exist at the edges only; never a float."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

PUSD_PER_USD = 10**12
_EXACT = Context(prec=60)
_ONE = Decimal(1)


def to_pusd(usd: Decimal) -> int:
    """The nearest amount, for what was charged."""
    return int(_EXACT.multiply(usd, Decimal(PUSD_PER_USD)).quantize(_ONE, ROUND_HALF_EVEN, _EXACT))


def to_pusd_up(usd: Decimal) -> int:
    """The amount or the next higher one, for bounds."""
    return int(_EXACT.multiply(usd, Decimal(PUSD_PER_USD)).quantize(_ONE, ROUND_CEILING, _EXACT))


def usd_text(pusd: int) -> str:
    """A decimal string with all twelve places: 30_000_000_000 -> "0.030000000000"."""
    sign = "-" if pusd < 0 else ""
    whole, rest = divmod(abs(pusd), PUSD_PER_USD)
    return f"{sign}{whole}.{rest:012d}"
