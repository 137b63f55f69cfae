"""What a model that draws costs at OpenRouter, as one price over all hosts that may serve it: the dearest of each."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from proxy.policy.images.catalogue import ImageModel, Line
from proxy.policy.money.prices import PictureLine, Price

_ZERO = Decimal(0)
# A picture to work from, where it is priced by its megapixels: none has more (openrouter.ai takes 4 MP).
_MOST_MEGAPIXELS = 5


def price_of(model: ImageModel, listed: Price | None) -> Price | None:
    """The price of a model's pictures beside what lists of models say of it; None where nobody prices it."""
    lines = [line for endpoint in model.endpoints for line in endpoint.lines]
    pictures = tuple(
        PictureLine(line.unit, line.usd, line.variant)
        for line in lines
        if line.billable == "output_image" and line.unit != "token"
    )
    per_token = _dearest(lines, ("output_image",), "token")
    if not pictures and per_token is None:
        return listed
    known = listed or Price(_dearest(lines, ("input_text",), "token") or _ZERO, _ZERO)
    return msgspec.structs.replace(
        known,
        makes_images=True,
        image_output_usd=known.image_output_usd if per_token is None else per_token,
        image_input_usd=_dearest(lines, ("input_image", "input_reference"), "token") or known.image_input_usd,
        image_usd=_reference_usd(lines) or known.image_usd,
        picture_lines=tuple(dict.fromkeys(pictures)),
        hold=None if known.hold is None else price_of(model, known.hold),
    )


def _reference_usd(lines: list[Line]) -> Decimal | None:
    """The most that one picture to work from costs beside its tokens."""
    kinds = ("input_image", "input_reference")
    by_area = _dearest(lines, kinds, "megapixel")
    found = [_dearest(lines, kinds, "image"), None if by_area is None else by_area * _MOST_MEGAPIXELS]
    return max((usd for usd in found if usd is not None), default=None)


def _dearest(lines: Iterable[Line], billables: tuple[str, ...], unit: str) -> Decimal | None:
    return max((line.usd for line in lines if line.billable in billables and line.unit == unit), default=None)
