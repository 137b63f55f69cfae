"""Who gives the order that is being carried out, and what is written down of it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from proxy.policy.operators import Role
from proxy.stores.audit import Deed, append

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CREDENTIALS = struct.Struct("3i")  # struct ucred of Linux: pid, uid, gid
_LONGEST_REASON = 500


class Actor(Struct, frozen=True):
    """Who gives an order: a token's name or a user's, the way it came, and why, as far as they said; what they may.
    `tenant` None: everybody's rows."""

    name: str = "the daemon"
    source: str = ""
    reason: str = ""
    role: Role = "owner"
    tenant: str | None = None

    def deed(self, action: str, target: str, before: Any = None, after: Any = None, reason: str = "") -> Deed:
        """What they do now."""
        at_ms, why = int(time.time() * 1000), (reason or self.reason)[:_LONGEST_REASON]
        return Deed(at_ms, self.name, self.source, action, target, before, after, why, self.tenant or "")


_OURSELVES = Actor()
ACTOR: ContextVar[Actor] = ContextVar("actor", default=_OURSELVES)

Work = Callable[["Connection"], Any]


def of_socket(peer: socket.socket | None) -> str:
    """The user at the other end of a Unix socket; without a number where the system does not tell."""
    uid = uid_of(peer)
    return "a command" if uid is None else f"uid {uid}"


def uid_of(peer: socket.socket | None) -> int | None:
    """Their number; None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if peer is None or option is None:
        return None
    _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return int(uid)


def written(work: Work, action: str, target: str, state: Callable[[Connection], Any] | None = None) -> Work:
    """The same work, and in its transaction a row of what was done; none where the work answers False.

    `state` is what the target is like, before and after; where it says of which tenant it is, so does the row.
    """
    actor = ACTOR.get()

    def job(connection: Connection) -> Any:
        before = None if state is None else state(connection)
        result = work(connection)
        if result is not False:
            after = None if state is None else state(connection)
            deed = actor.deed(action, target, before, after)
            append(connection, [replace(deed, tenant=deed.tenant or _tenant(before) or _tenant(after))])
        return result

    return job


def _tenant(state: Any) -> str:
    return str(state.get("tenant") or "") if isinstance(state, dict) else ""
