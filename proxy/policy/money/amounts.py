"""Money is an integer of 1e-12 USD (`pusd`); Decimal and text exist at the edges only; never a float."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal

from proxy.wire.usage import Usage

PUSD_PER_USD = 10**12
_BEFORE = tuple("0." + "0" * (12 - digits) for digits in range(13))  # what stands before so many digits
_EXACT = Context(prec=60)
_PUSD_PER_USD = Decimal(PUSD_PER_USD)
_times = _EXACT.multiply
_CENT = Decimal("0.01")


def to_pusd(usd: Decimal) -> int:
    """The nearest amount, for what was charged."""
    return round(_times(usd, _PUSD_PER_USD))  # half to even; in half the time of `scaleb`


def told_pusd(usage: Usage) -> int | None:
    """What a reply says that its call was charged, all in; None where it does not."""
    if (usd := usage.cost_usd) is None:
        return None
    return to_pusd(usd if usage.byok_usd is None else usd + usage.byok_usd)


def to_pusd_up(usd: Decimal) -> int:
    """The amount or the next higher one, for bounds."""
    return int(usd.scaleb(12, _EXACT).to_integral_value(ROUND_CEILING, _EXACT))


def usd_text(pusd: int) -> str:
    """A decimal string with all twelve places: 30_000_000_000 -> "0.030000000000"."""
    digits = str(pusd)
    if pusd >= 0 and len(digits) < len(_BEFORE):
        return _BEFORE[len(digits)] + digits  # half the time of a format
    sign = "-" if pusd < 0 else ""
    whole, rest = divmod(abs(pusd), PUSD_PER_USD)
    return f"{sign}{whole}.{rest:012d}"


def dollars(usd: str | None) -> str:
    """An amount with two places at least and what matters below a cent; "-" where there is none."""
    if usd is None:
        return "-"
    amount = Decimal(usd)
    if not amount or abs(amount) >= 1:
        return f"{'-' if amount < 0 else ''}${abs(amount.quantize(_CENT)):,}"
    digits = amount.quantize(Decimal("0.000001")) if abs(amount) >= Decimal("0.000001") else amount.normalize()
    whole, _, rest = f"{abs(digits):f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{rest[:2]}{rest[2:].rstrip('0')}"
