"""A secret that cannot be printed by accident."""

from __future__ import annotations

_SHORTEST = 20  # of those that servers give out


class Secret:
    """Wraps a credential; `reveal()` is the only way to its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep `text`; nothing else in the program may."""
        self._text = text

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._text

    def stands_in(self, data: bytes) -> bool:
        """Whether these bytes repeat it. A short one is a word that any text may hold, as `EMPTY` and `sk-no-key-required` are."""
        return len(self._text) >= _SHORTEST and self._text.encode() in data

    def __repr__(self) -> str:
        """Show that there is one, never which."""
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Equal to a Secret of the same text (for comparing configurations, not credentials of callers)."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Hash by text, as equality does."""
        return hash(self._text)

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse pickling: a pickle is a copy in the clear."""
        raise TypeError("a Secret cannot be pickled")
