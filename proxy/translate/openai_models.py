"""What OpenAI's models take of thinking and of how words are drawn, by their names; of others nothing is known here."""

from __future__ import annotations

import re
from typing import Any

from proxy.translate.effort import effort_for
from proxy.translate.losses import Losses
from proxy.translate.values import Request

_ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_O_SERIES = re.compile(r"(?:^|/)o\d+(?![\w.])")
_GPT = re.compile(r"(?:^|/)(?:chat)?gpt-(\d+)(?:\.(\d+))?([\w.-]*)")
_AZURES = 35  # what Azure calls 3.5
_FIRST, _HIGH_AT_MOST, _CODEX_MAY_NOT, _BY_ITSELF, _SIXTH = (5, 0), (5, 1), (5, 3), (5, 5), (6, 0)


def efforts_of(model: str) -> tuple[str, ...] | None:
    """The efforts a model of OpenAI's takes, none where it does not think; None of a model nobody knows."""
    if _O_SERIES.search(model):
        return _ORDER[2:5]
    known = _version(model)
    if known is None:
        return None
    version, kind = known
    if version < _FIRST or (version == _FIRST and "chat" in kind):
        return ()
    if "chat" in kind:
        return ("medium",)
    if version == _FIRST:
        return _ORDER[4:5] if "pro" in kind else _ORDER[2:5] if "codex" in kind else _ORDER[1:5]
    if version >= _SIXTH:
        return _ORDER[2:]
    if "pro" in kind:
        return _ORDER[3:6]
    none = () if "codex" in kind and version < _CODEX_MAY_NOT else _ORDER[:1]
    return (*none, *(_ORDER[2:5] if version == _HIGH_AT_MOST else _ORDER[2:6]))


def _version(model: str) -> tuple[tuple[int, int], str] | None:
    found = _GPT.search(model)
    if found is None:
        return None
    return (3 if int(found[1]) == _AZURES else int(found[1]), int(found[2] or 0)), found[3]


# of models nobody knows: where others than OpenAI serve chat, some refuse any other word
USUAL_OF_CHAT, USUAL_OF_RESPONSES = _ORDER[2:5], _ORDER


def asked_effort(request: Request, model: str, usual: tuple[str, ...], losses: Losses) -> str:
    """The effort to ask for: the nearest that is taken, of a model nobody knows the nearest `usual` one; nothing where none
    is to be said."""
    thinking, known = request.thinking, efforts_of(model)
    taken = usual if known is None else known
    effort = thinking.effort or (effort_for(thinking.budget, request.maximum) if thinking.budget else "")
    effort = "none" if thinking.on is False else effort
    if not taken:
        losses.unless_empty("reasoning", thinking.on or thinking.effort or None)
        return ""
    if known is None and effort == "none" not in taken:
        losses.add("reasoning")  # servers disagree on how to say so, and some refuse what others read
        return ""
    if effort not in _ORDER:
        return effort
    wanted = _ORDER.index(effort)
    nearest = min(taken, key=lambda one: (abs(_ORDER.index(one) - wanted), -_ORDER.index(one)))
    if effort == "none" != nearest:
        losses.add("reasoning", "changed")
    return nearest


def sampling(request: Request, model: str, effort: str, losses: Losses) -> dict[str, Any]:
    """How words are to be drawn, as far as a model that thinks with this effort lets itself be told."""
    if not _draws_itself(model, effort):
        return {"temperature": request.temperature, "top_p": request.top_p}
    if request.temperature not in (None, 1):
        losses.add("temperature")
    if request.top_p not in (None, 1):
        losses.add("top_p")
    return {}


def _draws_itself(model: str, effort: str) -> bool:
    taken, known = efforts_of(model), _version(model)
    if not taken or effort == "none":
        return False
    is_asked_to_think = bool(effort) or "none" not in taken
    return is_asked_to_think or known is None or known[0] >= _BY_ITSELF
