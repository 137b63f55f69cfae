"""YAML text to plain values that remember their place; strict where YAML is generous.

Built on the parser's events, so nothing deep, endless or self-containing is ever built:
duplicate names, second documents, tags and alias bombs are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from proxy.config.problems import ConfigProblems, Path, Problem, path_text
from proxy.config.scalars import Scalar, plain_scalar
from proxy.config.syntax import syntax_sentence

Tree = Scalar | list["Tree"] | dict[str, "Tree"]
Place = tuple[int, int]

MOST_CHARACTERS = 2**20
MOST_NODES = 100_000
DEEPEST = 64
STORED = "stored settings"

PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, ten times slower, without libyaml
_STRING_TAGS = frozenset((None, "!", "tag:yaml.org,2002:str"))
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNFIT = re.compile("[\x00\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(slots=True)
class Document:
    """A file as read: its values, where each stands, and what was wrong so far.

    `variables` are the names of those that say what the file does not, by the path of what they say.
    `stored` are the paths of what stands in the store instead, each with the one it is told by.
    """

    file: str
    tree: dict[str, Tree] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    names: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    variables: dict[Path, str] = field(default_factory=dict)
    stored: dict[Path, Path] = field(default_factory=dict)

    @property
    def has_content(self) -> bool:
        """False for a file that is empty, null, or nothing but comments; `{}` is something."""
        return () in self.values

    def problem(self, path: Path, sentence: str, *, at_name: bool = False) -> Problem:
        """Point at the value of `path` (or at its name), else at the nearest thing around it."""
        if (told := self.stored.get(path[:2])) is not None:
            return Problem(STORED, 0, 0, path_text((*told, *path[2:])), sentence)
        place = self.names.get(path) if at_name else None
        around = path
        while place is None and around:
            if around in self.variables:
                return Problem(self.variables[around], 0, 0, "", sentence)
            place = self.values.get(around)
            around = around[:-1]
        line, column = place or self.values.get((), (0, 0))
        return Problem(self.file, line, column, path_text(path), sentence)


@dataclass(slots=True)
class _Node:
    """A value and its place; `content` of a mapping is name → (place of the name, value)."""

    place: Place
    content: Scalar | list[_Node] | dict[str, tuple[Place, _Node]]
    pending: tuple[Place, str] | None = None
    anchor: str | None = None


class _TooMuch(Exception):
    """The document expands beyond the limits."""


def parse(text: str, file: str, parser: Any = PARSER) -> Document:
    """Read one document; raises ConfigProblems where the text is no YAML, collects what is merely wrong."""
    document = Document(file)
    text = text.removeprefix("\ufeff")
    _refuse_unreadable(text, file)
    builder = _Builder(document)
    try:
        for event in yaml.parse(text, Loader=parser):
            builder.take(event)
    except yaml.YAMLError as error:
        line, column, sentence = syntax_sentence(error, text)
        raise ConfigProblems([*document.problems, Problem(file, line, column, "", sentence)]) from None
    root = builder.root
    if root is None or root.content is None:
        return document
    if not isinstance(root.content, dict):
        problem = Problem(file, *root.place, "", "the file must hold `name: value` lines at its top level")
        raise ConfigProblems([*document.problems, problem])
    try:
        document.tree = _Expansion(document).mapping(root, ())
    except _TooMuch:
        sentence = f"the aliases (*name) expand to more than {MOST_NODES} values or {DEEPEST} levels"
        raise ConfigProblems([*document.problems, Problem(file, *root.place, "", sentence)]) from None
    return document


def _refuse_unreadable(text: str, file: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ConfigProblems([Problem(file, 0, 0, "", "the file is larger than 1 MiB; a configuration never is")])
    if match := _FORBIDDEN.search(text):
        breaks = list(_LINE_BREAK.finditer(text, 0, match.start()))
        column = match.start() - (breaks[-1].end() if breaks else 0) + 1
        sentence = "a control character that YAML does not allow"
        raise ConfigProblems([Problem(file, len(breaks) + 1, column, "", sentence)])


class _Builder:
    """Takes the parser's events and keeps the tree they describe in `root`."""

    def __init__(self, document: Document) -> None:
        """Report into `document`."""
        self.root: _Node | None = None
        self._document = document
        self._open: list[_Node] = []
        self._anchors: dict[str, _Node] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Add what one event says."""
        mark: Any = event.start_mark  # the parser never leaves it out
        place = (mark.line + 1, mark.column + 1)
        match event:
            case yaml.ScalarEvent():
                self._add(_Node(place, self._scalar(event, place), anchor=event.anchor))
            case yaml.AliasEvent():
                self._add(self._aliased(event, place))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_tag(event.tag, place)
                content: dict[str, tuple[Place, _Node]] | list[_Node]
                content = {} if isinstance(event, yaml.MappingStartEvent) else []
                self._enter(_Node(place, content, anchor=event.anchor))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._add(self._open.pop())
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._stop(place, "a second document starts here; a configuration is one document")

    def _enter(self, node: _Node) -> None:
        if len(self._open) >= DEEPEST:
            self._stop(node.place, f"nested more than {DEEPEST} levels deep")
        self._open.append(node)

    def _add(self, node: _Node) -> None:
        if node.anchor is not None:
            self._anchors[node.anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.content, list):
            parent.content.append(node)
        elif isinstance(parent.content, dict):
            self._add_to_mapping(parent, parent.content, node)

    def _add_to_mapping(self, parent: _Node, members: dict[str, tuple[Place, _Node]], node: _Node) -> None:
        if parent.pending is None:
            parent.pending = (node.place, self._name(node))
            return
        place, name = parent.pending
        parent.pending = None
        if name in members:
            first = members[name][0][0]
            self._report(place, f"is given twice; the first is on line {first}", (*self._path(), name))
        elif name:
            members[name] = (place, node)

    def _name(self, node: _Node) -> str:
        if isinstance(node.content, str) and node.content:
            return node.content
        self._report(node.place, "a name must stand before the colon, as plain text")
        return ""

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar:
        self._refuse_tag(event.tag, place)
        if _UNFIT.search(event.value):
            self._report(place, "text cannot hold the NUL character or half of a surrogate pair")
            return ""
        is_name = bool(self._open) and isinstance(self._open[-1].content, dict) and self._open[-1].pending is None
        if is_name or event.tag is not None or not event.implicit[0]:
            return str(event.value)
        return plain_scalar(event.value)

    def _aliased(self, event: yaml.AliasEvent, place: Place) -> _Node:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            self._report(
                place, "an alias (*) whose anchor (&) has not ended above; put text that starts with * in quotes"
            )
            return _Node(place, None)
        return _Node(known.place, known.content)

    def _refuse_tag(self, tag: str | None, place: Place) -> None:
        if tag not in _STRING_TAGS:
            self._report(place, "tags (!) have no meaning here; put text that starts with ! in quotes")

    def _path(self) -> Path:
        steps: list[str | int] = []
        for node in self._open:
            if isinstance(node.content, list):
                steps.append(len(node.content))
            elif node.pending is not None:
                steps.append(node.pending[1])
        return tuple(steps)

    def _report(self, place: Place, sentence: str, path: Path | None = None) -> None:
        path = self._path() if path is None else path
        self._document.problems.append(Problem(self._document.file, *place, path_text(path), sentence))

    def _stop(self, place: Place, sentence: str) -> None:
        self._report(place, sentence)
        raise ConfigProblems(self._document.problems)


class _Expansion:
    """Turns nodes into plain values, noting the place of every path; aliases count each time they are used."""

    def __init__(self, document: Document) -> None:
        """Note places in `document`."""
        self._document = document
        self._nodes = 0

    def mapping(self, node: _Node, path: Path) -> dict[str, Tree]:
        """Expand a mapping with everything below it."""
        self._document.values[path] = node.place
        return dict(self._members(node, path))

    def _members(self, node: _Node, path: Path) -> Iterator[tuple[str, Tree]]:
        members = node.content if isinstance(node.content, dict) else {}
        for name, (place, value) in members.items():
            self._document.names[*path, name] = place
            yield name, self._value(value, (*path, name))

    def _value(self, node: _Node, path: Path) -> Tree:
        self._nodes += 1
        if self._nodes > MOST_NODES or len(path) > DEEPEST:
            raise _TooMuch
        if isinstance(node.content, dict):
            return self.mapping(node, path)
        self._document.values[path] = node.place
        if isinstance(node.content, list):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.content)]
        return node.content
