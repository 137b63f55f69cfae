"""What asks for the same pictures elsewhere: OpenRouter's images API, and a chat with a model that draws."""

from __future__ import annotations

from typing import Any

from proxy.translate.images.drawing import Drawing
from proxy.translate.writing import encode


def write_images(drawing: Drawing, model: str, members: dict[str, Any]) -> bytes:
    """The body of `POST /images`; `members` are the parameters as the model takes them."""
    body: dict[str, Any] = {"model": model, "prompt": drawing.prompt}
    if drawing.n > 1:
        body["n"] = drawing.n
    body |= members
    if drawing.references:
        body["input_references"] = [_reference(url) for url in drawing.references]
    if drawing.streamed:
        body["stream"] = True
    return encode(body)


def write_chat(drawing: Drawing, model: str, outputs: tuple[str, ...], members: dict[str, Any]) -> bytes:
    """The body of a chat in which the model draws. Models that put out pictures alone refuse to be asked for text as well
    (wire.md 1.14)."""
    content: Any = drawing.prompt
    if drawing.references:
        content = [{"type": "text", "text": drawing.prompt}, *(_reference(url) for url in drawing.references)]
    modalities = ["image", "text"] if "text" in outputs else ["image"]
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "modalities": modalities,
    }
    config = {name: members.pop(ours) for ours, name in _IMAGE_CONFIG if ours in members}
    if config:
        body["image_config"] = config
    return encode(body | members)


# what chat calls the shape of a picture
_IMAGE_CONFIG = (("aspect_ratio", "aspect_ratio"), ("resolution", "image_size"))


def _reference(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}
