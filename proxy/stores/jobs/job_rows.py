"""What is kept of files, jobs and their lines."""

from __future__ import annotations

import json
from typing import Any, Literal

from msgspec import Struct

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
OPEN: tuple[Status, ...] = ("validating", "in_progress", "finalizing", "cancelling")


# what a file is for: a client's batch, what came of one, and the body of a call that is made later, which nobody lists
BATCH, OUTPUT, CALL = "batch", "batch_output", "call"


# keys of a tenant are written `tenant/key`
OF_TENANTS = "AND (? IS NULL OR substr(key, 1, instr(key, '/') - 1) IN (SELECT value FROM json_each(?)))"
Tenants = tuple[str, ...] | None  # names; None: everybody's, of a tenant or not


def listed(tenants: Tenants) -> tuple[str | None, str | None]:
    """The values of `OF_TENANTS`."""
    names = None if tenants is None else json.dumps(tenants)
    return names, names


class KeptFile(Struct, frozen=True):
    """A file of a client's, or made for one. `sealed_key` opens it; times are UTC epoch milliseconds."""

    id: str
    key: str
    filename: str
    purpose: str
    size: int
    created_ms: int
    expires_ms: int | None
    sealed_key: str


class Handed(Struct, frozen=True):
    """A batch that a provider's own batch answers: with whose key, and what it is called there. `creating`: it may be there,
    and its id is not known; `lost`: so it is because nothing came back as it was made; `refused`: it is answered line by line after all. `counts` are (completed, failed) as told there."""

    provider: str
    tenant: str
    state: Literal["uploading", "creating", "lost", "running", "refused"]
    file: str = ""
    batch: str = ""
    counts: tuple[int, int] = (0, 0)


class Job(Struct, frozen=True):
    """A batch, or one call (`total` 1). `times`: when it came to a state, UTC epoch seconds. `errors` as OpenAI has
    them. `head`: what came along with a call beside its body, sealed; "" for a batch. `rank`: of
    its priority. `cost_pusd` and `saved_pusd` are summed up of lines that were handed on."""

    id: str
    key: str
    endpoint: str
    input_file: str
    window_seconds: int
    keep_seconds: int
    metadata: dict[str, Any] | None
    head: str
    status: Status
    created_ms: int
    times: dict[str, int] = {}
    errors: list[dict[str, Any]] = []
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file: str = ""
    error_file: str = ""
    rank: int = 1
    handed: Handed | None = None
    cost_pusd: int = 0
    saved_pusd: int = 0

    @property
    def is_handed(self) -> bool:
        """Whether a provider's own batch answers it."""
        return self.handed is not None and self.handed.state != "refused"

    @property
    def until_ms(self) -> int:
        """When it expires."""
        return self.created_ms + 1000 * self.window_seconds


class Task(Struct, frozen=True):
    """One line that is to be sent, or was: `request_id` is that of the call it became."""

    job: str
    number: int
    custom_id: str
    offset: int
    length: int
    request_id: str = ""
    result: bytes | None = None
