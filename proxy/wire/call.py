"""One parsed request: what routing and metering need to know, and the bytes to send.

A `Call` is read once at the border; nobody looks into bodies afterwards. What was checked is
what is sent: `outgoing` (outgoing.py) splices the very bytes that were read.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from proxy.errors import DuplicateKey, InvalidJson, InvalidValue
from proxy.wire.body_template import BodyTemplate, BodyTemplates
from proxy.wire.endpoints import Endpoint, Shape
from proxy.wire.form import FormField, read_form
from proxy.wire.json_object import JsonObject, read_object, splice, without
from proxy.wire.json_text import SMALL as READ_QUICKLY
from proxy.wire.media import without_long_strings
from proxy.wire.ours import NOTHING_OURS, OURS, OURS_IN_FORM, Ours, read_ours, refuse_ours

MAX_FIELDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# Which of them bound the output, by the shape of the reply: others are not read by the provider.
MAXIMA: dict[Shape, tuple[str, ...]] = {
    "chat": ("max_tokens", "max_completion_tokens"),
    "completions": ("max_tokens",),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}
_OURS_IN_BYTES = OURS.encode()
_FORM_FIELDS = frozenset({"model", "stream"}) | OURS_IN_FORM
# None of these names a model beside `model`, or is spelled like it.
_USUAL = frozenset(
    "model messages input stream stream_options max_tokens max_completion_tokens max_output_tokens temperature top_p "
    "tools tool_choice parallel_tool_calls response_format stop seed n user metadata system instructions reasoning "
    "reasoning_effort thinking text include store service_tier prompt_cache_key usage".split()
)

_JSON = "application/json"
_HOTTEST_OF_MESSAGES = 1.0  # Anthropic's: a higher temperature is refused
SMALL = 128 * 1024  # is rather copied than viewed
_MOST_OTHERS = 100  # models that may serve instead; OpenRouter takes three

Said = tuple[str | None, bool, tuple[str, ...], tuple[str, ...]]  # model, stream, also_models, max_fields of a call
_templates = BodyTemplates()
Defaults = tuple[tuple[str, bytes], ...]


def whole(value: object) -> int | None:
    """A whole number as lenient providers read it (`100.0`, `"100"`); None for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class Call(Struct, frozen=True):
    """One request, read.

    `model` is the name the client used (None: none was sent). `stream` is True only for JSON
    `true`. `also_models` are the names of `models[]` and `fallbacks` that may serve instead.
    `max_fields` are the members in which the client limits the output. `ours` is what the member `tollkeeper` says; neither
    `body` nor `document` has that member any more. `template` is there where all but its messages came before.
    """

    endpoint: Endpoint
    path: str
    query: str
    method: str
    body: bytes
    content_type: str = ""
    model: str | None = None
    stream: bool = False
    also_models: tuple[str, ...] = ()
    max_fields: tuple[str, ...] = ()
    ours: Ours = NOTHING_OURS
    parsed: JsonObject | None = None
    form: dict[str, FormField] | None = None
    template: BodyTemplate | None = None

    @property
    def document(self) -> JsonObject | None:
        """The body as an object; None where it is none, or nobody need know. That of a body which is known but for its
        messages is made when somebody asks."""
        if self.parsed is None and self.template is not None:
            force_setattr(self, "parsed", self.template.filled(self.body))
        return self.parsed


def read_call(endpoint: Endpoint, method: str, target: tuple[str, str], content: tuple[str, bytes]) -> Call:
    """Read a request: `target` is (path without prefix, query), `content` (Content-Type, body).

    Raises the `CallerError`s of the body: not JSON, a repeated member, a model that is no string, a member `tollkeeper`
    that cannot be read.
    """
    path, query = target
    content_type, body = content
    bare = Call(endpoint, path, query, method, body, content_type)
    if not body:
        return bare
    is_form = content_type != _JSON and content_type.lower().startswith("multipart/form-data")
    if endpoint.carries_model:
        return _read_form_call(bare) if is_form else _read_json_call(bare)
    return _without_ours(bare, is_form=is_form) if _OURS_IN_BYTES in (body[:SMALL] if is_form else body) else bare


def _read_form_call(bare: Call) -> Call:
    form = read_form(bare.body, bare.content_type, _FORM_FIELDS)
    refuse_ours(form)
    model = form.get("model")
    stream = form.get("stream")
    return msgspec.structs.replace(
        bare,
        model=model.text if model else None,
        stream=stream is not None and stream.text.lower() == "true",
        form=form,
    )


