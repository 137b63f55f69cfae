"""What could not be moved, or not as it was, each with its place in the file; and the variables that hold the keys."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.config.document import Document
from proxy.config.problems import Path, Problem

SETTINGS = ("router_settings", "litellm_settings", "general_settings")


class Report:
    """Collected while a document is read. The same said of several models is said once, with how often."""

    def __init__(self, document: Document) -> None:
        """Point into `document`."""
        self._document = document
        self._told: dict[tuple[str, str], dict[Problem, None]] = {}
        self.variables: dict[str, Problem | None] = {}

    def left_out(self, path: Path, reason: str) -> None:
        """What is not in the new file."""
        self.changed(path, f"left out: {reason}")

    def changed(self, path: Path, sentence: str) -> None:
        """What is in the new file, and means something else there."""
        kind = ".".join(step for step in path if isinstance(step, str))
        self._told.setdefault((kind, sentence), {})[self._document.problem(path, sentence)] = None

    def literal(self, variable: str, path: Path) -> None:
        """A secret stands in the file itself; the new one reads it from a variable."""
        self.variables[variable] = self._document.problem(path, "")

    def sentences(self) -> list[str]:
        """One a line, in the order of the file."""
        groups = sorted(map(list, self._told.values()), key=lambda told: (told[0].line, told[0].column))
        return [f"{told[0]}{self._more(len(told) - 1)}" for told in groups]

    @staticmethod
    def _more(count: int) -> str:
        return f" (and {count} more like it)" if count else ""

    def to_set(self) -> Iterator[str]:
        """The variables the new file reads; of those that are values here, where."""
        for name, place in sorted(self.variables.items()):
            yield name if place is None else f"{name} (its value stands in {place.file}:{place.line})"
