"""What asks for the same pictures elsewhere: OpenRouter's images API, and a chat with a model that draws."""

from __future__ import annotations

from typing import Any

from proxy.translate.images.image_request import ImageRequest
from proxy.translate.writing import encode


def write_images(image_request: ImageRequest, model: str, members: dict[str, Any]) -> bytes:
    """The body of `POST /images`; `members` are the parameters as the model takes them."""
    body: dict[str, Any] = {"model": model, "prompt": image_request.prompt}
    if image_request.n > 1:
        body["n"] = image_request.n
    body |= members
    if image_request.references:
        body["input_references"] = [_reference(url) for url in image_request.references]
    if image_request.streamed:
        body["stream"] = True
    return encode(body)


def write_chat(image_request: ImageRequest, model: str, outputs: tuple[str, ...], members: dict[str, Any]) -> bytes:
    """The body of a chat in which the model draws. Models that put out pictures alone refuse to be asked for text as well
    (wire.md 1.14)."""
    content: Any = image_request.prompt
    if image_request.references:
        content = [
            {"type": "text", "text": image_request.prompt},
            *(_reference(url) for url in image_request.references),
        ]
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
