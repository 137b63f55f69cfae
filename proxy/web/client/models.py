"""`/v1/models`: what a key may use, in OpenAI's shape or in Anthropic's."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from proxy.errors import InvalidValue, ModelNotFound
from proxy.policy.names.access import allowed_models, choose
from proxy.policy.names.catalogue import Catalogue, Model, split_variant
from proxy.policy.names.resolution import Names
from proxy.policy.values import Caller

_MOST_IN_A_PAGE = 1000
_json = msgspec.json.Encoder()


class ModelList:
    """Answers from our own knowledge; nothing is asked upstream."""

    def __init__(self, names: Names, catalogue: Catalogue) -> None:
        self._names = names
        self._catalogue = catalogue
        self.names = frozenset(names.offered())

    def all(self, caller: Caller, query: str, *, anthropic: bool) -> bytes:
        """The whole list. Anthropic's may be asked for in pages, and is one where it is not (wire.md 3.1).

        Raises `InvalidValue` where the query asks for a page that there cannot be.
        """
        ids = allowed_models(caller, self._names)
        if not anthropic:
            return _json.encode({"object": "list", "data": [self._openai(name) for name in ids]})
        ids, has_more = page_of(ids, query)
        data = [self._anthropic(name) for name in ids]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return _json.encode({"data": data, "has_more": has_more, **ends})

    def one(self, caller: Caller, name: str, *, anthropic: bool) -> bytes | None:
        """One entry by any name the caller may call it by; None where only the provider that would be sent it can tell.

        Raises `ModelNotFound`.
        """
        choose(caller, self._names, name)
        if self._names.look_up(name).is_guess:
            return None
        return _json.encode(self._anthropic(name) if anthropic else self._openai(name))

    def _openai(self, name: str) -> dict[str, object]:
        label, model = self._known(name)
        author = label.partition("/")[0] if "/" in label else "tollkeeper"
        return {"id": name, "object": "model", "created": (model.created if model else None) or 0, "owned_by": author}

    def _anthropic(self, name: str) -> dict[str, object]:
        _, model = self._known(name)
        created = datetime.fromtimestamp((model.created if model else None) or 0, UTC)
        return {
            "type": "model",
            "id": name,
            "display_name": model.name if model else name,
            "created_at": created.isoformat().replace("+00:00", "Z"),
        }

    def _known(self, name: str) -> tuple[str, Model | None]:
        """What a name stands for (itself, where it is one of our own), and its entry in the catalogue."""
        try:
            label = self._names.look_up(name).plan.label
        except ModelNotFound:  # an alias that leads nowhere
            return name, None
        return label, self._catalogue.get(label) or self._catalogue.get(split_variant(label)[0])


def page_of(ids: list[str], query: str) -> tuple[list[str], bool]:
    """What `after_id`, `before_id` and `limit` ask for, and whether more follows in that direction. Beside a model that the list
    has not, or no more, there is nothing."""
    asked = dict(parse_qsl(query.removeprefix("?")))
    after, before, most = asked.get("after_id"), asked.get("before_id"), _limit(asked.get("limit"), len(ids))
    if not {after, before} <= {None, *ids}:
        return [], False
    start = 0 if after is None else ids.index(after) + 1
    ids = ids[start:] if before is None else ids[start : ids.index(before)]
    is_backwards = before is not None and after is None
    return ids[max(0, len(ids) - most) :] if is_backwards else ids[:most], len(ids) > most


def _limit(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= _MOST_IN_A_PAGE):
        raise InvalidValue(f"limit is a number from 1 to {_MOST_IN_A_PAGE}.", param="limit")
    return int(text)
