"""A request for pictures in no dialect, read from OpenAI's: a JSON body or a form."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct, field

from proxy.errors import InvalidValue
from proxy.translate.bridge import decode
from proxy.wire.call import Call
from proxy.wire.form import Part, read_parts

Task = Literal["generations", "edits", "variations"]
# What a picture to work from is called, in JSON and in forms; `image[]` repeats.
_REFERENCES = ("image", "image[]", "images", "images[]", "input_references", "image_url")
_OWN = frozenset(
    {"model", "prompt", "n", "response_format", "stream", "partial_images", "provider", "mask", *_REFERENCES}
)
# Members of a form that are no texts.
_COUNTS = ("n", "output_compression", "partial_images", "seed")
_MOST_PARTIALS = 3
# What OpenAI's endpoint for variations has no member for, and every other model wants.
VARIATION = "Draw a variation of this picture."


class ImageRequest(Struct, frozen=True):
    """What is to be drawn. `members` are the parameters that were given, under their names, null and "auto" left out: a
    model is to do as it likes. `references` are pictures to work from, as URLs or data URLs. `partials`: how many pictures in the
    making a stream may show.
    """

    task: Task
    model: str
    prompt: str
    n: int = 1
    members: dict[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    wants_url: bool = False
    streamed: bool = False
    partials: int = 0
    provider: Any = None


def read_image_request(call: Call) -> ImageRequest:
    """Read a client's request. Raises the `CallerError`s of what is none."""
    task: Task = call.endpoint.name.partition("/")[2]  # type: ignore[assignment]  # the endpoints are called so
    if call.form is not None:
        given, references = _read_form(call)
    else:
        given = decode(call.body)
        references = [url for name in _REFERENCES for url in _urls(given.get(name), name)]
    if given.get("mask") is not None:
        raise InvalidValue("'mask' cannot be said to this model; say in the prompt what is to change.", param="mask")
    prompt = given.get("prompt")
    if prompt is None and task == "variations":
        prompt = VARIATION
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidValue("'prompt' must say what is to be drawn.", param="prompt")
    if task != "generations" and not references:
        raise InvalidValue(f"'image' must hold the picture that {task} are to be made of.", param="image")
    return ImageRequest(
        task=task,
        model=call.model or "",
        prompt=prompt,
        n=_whole(given, "n", 1, 1, None),
        members={name: value for name, value in given.items() if name not in _OWN and value not in (None, "auto")},
        references=tuple(references),
        wants_url=_wants_url(given.get("response_format")),
        streamed=call.stream,
        partials=_whole(given, "partial_images", 0, 0, _MOST_PARTIALS),
        provider=given.get("provider"),
    )


def _whole(given: dict[str, Any], name: str, usual: int, least: int, most: int | None) -> int:
    value = given.get(name)
    if value is None:
        return usual
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidValue(f"'{name}' must be a whole number {bounds}.", param=name)
    return value


def _wants_url(value: Any) -> bool:
    if value not in (None, "b64_json", "url"):
        raise InvalidValue("'response_format' must be b64_json or url.", param="response_format")
    return bool(value == "url")


def _urls(value: Any, name: str) -> Iterable[str]:
    """Pictures to work from, as OpenAI and OpenRouter have them: texts, or objects that hold one."""
    for one in value if isinstance(value, list) else (value,):
        if one is None:
            continue
        found = one
        for member in ("image_url", "url"):
            found = found.get(member, found) if isinstance(found, dict) else found
        if not isinstance(found, str) or not found.startswith(("http://", "https://", "data:image/")):
            raise InvalidValue(f"'{name}' must hold pictures as URLs or data URLs.", param=name)
        yield found


def _read_form(call: Call) -> tuple[dict[str, Any], list[str]]:
    given: dict[str, Any] = {}
    references: list[str] = []
    for part in read_parts(call.body, call.content_type):
        value = memoryview(call.body)[part.start : part.end]
        if part.name in _REFERENCES and part.media_type:
            references.append(_data_url(part, value))
        elif part.name in _REFERENCES:
            references += _urls(_text(part, value), part.name)
        elif part.name == "mask":
            given["mask"] = part.name
        else:
            given[part.name] = _typed(part, value)
    return given, references


def _data_url(part: Part, value: memoryview) -> str:
    media_type = _SIGNATURES.get(bytes(value[:2]), part.media_type)
    if not media_type.startswith("image/"):
        raise InvalidValue(f"'{part.name}' must be a picture: a PNG, JPEG or WebP file.", param=part.name)
    return f"data:{media_type};base64,{base64.b64encode(value).decode()}"


# what files begin with, whatever their senders call them
_SIGNATURES = {b"\x89P": "image/png", b"\xff\xd8": "image/jpeg", b"RI": "image/webp", b"GI": "image/gif"}


def _typed(part: Part, value: memoryview) -> Any:
    text = _text(part, value)
    is_count = part.name in _COUNTS and text.lstrip("-").isdecimal() and len(text) < 20
    return int(text) if is_count else text


def _text(part: Part, value: memoryview) -> str:
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise InvalidValue(f"The form field '{part.name}' is not UTF-8.", param=part.name) from None
