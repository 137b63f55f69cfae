"""`/v1/models`: what a key may use, in OpenAI's shape or in Anthropic's."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from proxy.errors import ModelNotFound
from proxy.policy.names.access import allowed_models, choose
from proxy.policy.names.catalogue import Catalogue, Model, split_variant
from proxy.policy.names.resolution import Names
from proxy.policy.values import Caller

_json = msgspec.json.Encoder()


class ModelList:
    """Answers from our own knowledge; nothing is asked upstream."""

    def __init__(self, names: Names, catalogue: Catalogue) -> None:
        self._names = names
        self._catalogue = catalogue
        self.names = frozenset(names.offered())

    def all(self, caller: Caller, *, anthropic: bool) -> bytes:
        """The whole list. Anthropic's is one page (wire.md 3.1)."""
        ids = allowed_models(caller, self._names)
        if not anthropic:
            return _json.encode({"object": "list", "data": [self._openai(name) for name in ids]})
        data = [self._anthropic(name) for name in ids]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return _json.encode({"data": data, "has_more": False, **ends})

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
