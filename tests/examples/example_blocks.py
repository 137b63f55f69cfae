"""The fenced blocks of README and docs, and how what they show is held against what is printed now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n", re.MULTILINE)

# what differs from run to run, by the order in which it is looked for
_VOLATILE = [
    (r"uid [0-9]+", "uid N"),
    (r"(?:req|adj)_[0-9a-f]{24}", "ID"),
    (r"gen-\d+-\w{20}|(?:sk-tk-|tk-admin-|token=)[\w-]{43}|\bd[0-9a-f]{12}\b", "ID"),
    (r"\bk20\d{6}\b", "LABEL"),
    (r"\b(?:sha256:)?[0-9a-f]{64}\b", "HASH"),
    (r'"at_ms": ?\d+', '"at_ms":N'),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DATE"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r'"(created|\w+_seconds)": ?[\d.]+', r'"\1":N'),
    (r"\bafter \d+\.\d+ s\b|\b[\d,]+ ms\b[ █]*", "SPAN"),
]


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its fence."""

    page: str
    line: int
    language: str
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.body.splitlines()[0][:40]}"

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Every `$ command` with what stands below it."""
        _, *parts = _COMMAND.split(self.body)
        return list(zip(parts[::2], parts[1::2], strict=True))


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    name = str(page.relative_to(ROOT))
    for found in _FENCE.finditer(text):
        yield Block(name, text.count("\n", 0, found.start()) + 1, found[1], found[2])


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def plain(text: str) -> str:
    """Without what differs from run to run, and without the spaces and lines of tables."""
    for pattern, mark in _VOLATILE:
        text = re.sub(pattern, mark, text)
    return re.sub(r"[\s─]+", "", text)


def shows(expected: str, printed: str) -> bool:
    """Whether a page shows what is printed; `…` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in plain(expected).split("…"))
    return re.fullmatch(pattern, plain(printed), re.DOTALL) is not None
