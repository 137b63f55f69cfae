"""What is a Struct for what it holds, and written to again and again."""

from __future__ import annotations

from typing import TypeVar

_Kind = TypeVar("_Kind")


def often_set(kind: type[_Kind]) -> type[_Kind]:
    """A class of Structs whose fields are set as those of any class with `__slots__`: in one step of the interpreter, a fifth of
    what msgspec's own setter takes. That also shows the garbage collector what held nothing of interest to it before; so this
    is for what is in no ring, or holds such a thing from the start."""
    type.__setattr__(kind, "__setattr__", object.__setattr__)
    type.__setattr__(kind, "__delattr__", object.__delattr__)  # the two are one to the interpreter
    return kind
