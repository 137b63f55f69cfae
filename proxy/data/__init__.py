"""The lists of models shipped in the package, written by tools/make_catalogue.py; and where the dashboard is."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent
DASHBOARD = _FOLDER / "dashboard"  # the page, as it was built


def snapshot_bytes() -> bytes:
    """OpenRouter's models as known when this version was made, in the shape of its /models."""
    return (_FOLDER / "openrouter.json").read_bytes()


def images_bytes() -> bytes:
    """OpenRouter's models that draw, in the shape of its /images/models with the records of every endpoint."""
    return (_FOLDER / "images.json").read_bytes()


def quality_bytes() -> bytes:
    """How good models are said to be: sources, each with its page, licence, day and figures by slug without author."""
    return (_FOLDER / "quality.json").read_bytes()


def prices_bytes(vendor: str) -> bytes:
    """What is known of a vendor's models ("openai", "mistral"), in the same shape, ids as the vendor spells them."""
    return (_FOLDER / f"{vendor}.json").read_bytes()
