"""A use case: a name under `models:` that has more to say of a call than where it goes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from proxy.policy.quality.values import Watch
from proxy.wire.call import MAX_FIELDS

SystemMode = Literal["prepend", "replace", "default"]
Members = tuple[tuple[str, bytes], ...]  # of a request: name and JSON text


class Variable(Struct, frozen=True):
    """What a caller fills a template with. `max_length` in characters; without a `default` a missing one is empty, or
    refused where it is `required`."""

    required: bool = False
    default: str = ""
    max_length: int = 4000


class UseCase(Struct, frozen=True):
    """What an entry says of a call. `system` is a template, "" none; `overrides` are members set whatever the client says.

    `fallback_on`: what makes the next target answer, statuses and words of `policy/retries`; None: what usually does. `at`:
    which model answers first from a part of the tightest budget on, in hundredths of a percent, rising. `watch`: what is looked for
    in its replies. `number` counts the entry's versions from 1, 0 where nobody could look; `digest` is of all it says, `content`, which
    is JSON.
    """

    name: str
    digest: str
    content: bytes
    number: int = 0
    system: str = ""
    system_mode: SystemMode = "prepend"
    variables: dict[str, Variable] = {}
    overrides: Members = ()
    fallback_on: frozenset[str] | None = None
    at: tuple[tuple[int, str], ...] = ()
    watch: Watch | None = None

    @property
    def sets_maximum(self) -> bool:
        """Whether it says how much may be written, whatever the client says."""
        return any(name in MAX_FIELDS for name, _ in self.overrides)

    @property
    def version(self) -> str:
        """How it is named in headers, logs and the ledger."""
        return f"{self.name}@{self.number}+{self.digest}" if self.number else f"{self.name}+{self.digest}"


NO_USE = UseCase("", "", b"")  # of a name that says nothing more than where a call goes
