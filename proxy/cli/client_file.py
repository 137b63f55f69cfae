"""A client's own file: where the client looks for it, and how settings get there without anything of the user's lost."""

from __future__ import annotations

import difflib
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from proxy.cli.merging import merged
from proxy.cli.snippets import Part

_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def place_of(part: Part, env: Mapping[str, str]) -> Path:
    """Where the client looks for its file; links are followed, for they are to stay."""
    place = _VARIABLE.sub(lambda found: env.get(found[1]) or found[2], part.place or part.file or "")
    if place.startswith("~apps/"):
        place = click.get_app_dir(place.removeprefix("~apps/").partition("/")[0]) + place[place.index("/", 6) :]
    try:
        return Path(place).expanduser().resolve()
    except RuntimeError as error:
        raise click.ClickException(f"{place} has no place: {error}") from None


def write(part: Part, agreed: bool) -> str:
    """Put a part where its client looks for it, and return what became of it as a sentence.

    Whatever is there already is kept, where its language allows, changed only if `agreed` or the user says so, and saved
    beside it. Ends the command where nothing was written.
    """
    path = place_of(part, os.environ)
    try:
        old = path.read_bytes()
    except FileNotFoundError:
        old = None
    except OSError as error:
        raise _unwritten(path, error) from None
    new, is_kept = _wanted(part, old or b"")
    if new.encode() == old:
        return f"{path} says so already."
    if old and not agreed:
        _ask(path, old, new, is_kept)
    try:
        if old is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            _create(path, new.encode())
            return f"Wrote {path}."
        return _replace(path, old, new.encode())
    except OSError as error:
        raise _unwritten(path, error) from None


def _wanted(part: Part, old: bytes) -> tuple[str, bool]:
    """What the file is to say, and whether it says all that it said before."""
    if not old.strip():
        return part.text, True
    try:
        text = merged(part.language, old.decode(), part.text)
    except UnicodeDecodeError:
        text = None
    return (part.text, False) if text is None else (text, True)


def _ask(path: Path, old: bytes, new: str, is_kept: bool) -> None:
    """Show what would change, and have it agreed to."""
    what = "change it" if is_kept else "replace all of it, for what it says cannot be joined with this for certain"
    if not sys.stdin.isatty():
        raise click.ClickException(f"{path} exists; to {what}, add --yes (what it says now is saved beside it)")
    for line in _changes(old.decode(errors="replace"), new):
        click.echo(line, err=True)
    click.echo(f"{path} exists. {what[0].upper()}{what[1:]}? It is saved beside it first. [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise click.ClickException("nothing was written")


def _changes(old: str, new: str) -> Iterator[str]:
    """The lines that go and those that come, without their surroundings."""
    for line in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0):
        if not line.startswith(("---", "+++", "@@")):
            yield line


def _replace(path: Path, old: bytes, new: bytes) -> str:
    """By way of a new file, so that the old one is never half gone."""
    if not os.access(path, os.W_OK):
        raise PermissionError(0, "it may only be read")
    mode = path.stat().st_mode & 0o777
    saved = _save(path, old, mode)
    written = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _create(written, new, mode)
    try:
        if path.read_bytes() != old:
            raise click.ClickException(f"{path} was changed by somebody else meanwhile, and stays as it is")
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
    return f"Wrote {path}; what it said before is in {saved.name} beside it."


def _save(path: Path, old: bytes, mode: int) -> Path:
    """A copy under a name that is free."""
    saved, copies = path.with_name(f"{path.name}.before-tollkeeper"), 1
    while os.path.lexists(saved):
        copies += 1
        saved = path.with_name(f"{path.name}.before-tollkeeper-{copies}")
    _create(saved, old, mode)
    return saved


def _create(path: Path, content: bytes, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _unwritten(path: Path, error: OSError) -> click.ClickException:
    return click.ClickException(f"{path} cannot be written: {error.strerror}; nothing was changed")
