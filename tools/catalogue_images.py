"""The models that draw at OpenRouter, as its public lists stated them; written to proxy/data/images.json.

Each fact was read from GET /images/models/{author}/{slug}/endpoints, which no package republishes, on the day beside its
row; the daemon fetches the list itself wherever an OpenRouter provider is configured, so that this one stands in only
until then. Prices are USD; a row's `lines` are (billable, unit, USD, variant).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

READ, AGAIN = "2026-09-08", "2026-10-04"
PAGES = (
    "https://openrouter.ai/api/v1/images/models",
    "https://openrouter.ai/docs/guides/overview/multimodal/image-generation",
)

Lines = tuple[tuple[str, str, str, str], ...]
Row = tuple[str, str, str, dict[str, object], Lines, tuple[str, ...]]

_GEMINI = "1:1 2:3 3:2 3:4 4:3 4:5 5:4 9:16 16:9 21:9"
_WIDE = "1:1 1:4 1:8 2:3 3:2 3:4 4:1 4:3 4:5 5:4 8:1 9:16 16:9 21:9"
_FLUX = "1:1 4:3 3:4 3:2 2:3 16:9 9:16 21:9 auto"
_SEED = "1:1 1:2 2:1 2:3 3:2 3:4 4:3 4:5 5:4 9:16 16:9 9:19.5 19.5:9 9:20 20:9 9:21 21:9 auto"
_OPENAI = "1:1 3:2 2:3 auto"
_QUALITIES = "auto low medium high"


def _token(output: str, read: str | None = None, text: str | None = None) -> Lines:
    lines = (
        ("input_image", "token", read, ""),
        ("input_text", "token", text, ""),
        ("output_image", "token", output, ""),
    )
    return tuple((billable, unit, usd, variant) for billable, unit, usd, variant in lines if usd is not None)


def _image(*tiers: tuple[str, str], reading: str | None = None) -> Lines:
    drawn = tuple(("output_image", "image", usd, variant) for usd, variant in tiers)
    return drawn if reading is None else (*drawn, ("input_image", "image", reading, ""))


def _openai(backgrounds: str, ratios: str = _OPENAI) -> dict[str, object]:
    return {
        "aspect_ratio": ratios,
        "quality": _QUALITIES,
        "background": backgrounds,
        "n": (1, 10),
        "input_references": (0, 16),
        "output_compression": (0, 100),
    }


def _flux(usd: str) -> tuple[dict[str, object], Lines, tuple[str, ...]]:
    parameters = {
        "aspect_ratio": _FLUX,
        "output_format": "png jpeg",
        "n": (1, 1),
        "input_references": (0, 8),
        "seed": True,
    }
    return parameters, (("output_image", "megapixel", usd, ""),), ("steps", "guidance", "safety_tolerance")


ROWS: tuple[Row, ...] = (
    ("black-forest-labs/flux.2-max", "FLUX.2 Max", READ, *_flux("0.07")),
    ("black-forest-labs/flux.2-pro", "FLUX.2 Pro", READ, *_flux("0.03")),
    (
        "bytedance-seed/seedream-4.5",
        "Seedream 4.5",
        READ,
        {"resolution": "1K 2K 4K", "aspect_ratio": _SEED, "n": (1, 10), "input_references": (0, 14), "seed": True},
        _image(("0.04", ""), reading="0"),
        (),
    ),
    (
        "bytedance-seed/seedream-5-0-pro",
        "Seedream 5.0 Pro",
        AGAIN,
        {"resolution": "1K 2K", "aspect_ratio": _SEED, "n": (1, 1), "input_references": (0, 14), "seed": True},
        _image(("0.045", ""), ("0.09", "high_resolution"), reading="0.003"),
        (),
    ),
    (
        "google/gemini-2.5-flash-image",
        "Gemini 2.5 Flash Image",
        READ,
        {"aspect_ratio": _GEMINI, "n": (1, 1), "input_references": (0, 3)},
        _token("0.000054", "0.00000054"),
        ("cachedContent",),
    ),
    (
        "google/gemini-3-pro-image",
        "Gemini 3 Pro Image",
        READ,
        {"resolution": "1K 2K 4K", "aspect_ratio": _GEMINI, "n": (1, 1), "input_references": (0, 14)},
        _token("0.00012", "0.000002"),
        ("cachedContent",),
    ),
    (
        "google/gemini-3.1-flash-image",
        "Gemini 3.1 Flash Image",
        READ,
        {"resolution": "512 1K 2K 4K", "aspect_ratio": _WIDE, "n": (1, 1), "input_references": (0, 14)},
        _token("0.00006"),
        ("cachedContent",),
    ),
    (
        "microsoft/mai-image-2.5-pro",
        "MAI Image 2.5 Pro",
        READ,
        {"aspect_ratio": "1:1 4:3 3:4 16:9 9:16 3:2 2:3 auto", "n": (1, 1), "input_references": (0, 1)},
        _token("0.000108", "0.000008", "0.000005"),
        (),
    ),
    (
        "openai/gpt-image-1",
        "GPT Image 1",
        READ,
        _openai("auto transparent opaque"),
        _token("0.00004", "0.00001", "0.000005"),
        ("moderation",),
    ),
    (
        "openai/gpt-image-1-mini",
        "GPT Image 1 Mini",
        READ,
        _openai("auto transparent opaque"),
        _token("0.000008", "0.0000025", "0.000002"),
        ("moderation",),
    ),
    (
        "openai/gpt-image-2",
        "GPT Image 2",
        READ,
        _openai("auto opaque", "1:1 3:2 2:3 4:3 3:4 16:9 9:16 21:9 auto"),
        _token("0.00003", "0.000008", "0.000005"),
        ("moderation",),
    ),
    (
        "qwen/qwen-image-3",
        "Qwen Image 3",
        READ,
        {
            "resolution": "1K 2K",
            "aspect_ratio": "1:1 1:2 1:4 2:1 2:3 3:2 3:4 4:1 4:3 4:5 5:4 9:16 16:9",
            "n": (1, 6),
            "input_references": (0, 4),
            "seed": True,
        },
        _image(("0.03", "1k"), ("0.03", "2k"), reading="0.003"),
        (),
    ),
    (
        "recraft/recraft-v4",
        "Recraft V4",
        READ,
        {"aspect_ratio": "1:1 4:3 3:4 16:9 9:16 auto", "n": (1, 6), "input_references": (0, 1)},
        _image(("0.04", "")),
        ("style", "controls", "text_layout"),
    ),
    (
        "sourceful/riverflow-v2.5-pro",
        "Riverflow V2.5 Pro",
        READ,
        {
            "resolution": "1K 2K 4K",
            "aspect_ratio": _FLUX,
            "output_format": "png jpeg webp",
            "background": "auto transparent opaque",
            "n": (1, 1),
            "input_references": (0, 10),
        },
        _image(("0.13", "1k"), ("0.15", "2k"), ("0.17", "4k")),
        ("font_inputs",),
    ),
    (
        "x-ai/grok-imagine-image-quality",
        "Grok Imagine Image Quality",
        READ,
        {
            "resolution": "1K 2K",
            "aspect_ratio": "1:1 3:4 4:3 9:16 16:9 2:3 3:2 9:19.5 19.5:9 9:20 20:9 1:2 2:1 auto",
            "n": (1, 1),
            "input_references": (0, 3),
        },
        _image(("0.05", "1k"), ("0.07", "2k"), reading="0.01"),
        (),
    ),
)
# These draw in chat; /images does not list them.
IN_CHAT = ("openai/gpt-5-image", "openai/gpt-5-image-mini")
# OpenRouter's reference says that only OpenAI's models stream pictures in the making.
STREAMS = "openai/"


def write_images(path: Path) -> None:
    """Write the list, in the shape of OpenRouter's own."""
    source = json.dumps({"read": READ, "read_again": AGAIN, "pages": PAGES})
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in _entries())
    chat = ",\n".join(
        json.dumps({"id": name, "architecture": _architecture(["image", "text"])}, separators=(",", ":"))
        for name in IN_CHAT
    )
    path.write_text(f'{{"source":{source},\n"data":[\n{rows}\n],\n"chat":[\n{chat}\n]}}\n')


