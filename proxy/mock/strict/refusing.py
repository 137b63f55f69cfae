"""Whether the real provider would refuse a request, and how: the first thing it would say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from msgspec import Struct

from proxy.mock.asked import Profile, input_tokens
from proxy.mock.envelopes import Failure
from proxy.mock.pictures import refused_modalities, refused_pictures
from proxy.mock.script import FRAMES
from proxy.mock.strict import anthropic, openai, openai_media, openai_responses, openrouter
from proxy.mock.strict.facts import Facts, facts_of, is_behaviour
from proxy.mock.strict.shape import Fault, Shape, faults

_SENTENCES: dict[Profile, Callable[[Fault], Failure]] = {
    "openai": openai.sentence,
    "anthropic": anthropic.sentence,
    "openrouter": openrouter.sentence,
}
_OF_SOUND = ("audio/transcriptions", "audio/translations")
_UNKNOWN: dict[Profile, Callable[[str, str], Failure]] = {
    "openai": openai.unknown_model,
    "anthropic": anthropic.unknown_model,
    "openrouter": openrouter.unknown_model,
}
_NO_KEY: dict[Profile, Callable[[], Failure]] = {
    "openai": openai.no_key,
    "anthropic": anthropic.no_key,
    "openrouter": openrouter.no_key,
}
_DIFFERENCES: dict[Profile, Callable[[str, Mapping[str, Any], Facts | None, int], Iterator[Failure]]] = {
    "openai": openai.differences,
    "anthropic": anthropic.differences,
    "openrouter": openrouter.differences,
}
_SHAPES: dict[tuple[Profile, str], Shape] = {
    ("openai", "chat/completions"): openai.CHAT,
    ("openai", "completions"): openai.COMPLETIONS,
    ("openai", "responses"): openai.RESPONSES,
    ("openai", "responses/compact"): openai_responses.COMPACT,
    ("openai", "responses/input_tokens"): openai_responses.COUNT_INPUT,
    ("openai", "embeddings"): openai_media.EMBEDDINGS,
    ("openai", "moderations"): openai_media.MODERATIONS,
    ("openai", "images"): openai_media.IMAGES,
    ("openai", "audio/speech"): openai_media.SPEECH,
    ("anthropic", "messages"): anthropic.MESSAGES,
    ("anthropic", "messages/count_tokens"): anthropic.COUNT_TOKENS,
    ("anthropic", "chat/completions"): anthropic.CHAT,
    ("openrouter", "chat/completions"): openrouter.CHAT,
    ("openrouter", "completions"): openrouter.CHAT,
    ("openrouter", "responses"): openrouter.RESPONSES,
    ("openrouter", "messages"): openrouter.MESSAGES,
    ("openrouter", "embeddings"): openrouter.EMBEDDINGS,
    ("openrouter", "rerank"): openrouter.RERANK,
    ("openrouter", "images"): openrouter.IMAGES,
    ("openrouter", "audio/speech"): openrouter.SPEECH,
}
_FREE_SIZES = ("gpt-image-2", "chatgpt-image")


class Content(Struct, frozen=True):
    """A body, read: `type` is its content type without parameters, `has_file`: a form with one."""

    type: str
    fields: dict[str, Any]
    has_file: bool = False

    @property
    def is_form(self) -> bool:
        """Whether members came as text, without a type of their own."""
        return self.type == "multipart/form-data"


class Sent(Struct, frozen=True):
    """A request as it came. `headers` finds names in lower case."""

    profile: Profile
    endpoint: str
    path: str
    headers: Mapping[str, str]
    content: Content


def refused(sent: Sent, *, needs_key: bool = True) -> Failure | None:
    """The first thing the provider would object to, or None if it would answer.

    A model of the mock's own wants no key and is bound by no model's limits. `?strict=0` in a model's name is obeyed
    before anything else.
    """
    model = sent.content.fields.get("model")
    name, options = model.partition("?")[::2] if isinstance(model, str) else ("", "")
    if "strict=0" in options.split("&"):
        return None
    is_real = bool(name) and not is_behaviour(name)
    credentials = any(sent.headers.get(header) for header in ("authorization", "x-api-key"))
    if needs_key and is_real and not credentials:
        return _NO_KEY[sent.profile]()
    facts = facts_of(sent.profile, name) if is_real else None
    objections = chain(
        _of_head(sent),
        _of_name(sent, name, facts) if is_real else (),
        _of_pictures(sent, is_real=is_real),
        _of_body(sent, name, facts),
    )
    return next(objections, None)


def _of_head(sent: Sent) -> Iterator[Failure]:
    kind, content = sent.profile, sent.content
    if kind == "anthropic" and sent.endpoint.startswith("messages") and "anthropic-version" not in sent.headers:
        yield anthropic.no_version()
    if kind == "openai" and not content.is_form and content.type != "application/json":
        yield openai.wrong_type(content.type)
    if sent.endpoint in _OF_SOUND and not content.has_file and (content.is_form or not content.fields):
        yield _SENTENCES[kind](Fault("missing", ("file",)))


def _of_name(sent: Sent, name: str, facts: Facts | None) -> Iterator[Failure]:
    """What is not listed is not served; OpenRouter's list leaves out what writes no text."""
    if facts is None and (sent.profile != "openrouter" or sent.endpoint in FRAMES):
        yield _UNKNOWN[sent.profile](sent.endpoint, name)


def _of_pictures(sent: Sent, *, is_real: bool) -> Iterator[Failure]:
    """Pictures at OpenRouter: by the path that is its own, what each model takes, and what none draws."""
    fields = sent.content.fields
    if sent.profile != "openrouter":
        return
    if sent.endpoint == "images" and is_real and (failure := refused_pictures(sent.path, fields)) is not None:
        yield failure
    if sent.endpoint == "chat/completions" and (failure := refused_modalities(fields)) is not None:
        yield failure


def _of_body(sent: Sent, name: str, facts: Facts | None) -> Iterator[Failure]:
    shape, fields = _shape(sent, name), sent.content.fields
    if sent.content.is_form or shape is None:
        return
    yield from map(_SENTENCES[sent.profile], faults(fields, shape))
    yield from _DIFFERENCES[sent.profile](sent.endpoint, fields, facts, input_tokens(fields))


def _shape(sent: Sent, name: str) -> Shape | None:
    if sent.profile == "openai" and sent.path.endswith("/images/edits"):
        return openai_media.EDITS
    if sent.profile == "openai" and sent.endpoint == "images" and name.startswith(_FREE_SIZES):
        return openai_media.FREE_IMAGES
    return _SHAPES.get((sent.profile, sent.endpoint))
