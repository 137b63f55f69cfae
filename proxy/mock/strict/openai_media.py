"""OpenAI: what its endpoints beside text generation take (wire.md 2.5)."""

from __future__ import annotations

from proxy.mock.strict.openai import FLAG, LIST, TEXT, THING
from proxy.mock.strict.shape import Shape, Want

_PROMPT = Want(("string",), required=True, filled=True)
_SIZES = ("1024x1024", "1024x1536", "1536x1024", "auto")

EMBEDDINGS = Shape(
    {
        "model": TEXT,
        "input": Want(("string", "array"), required=True, most=2048),
        "dimensions": Want(("integer",), least=1),
        "encoding_format": Want(("string",), words=("float", "base64")),
        "user": TEXT,
    },
    closed=True,
)
MODERATIONS = Shape({"model": TEXT, "input": Want(("string", "array"), required=True)}, closed=True)
# as gpt-image models take it; DALL·E, which took `style` and `response_format`, is gone
_IMAGES = {
    "model": TEXT,
    "prompt": _PROMPT,
    "n": Want(("integer",), least=1, most=10),
    "background": Want(("string",), words=("transparent", "opaque", "auto")),
    "complexity": Want(("string",), words=("low", "medium", "high")),
    "frame_count": Want(("integer",), least=1),
    "frame_duration_ms": Want(("integer",), least=1),
    "moderation": Want(("string",), words=("low", "auto")),
    "output_compression": Want(("integer",), least=0, most=100),
    "output_format": Want(("string",), words=("png", "webp", "jpeg", "gif", "svg")),
    "partial_images": Want(("integer",), least=0, most=3),
    "quality": Want(("string",), words=("low", "medium", "high", "xhigh", "max", "auto")),
    "safety_identifier": TEXT,
    "stream": FLAG,
    "svg": THING,
    "user": TEXT,
}
IMAGES = Shape({**_IMAGES, "size": Want(("string",), words=_SIZES)}, closed=True)
FREE_IMAGES = Shape({**_IMAGES, "size": TEXT}, closed=True)  # gpt-image-2 and later draw any size
_EDITED = {
    "images": LIST,
    "image": Want(("string", "array", "object")),
    "mask": THING,
    "markup": THING,
    "input_fidelity": Want(("string",), words=("high", "low")),
}
EDITS = Shape({**FREE_IMAGES.members, **_EDITED}, closed=True)
SPEECH = Shape(
    {
        "model": TEXT,
        "input": Want(("string",), required=True, filled=True),
        "voice": Want(("string", "object"), required=True),
        "instructions": TEXT,
        "response_format": Want(("string",), words=("mp3", "opus", "aac", "flac", "wav", "pcm")),
        "speed": Want(("number",), least=0.25, most=4),
        "stream_format": Want(("string",), words=("sse", "audio")),
    },
    closed=True,
)