def _entries() -> Iterator[dict[str, object]]:
    for name, title, read, parameters, lines, passthrough in ROWS:
        author = name.partition("/")[0]
        streams = name.startswith(STREAMS)
        endpoint = {
            "provider_slug": {"google": "google-ai-studio", "bytedance-seed": "seed", "qwen": "alibaba"}.get(
                author, author
            ),
            "supported_parameters": {key: _descriptor(value) for key, value in parameters.items()},
            "allowed_passthrough_parameters": passthrough,
            "supports_streaming": streams,
            "pricing": [_line(*line) for line in lines],
        }
        outputs = ["image", "text"] if author == "google" else ["image"]
        yield {"id": name, "name": title, "read": read, "architecture": _architecture(outputs), "endpoints": [endpoint]}


def _architecture(outputs: list[str]) -> dict[str, list[str]]:
    return {"input_modalities": ["text", "image"], "output_modalities": outputs}


def _descriptor(value: object) -> dict[str, object]:
    if isinstance(value, tuple):
        return {"type": "range", "min": value[0], "max": value[1]}
    return {"type": "enum", "values": value.split()} if isinstance(value, str) else {"type": "boolean"}


def _line(billable: str, unit: str, usd: str, variant: str) -> dict[str, object]:
    line: dict[str, object] = {"billable": billable, "unit": unit, "cost_usd": float(usd)}
    return {**line, "variant": variant} if variant else line
