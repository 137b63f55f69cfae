"""An attempt without an answer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from proxy.dialects import Dialect
from proxy.errors import ProxyError
from proxy.policy.retries.retry import Seen, Trouble
from proxy.policy.values import Provider

if TYPE_CHECKING:
    from proxy.exchange.background import Watcher
    from proxy.exchange.held import Held


class Failure:
    """An attempt without an answer: the error the client would see, and what judging makes of it."""

    findings = None
    complete = False
    came_as_events = None
    generation_id = None
    first_byte_at = None
    pictures = 0

    def __init__(self, error: ProxyError, trouble: Trouble, status: int | None = None) -> None:
        self.error = error
        self.trouble = trouble
        self.judged_status = status
        self.settler: Held | Watcher | None = None
        self.provider: Provider | None = None
        self.label = trouble if trouble == "stale_connection" else error.code if status is None else str(status)
        self.error_code: str | None = error.code

    def seen(self, dialect: Dialect, now: datetime) -> Seen:
        """What judging needs."""
        return Seen(trouble=self.trouble)

    def close(self) -> None:
        """Nothing is open; the hold is resolved."""
        if self.settler is not None and self.provider is not None:
            self.settler.resolve(self, self.provider)
            self.settler.close(self)
