"""What is wrong with a configuration, and where: one line each, all of them at once."""

from __future__ import annotations

import json
from collections.abc import Iterable

from msgspec import Struct

Path = tuple[str | int, ...]


class Problem(Struct, frozen=True):
    """One sentence and its place. `line` and `column` count from 1; 0 where there is no text to point at."""

    file: str
    line: int
    column: int
    path: str
    sentence: str

    def __str__(self) -> str:
        """Render as `file:line:col: path: sentence`, leaving out what is not known."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.sentence) if part)


class ConfigProblems(Exception):
    """A configuration that cannot be used; `problems` are in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Sort by place, and say each thing once."""
        unique = dict.fromkeys(problems)
        self.problems = tuple(sorted(unique, key=lambda problem: (problem.line, problem.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigProblems], tuple[tuple[Problem, ...]]]:
        """Carry the problems from process to process, not the text."""
        return ConfigProblems, (self.problems,)


def path_text(path: Path) -> str:
    """Spell a path as `keys.alice.budgets[0].usd`; a name that would be unreadable bare is quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        bare = step.isprintable() and step and not set(step) & set(" \"'[]")
        text += ("." if text else "") + (step if bare else json.dumps(step, ensure_ascii=not step.isprintable()))
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the nearest of `known`, or nothing."""
    import difflib  # only where something is wrong

    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[near[0]]}?)" if near else ""


def number_of(count: int, one: str) -> str:
    """`1 model`, `2,000 models`."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"
