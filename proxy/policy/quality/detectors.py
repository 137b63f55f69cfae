"""The detectors, a row each. They are cheap and sure rather than clever: what they miss is told in docs/use-cases.md."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from proxy.policy.quality.languages import likely_language
from proxy.policy.quality.values import FLAGS, Flag, Said, Wanted, Watch

_LOOKED_AT = 8192  # characters from the end, where loops are
_LEAST_LOOP = 400  # characters; below it people repeat themselves, too
_LOOP_RATIO = 0.13  # compressed to the plain: prose stays above 0.35, lists and tables above 0.2
# patterns are compiled when they are first wanted: at a start they would take longer than all others
_TANDEM = r"(?s)(.{4,200}?)\1{5,}\s*\S{0,200}$"
_VISIBLE = "[^\\s\u200b-\u200f\u2060\ufeff]"
_OPENING = 240  # characters in which somebody who refuses says so
_HARD = (
    r"(?i)^\W*(?:(?:i(?:['’]m| am) (?:very |really |so )?sorry\b|sorry|unfortunately|apologies)[^.!?]{0,60}?(?:\bbut )?\b)?(?:i|we)(?: (?:can(?:['’]t|not)|am unable to|am not able to|won['’]t|will not|must decline|have to decline)|['’]m (?:unable|not able) to)"
    r" (?:\w+ ){0,3}?(?:help(?! but\b)|assist|provide|create|write|generate|comply|fulfil|fulfill|do that|support|engage|discuss|continue|answer|play|share)"
    r"|^\W*(?:es tut mir leid|tut mir leid|entschuldigung)[^.!?]{0,60}\b(?:kann|darf|werde)\b[^.!?]{0,60}\bnicht\b"
    r"|^\W*(?:das|dabei|hierbei|damit) (?:kann|darf|werde) ich [^.!?]{0,40}\bnicht\b"
    r"|^\W*(?:je suis )?désolée?[^.!?]{0,60}\bje ne (?:peux|puis|suis)\b"
    r"|^\W*je ne (?:peux|puis) pas (?:vous )?(?:aider|fournir|répondre|écrire|créer)"
    r"|^\W*lo siento[^.!?]{0,60}\bno puedo\b|^\W*no puedo (?:ayudar|proporcionar|crear|escribir|responder)"
    r"|^\W*(?:mi dispiace|spiacente)[^.!?]{0,60}\bnon posso\b"
)
_WEAK = (
    r"(?i)\bas an? (?:ai|artificial intelligence|language model)\b|\b(?:against|violates?) (?:my|our|the|content|usage) (?:\w+ )?(?:guidelines|polic(?:y|ies))\b"
    r"|\bi(?:['’]d| would) (?:rather|prefer) not\b|\bi(?:['’]m| am) not comfortable\b|\bi (?:can(?:['’]t|not)) (?:help|assist)\b"
    r"|\bals (?:ki|sprachmodell|künstliche intelligenz)\b|\ben tant qu(?:e |['’])(?:ia|modèle|intelligence artificielle)\b"
    r"|\bcomo (?:modelo de lenguaje|una ia|inteligencia artificial)\b|\bconsult an? (?:professional|expert|lawyer|doctor) instead\b"
)


def flags_of(said: Said, watch: Watch, wanted: Wanted) -> tuple[Flag, ...]:
    """What is wrong with a reply, in the order of `FLAGS`."""
    return tuple(flag for flag in FLAGS if _DETECTORS[flag](said, watch, wanted))


def _slow(said: Said, watch: Watch, _: Wanted) -> bool:
    if watch.slow is None or watch.slow == "p95":
        return watch.slow is not None and said.is_slowest
    return said.total_seconds is not None and said.total_seconds > watch.slow


def _short(said: Said, watch: Watch, _: Wanted) -> bool:
    length = len(said.text.strip())
    is_done = said.finish in ("stop", "unknown") and not said.arguments
    return watch.short is not None and is_done and 0 < length < watch.short


def _empty(said: Said, watch: Watch, _: Wanted) -> bool:
    return watch.empty and not re.search(_VISIBLE, said.text) and not said.arguments and not said.refuses


def _cut_off(said: Said, watch: Watch, _: Wanted) -> bool:
    return watch.cut_off and said.finish == "length"


def _refusal(said: Said, watch: Watch, _: Wanted) -> bool:
    """The provider says so, or the model does with its first words."""
    if not watch.refusal:
        return False
    return said.refuses or said.finish == "refusal" or bool(re.search(_HARD, said.text[:_OPENING].strip()))


def _refusal_weak(said: Said, watch: Watch, wanted: Wanted) -> bool:
    """Words of somebody who refuses, where they may be part of an answer."""
    if not watch.refusal or _refusal(said, watch, wanted):
        return False
    return bool(re.search(_WEAK, said.text[: 2 * _OPENING]))


def _loop(said: Said, watch: Watch, _: Wanted) -> bool:
    tail = said.text[-_LOOKED_AT:]
    if not watch.loop or len(tail) < _LEAST_LOOP:
        return False
    plain = tail.encode("utf-8", "replace")
    return len(zlib.compress(plain, 6)) / len(plain) < _LOOP_RATIO or bool(re.search(_TANDEM, tail[-1500:]))


def _language(said: Said, watch: Watch, _: Wanted) -> bool:
    if watch.language is None:
        return False
    found = likely_language(said.text[:_LOOKED_AT])
    return found is not None and found != watch.language


def _json(said: Said, watch: Watch, wanted: Wanted) -> bool:
    """Asked for, and not there; one that was cut off or refused has its own flag."""
    if not watch.json or not wanted.is_json or said.arguments or said.refuses or said.finish in ("length", "refusal"):
        return False
    try:
        value = json.loads(said.text)
    except (ValueError, RecursionError):
        return True
    return wanted.schema is not None and not _fits(value, wanted.schema, wanted.schema, 0)


def _tools(said: Said, watch: Watch, _: Wanted) -> bool:
    return watch.tools and said.finish != "length" and not all(map(_is_object, said.arguments))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text or "{}"), dict)
    except (ValueError, RecursionError):
        return False


_DETECTORS: dict[Flag, Callable[[Said, Watch, Wanted], bool]] = {
    "slow": _slow,
    "short": _short,
    "empty": _empty,
    "cut_off": _cut_off,
    "refusal": _refusal,
    "refusal_weak": _refusal_weak,
    "loop": _loop,
    "language": _language,
    "json": _json,
    "tools": _tools,
}

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_DEEPEST = 40


def _fits(value: Any, schema: Any, root: Mapping[str, Any], depth: int) -> bool:
    """Whether a value has the shape of a JSON Schema, as far as structured outputs use one; what is not known fits."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return True
    if isinstance(ref := schema.get("$ref"), str):
        return _fits(value, _pointed(root, ref), root, depth + 1)
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list):
        return any(_fits(value, option, root, depth + 1) for option in options)
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    return _has_type(value, schema.get("type")) and _members_fit(value, schema, root, depth)


def _has_type(value: Any, kind: Any) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    known = [_TYPES[each] for each in kinds if isinstance(each, str) and each in _TYPES]
    if not known:
        return True
    types = {one for each in known for one in each}
    return isinstance(value, tuple(types)) and (not isinstance(value, bool) or bool in types)


def _members_fit(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> bool:
    if isinstance(value, list):
        return all(_fits(item, schema.get("items"), root, depth + 1) for item in value)
    if not isinstance(value, dict):
        return True
    known = schema.get("properties") or {}
    if any(name not in value for name in schema.get("required") or ()):
        return False
    if schema.get("additionalProperties") is False and value.keys() - known.keys():
        return False
    return all(_fits(item, known.get(name), root, depth + 1) for name, item in value.items())


def _pointed(root: Mapping[str, Any], ref: str) -> Any:
    found: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        found = found.get(step) if isinstance(found, dict) else None
    return found
