"""YAML text to plain values that remember their place; strict where YAML is generous.

Built on the parser's events, so nothing deep, endless or self-containing is ever built:
duplicate names, second documents, tags and alias bombs are refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import yaml

from proxy.config.document import Document, Node, Place, Tree
from proxy.config.problems import ConfigProblems, Path, Problem, path_text
from proxy.config.scalars import plain_scalar
from proxy.config.syntax import syntax_sentence

MOST_CHARACTERS = 2**22
MOST_VALUES = 500_000
DEEPEST = 64

PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, ten times slower, without libyaml
_STRING_TAGS = frozenset((None, "!", "tag:yaml.org,2002:str"))
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNFIT = re.compile("[\x00\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_VARIABLE = re.compile(r"""\$\{([^][{}\s,#"']*)\}""")
_BRACES = ("\ue000", "\ue001")  # what the parser reads for the braces of a variable, which mean a mapping inside {…}


class _TooMuch(Exception):
    """The document expands beyond the limits."""


def parse(text: str, file: str, parser: Any = PARSER) -> Document:
    """Read one document; raises ConfigProblems where the text is no YAML, collects what is merely wrong.

    Text that was read last is not read again: a change of what is stored reads the file as well.
    """
    read = _parsed(text, file, parser)
    return Document(file, read.tree, read.root, list(read.problems))


@lru_cache(maxsize=1)
def _parsed(text: str, file: str, parser: Any) -> Document:
    document = Document(file)
    text = text.removeprefix("\ufeff")
    _refuse_unreadable(text, file)
    builder = _Builder(document)
    try:
        for event in yaml.parse(_braces_hidden(text), Loader=parser):
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
        document.root, document.tree = root, _Expansion().mapping(root.content, 0)
    except _TooMuch:
        sentence = f"its values are more than {MOST_VALUES:,}, or {DEEPEST} levels deep, what aliases (*name) stand for counted each time"
        raise ConfigProblems([*document.problems, Problem(file, *root.place, "", sentence)]) from None
    return document


def _braces_hidden(text: str) -> str:
    """Write other characters for the braces of every `${NAME}`, one for one, so that every place stays what it was."""
    opening, closing = _BRACES
    return text if opening in text or closing in text else _VARIABLE.sub(rf"${opening}\1{closing}", text)


def _braces_shown(text: str) -> str:
    opening, closing = _BRACES
    return text.replace(f"${opening}", "${").replace(closing, "}") if f"${opening}" in text else text


def _refuse_unreadable(text: str, file: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ConfigProblems([Problem(file, 0, 0, "", "the file is larger than 4 MiB; a configuration never is")])
    if match := _FORBIDDEN.search(text):
        breaks = list(_LINE_BREAK.finditer(text, 0, match.start()))
        column = match.start() - (breaks[-1].end() if breaks else 0) + 1
        sentence = "a control character that YAML does not allow"
        raise ConfigProblems([Problem(file, len(breaks) + 1, column, "", sentence)])


class _Builder:
    """Takes the parser's events and keeps the tree they describe in `root`."""

    def __init__(self, document: Document) -> None:
        """Report into `document`."""
        self.root: Node | None = None
        self._document = document
        self._open: list[Node] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Add what one event says."""
        mark: Any = event.start_mark  # the parser never leaves it out
        place = (mark.line + 1, mark.column + 1)
        match event:
            case yaml.ScalarEvent():
                self._take_scalar(event, place)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._add(self._open.pop())
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_tag(event.tag, place)
                content: dict[str, tuple[Place, Node]] | list[Node]
                content = {} if isinstance(event, yaml.MappingStartEvent) else []
                self._enter(Node(place, content, anchor=event.anchor))
            case yaml.AliasEvent():
                self._add(self._aliased(event, place))
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._stop(place, "a second document starts here; a configuration is one document")

    def _take_scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        text = _braces_shown(event.value)
        if event.tag is not None:
            self._refuse_tag(event.tag, place)
        if event.style == '"' and _UNFIT.search(text):  # elsewhere such a character would stand in the file itself
            self._report(place, "text cannot hold the NUL character or half of a surrogate pair")
            text = ""
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.pending is None and type(parent.content) is dict:
            parent.pending = (place, text or self._nameless(place))
            if event.anchor is not None:
                self._anchors[event.anchor] = Node(place, text)
            return
        is_text = event.tag is not None or not event.implicit[0]
        self._add(Node(place, text if is_text else plain_scalar(text), anchor=event.anchor))

    def _enter(self, node: Node) -> None:
        if len(self._open) >= DEEPEST:
            self._stop(node.place, f"nested more than {DEEPEST} levels deep")
        self._open.append(node)

    def _add(self, node: Node) -> None:
        if node.anchor is not None:
            self._anchors[node.anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.content, list):
            parent.content.append(node)
        elif parent.pending is None:  # an alias, or what is no text
            is_text = isinstance(node.content, str) and node.content
            parent.pending = (node.place, str(node.content) if is_text else self._nameless(node.place))
        elif isinstance(parent.content, dict):
            place, name = parent.pending
            if name in parent.content:
                first = parent.content[name][0][0]
                self._report(place, f"is given twice; the first is on line {first}")
            elif name:
                parent.content[name] = (place, node)
            parent.pending = None

    def _nameless(self, place: Place) -> str:
        self._report(place, "a name must stand before the colon, as plain text")
        return ""

    def _aliased(self, event: yaml.AliasEvent, place: Place) -> Node:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            self._report(
                place, "an alias (*) whose anchor (&) has not ended above; put text that starts with * in quotes"
            )
            return Node(place, None)
        return Node(known.place, known.content)

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

    def _report(self, place: Place, sentence: str) -> None:
        path = path_text(self._path())
        self._document.problems.append(Problem(self._document.file, *place, path, sentence))

    def _stop(self, place: Place, sentence: str) -> None:
        self._report(place, sentence)
        raise ConfigProblems(self._document.problems)


class _Expansion:
    """Turns nodes into plain values; what aliases stand for counts each time."""

    def __init__(self) -> None:
        self._values = 0

    def mapping(self, members: dict[str, tuple[Place, Node]], depth: int) -> dict[str, Tree]:
        """Expand a mapping with everything below it."""
        return {name: self._value(node, depth + 1) for name, (_, node) in members.items()}

    def _value(self, node: Node, depth: int) -> Tree:
        self._values += 1
        if self._values > MOST_VALUES or depth > DEEPEST:
            raise _TooMuch
        content = node.content
        if isinstance(content, dict):
            return self.mapping(content, depth)
        if isinstance(content, list):
            return [self._value(item, depth + 1) for item in content]
        return content
