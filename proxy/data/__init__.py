"""The price data shipped in the package; written by tools/make_catalogue.py."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal


def snapshot_bytes() -> bytes:
    """OpenRouter's models as known when this version was made, in the shape of its /models."""
    return files(__name__).joinpath("openrouter.json").read_bytes()


def prices_bytes(vendor: Literal["openai", "anthropic"]) -> bytes:
    """Prices of direct calls to a vendor, in the same shape, ids as the vendor spells them."""
    return files(__name__).joinpath(f"{vendor}.json").read_bytes()
