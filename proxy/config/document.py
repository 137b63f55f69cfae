"""What was read of a file: plain values that remember their place."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from proxy.config.problems import Path, Problem, path_text
from proxy.config.scalars import Scalar

Tree = Scalar | list["Tree"] | dict[str, "Tree"]
Place = tuple[int, int]

STORED = "stored settings"


class Node(Struct):
    """A value and its place; `content` of a mapping is name → (place of the name, value)."""

    place: Place
    content: Scalar | list[Node] | dict[str, tuple[Place, Node]]
    pending: tuple[Place, str] | None = None
    anchor: str | None = None


@dataclass(slots=True)
class Document:
    """A file as read: its values, where each stands below `root`, and what was wrong so far.

    `variables` are the names of those that say what the file does not, by the path of what they say.
    `stored` are the paths of what stands in the store instead, each with the one it is told by.
    """

    file: str
    tree: dict[str, Tree] = field(default_factory=dict)
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    variables: dict[Path, str] = field(default_factory=dict)
    stored: dict[Path, Path] = field(default_factory=dict)

    @property
    def has_content(self) -> bool:
        """False for a file that is empty, null, or nothing but comments; `{}` is something."""
        return self.root is not None

    def place(self, path: Path) -> Place | None:
        """Where the value of `path` begins; None where the file has none."""
        found = self._found(path)
        return None if found is None else found[1].place

    def place_of_name(self, path: Path) -> Place | None:
        """Where the last name of `path` stands; None where the file has none."""
        found = self._found(path)
        return None if found is None else found[0]

    def _found(self, path: Path) -> tuple[Place | None, Node] | None:
        """The place of the name and the value."""
        if self.root is None:
            return None
        found: tuple[Place | None, Node] = (None, self.root)
        for step in path:
            content = found[1].content
            if isinstance(content, dict) and step in content:
                found = content[str(step)]
            elif isinstance(content, list) and isinstance(step, int) and step < len(content):
                found = (None, content[step])
            else:
                return None
        return found

    def problem(self, path: Path, sentence: str, *, at_name: bool = False) -> Problem:
        """Point at the value of `path` (or at its name), else at the nearest thing around it."""
        if (told := self.stored.get(path[:2])) is not None:
            return Problem(STORED, 0, 0, path_text((*told, *path[2:])), sentence)
        place = self.place_of_name(path) if at_name else None
        around = path
        while place is None and around:
            if around in self.variables:
                return Problem(self.variables[around], 0, 0, "", sentence)
            place = self.place(around)
            around = around[:-1]
        line, column = place or self.place(()) or (0, 0)
        return Problem(self.file, line, column, path_text(path), sentence)
