"""`/v1/models`: what a key may use, in OpenAI's shape or in Anthropic's."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

import msgspec

from proxy.policy.names.access import allowed_models, choose
from proxy.policy.names.catalogue import Catalogue
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

    def one(self, caller: Caller, raw_id: str, *, anthropic: bool) -> bytes | None:
        """One entry by any name the caller may call it by, however its slash was spelled; None where only the provider
        that would be sent it knows the name. Raises `ModelNotFound`."""
        name = unquote(raw_id)
        if choose(caller, self._names, name).label not in self.names and name not in self.names:
            return None
        return _json.encode(self._anthropic(name) if anthropic else self._openai(name))

    def _openai(self, name: str) -> dict[str, object]:
        model = self._catalogue.get(name)
        author = name.partition("/")[0] if "/" in name else "tollkeeper"
        return {"id": name, "object": "model", "created": (model.created if model else None) or 0, "owned_by": author}

    def _anthropic(self, name: str) -> dict[str, object]:
        model = self._catalogue.get(name)
        created = datetime.fromtimestamp((model.created if model else None) or 0, UTC)
        return {
            "type": "model",
            "id": name,
            "display_name": model.name if model else name,
            "created_at": created.isoformat().replace("+00:00", "Z"),
        }
