"""Whether the real provider would refuse a request, and how: the first thing it would say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from msgspec import Struct

from proxy.mock.asked import Profile, input_tokens
from proxy.mock.envelopes import Failure
from proxy.mock.script import FRAMES
from proxy.mock.strict import anthropic, openai, openai_media, openrouter
from proxy.mock.strict.facts import Facts, facts_of, is_behaviour
from proxy.mock.strict.shape import Fault, Shape, faults

_SENTENCES: dict[Profile, Callable[[Fault], Failure]] = {
    "openai": openai.sentence,
    "anthropic": anthropic.sentence,
    "openrouter": openrouter.sentence,
}
_UNKNOWN: dict[Profile, Callable[[str], Failure]] = {
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


class Sent(Struct, frozen=True):
    """A request as it came: `content_type` without its parameters, `has_file`: a form with one."""

    profile: Profile
    endpoint: str
    path: str
    headers: Mapping[str, str]
    content_type: str
    fields: dict[str, Any]
    has_file: bool = False

    @property
    def is_form(self) -> bool:
        return self.content_type == "multipart/form-data"


def without_key(profile: Profile, headers: Mapping[str, str]) -> Failure | None:
    """The refusal of a request that brings no credential at all."""
    if headers.get("authorization") or headers.get("x-api-key"):
        return None
    return _NO_KEY[profile]()


def refused(sent: Sent) -> Failure | None:
    """The first thing the provider would object to, or None if it would answer.

    A model of the mock's own is bound by no model's limits. `?strict=0` in the model's name is obeyed before anything.
    """
    model = sent.fields.get("model")
    name, options = model.partition("?")[::2] if isinstance(model, str) else ("", "")
    if "strict=0" in options.split("&"):
        return None
    return next(chain(_of_head(sent), _of_name(sent, name), _of_body(sent, name)), None)


def _of_head(sent: Sent) -> Iterator[Failure]:
    if sent.profile == "anthropic" and sent.endpoint.startswith("messages") and "anthropic-version" not in sent.headers:
        yield anthropic.no_version()
    if sent.profile == "openai" and not sent.is_form and sent.content_type != "application/json":
        yield openai.wrong_type(sent.content_type)
    if sent.is_form and sent.endpoint.startswith("audio/") and not sent.has_file:
        yield _SENTENCES[sent.profile](Fault("missing", ("file",)))


def _of_name(sent: Sent, name: str) -> Iterator[Failure]:
    """What is not listed is not served; OpenRouter's list leaves out what writes no text."""
    if sent.profile == "openrouter" and sent.endpoint not in FRAMES:
        return
    if name and not is_behaviour(name) and facts_of(sent.profile, name) is None:
        yield _UNKNOWN[sent.profile](name)


def _of_body(sent: Sent, name: str) -> Iterator[Failure]:
    shape = _shape(sent, name)
    if sent.is_form or shape is None:
        return
    yield from map(_SENTENCES[sent.profile], faults(sent.fields, shape))
    facts = None if not name or is_behaviour(name) else facts_of(sent.profile, name)
    yield from _DIFFERENCES[sent.profile](sent.endpoint, sent.fields, facts, input_tokens(sent.fields))


def _shape(sent: Sent, name: str) -> Shape | None:
    if sent.profile == "openai" and sent.path.endswith("/images/edits"):
        return openai_media.EDITS
    if sent.profile == "openai" and sent.endpoint == "images" and name.startswith(_FREE_SIZES):
        return openai_media.FREE_IMAGES
    return _SHAPES.get((sent.profile, sent.endpoint))
