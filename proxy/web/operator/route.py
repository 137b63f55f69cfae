"""A row of the admin port's table."""

from __future__ import annotations

from msgspec import Struct


class Route(Struct, frozen=True):
    """One row. `order` is done with the path's names, the query and the body as parameters; what `changes`
    something wants the token everywhere. `fails` are the statuses beside 401 and 403 it may answer with. `streams`: the
    answer is told piece by piece, as server-sent events. `tables`: it may be had as comma-separated values."""

    method: str
    path: str
    order: str
    summary: str
    answer: type
    query: tuple[str, ...] = ()
    body: type | None = None
    changes: bool = False
    fails: tuple[int, ...] = ()
    streams: bool = False
    tables: bool = False

    @property
    def members(self) -> set[str]:
        """The names of what the query and the body may hold."""
        body = getattr(self.body, "__struct_fields__", ())
        return {*self.query, *body}

    def match(self, method: str, segments: list[str]) -> dict[str, str] | None:
        """The values of `{names}` in the path, where method and path fit."""
        own = self.path.split("/")[1:]
        if method != self.method or len(own) != len(segments):
            return None
        pairs = list(zip(own, segments, strict=True))
        if any(mine != theirs for mine, theirs in pairs if not mine.startswith("{")):
            return None
        return {mine[1:-1]: theirs for mine, theirs in pairs if mine.startswith("{")}