def _read_json_call(bare: Call) -> Call:
    known = _templates.find(bare.endpoint, bare.body) if _may_be_known(bare.body) else None
    if known is not None:
        return _call_of(bare, known.said, template=known)
    document = read_object(bare.body)
    values = document.values
    others = values.keys() - _USUAL
    if others and OURS in others:
        rest = msgspec.structs.replace(bare, body=without(document, OURS))
        return msgspec.structs.replace(_read_json_call(rest), ours=read_ours(document))
    model = document.value("model")
    if model is not None and not isinstance(model, str):
        raise InvalidValue("'model' must be a string.", param="model")
    if others and any(name.lower() == "model" for name in others):
        # servers in Go match names whatever their case, and take the last one (wire.md T65)
        raise DuplicateKey("'model' is to be spelled in lower case, once.", param="model")
    is_stream = "stream" in values and document.value("stream") is True
    also = _also_models(document) if others else ()
    limits = tuple([name for name in MAX_FIELDS if name in values and document.value(name) is not None])
    said = model, is_stream, also, limits
    if len(bare.body) <= READ_QUICKLY:
        _templates.learn(bare.endpoint, document, said)
    return _call_of(bare, said, document)


def _may_be_known(body: bytes) -> bool:
    """Whether to ask if one like it came before: of a large body with long strings, as pictures are, less is read."""
    return len(body) <= SMALL or (len(body) <= READ_QUICKLY and without_long_strings(body) is None)


def _call_of(bare: Call, said: Said, parsed: JsonObject | None = None, template: BodyTemplate | None = None) -> Call:
    """In the order of its fields, which is quicker than by their names."""
    about = bare.endpoint, bare.path, bare.query, bare.method, bare.body, bare.content_type
    return Call(*about, *said, NOTHING_OURS, parsed, None, template)


def _without_ours(bare: Call, *, is_form: bool) -> Call:
    """A body whose model is not read, less our member; what is no JSON object passes as it is, a form without it too."""
    if is_form:
        refuse_ours(read_form(bare.body, bare.content_type, OURS_IN_FORM))
        return bare
    try:
        document = read_object(bare.body)
    except InvalidJson:
        return bare
    if OURS not in document.values:
        return bare
    return msgspec.structs.replace(bare, body=without(document, OURS), ours=read_ours(document))


def _also_models(document: JsonObject) -> tuple[str, ...]:
    """The names in `models` and `fallbacks`, strings or objects with a `model`; and `preset`, which names one too
    (wire.md 1.3, 1.4, 1.14); each once. Raises `InvalidValue` where there are more than anybody can mean."""
    names: list[str] = []
    preset = document.value("preset") if "preset" in document.values else None
    if isinstance(preset, str):
        names.append("@preset/" + preset.removeprefix("@preset/"))  # it is taken both ways
    for field in ("models", "fallbacks"):
        if field not in document.values:
            continue
        value = document.value(field)
        for entry in value if isinstance(value, list) else ():
            name = entry.get("model") if isinstance(entry, dict) else entry
            if isinstance(name, str):
                names.append(name)
    found = tuple(dict.fromkeys(names))
    if len(found) > _MOST_OTHERS:
        raise InvalidValue(f"'models' and 'fallbacks' may name {_MOST_OTHERS} models at most.", param="models")
    return found


def changed(call: Call, edits: Iterable[tuple[int, int, bytes]], gone: Iterable[str] = ()) -> Call:
    """The call with its body spliced, and without some members."""
    assert call.document is not None
    document = read_object(b"".join(splice(call.body, edits)))
    for name in gone:
        if name in document.members:
            document = read_object(without(document, name))
    limits = tuple(name for name in call.max_fields if name in document.members)
    return msgspec.structs.replace(call, body=document.body, parsed=document, template=None, max_fields=limits)


def applied_defaults(call: Call, defaults: Defaults, max_field: str | None) -> list[tuple[str, bytes]]:
    """The configured defaults the client left open. The names of the output limit are one: the first of them goes by
    `max_field`, the endpoint's own; None drops it."""
    if call.document is None or not defaults:
        return []
    present = call.document.values
    applied = {n: v for n, v in fitted(call, defaults) if n not in present and n not in MAX_FIELDS}
    limit = next((v for n, v in defaults if n in MAX_FIELDS), None)
    if limit is not None and max_field is not None and not call.max_fields:
        applied[max_field] = limit
    return list(applied.items())


def fitted(call: Call, members: Defaults) -> Defaults:
    """Members as this endpoint takes them: a temperature only where text is made, and no higher than it may be."""
    if call.endpoint.max_field is None:
        return tuple(pair for pair in members if pair[0] != "temperature")
    if call.endpoint.shape != "messages":
        return members
    return tuple((name, _cooled(text) if name == "temperature" else text) for name, text in members)


def _cooled(text: bytes) -> bytes:
    value = msgspec.json.decode(text)
    return b"1" if isinstance(value, int | float) and value > _HOTTEST_OF_MESSAGES else text
