"""An attempt without an answer, or not made."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from proxy.dialects import Dialect
from proxy.errors import CredentialUnreadable, NoHealthyUpstream, ProxyError, UpstreamReset
from proxy.exchange.refusals import unlisted
from proxy.policy.retries.retry import Seen, Trouble
from proxy.policy.values import Provider
from proxy.translate.images.refusals import UnsupportedModel
from proxy.wire.call import Call

if TYPE_CHECKING:
    from proxy.exchange.background.responses import Watcher
    from proxy.exchange.held import Held


class Failure:
    """An attempt without an answer: the error the client would see, and what judging makes of it."""

    findings = None
    complete = whole = is_good = False
    came_as_events = None
    first_byte_at = None
    first = b""
    pictures = 0

    def __init__(self, error: ProxyError, trouble: Trouble, status: int | None = None) -> None:
        self.error = error
        self.trouble = trouble
        self.judged_status = status
        self.settler: Held | Watcher | None = None
        self.provider: Provider | None = None
        self.broken_by: ProxyError | None = None

    def generation_id(self) -> None:
        """Nobody told one."""

    def verdict(self) -> tuple[str, str | None]:
        """As a reply has it."""
        code, status = self.error.code, self.judged_status
        return self.trouble if self.trouble == "stale_connection" else code if status is None else str(status), code

    def seen(self, dialect: Dialect, now: datetime) -> Seen:
        """What judging needs."""
        return Seen(trouble=self.trouble)

    def close(self) -> None:
        """Nothing is open; the hold is resolved."""
        if self.settler is not None and self.provider is not None:
            self.settler.resolve(self, self.provider)
            self.settler.close(self)


def unhealthy(provider: Provider, seconds: float, near: list[str] | None, *, is_whole: bool) -> Failure:
    """The outcome of an attempt not made: a breaker is open, the target's or that of the whole provider.

    `near`: names like the target's, where no list has that: with the whole provider closed it is taken for a mistyped one.
    """
    if is_whole and near is not None:
        return Failure(unlisted(near, provider.name), "unhealthy")
    what = provider.name if is_whole else f"This model at {provider.name}"
    message = f"{what} has failed several times in a row; the next try is due in {seconds:.0f} s."
    return Failure(NoHealthyUpstream(message, retry_after=seconds), "unhealthy")


def shut(provider: Provider) -> Failure:
    """The outcome of an attempt not made: the provider is switched off, or its stored key cannot be opened."""
    if provider.is_unreadable:
        whose = f" of the tenant {provider.tenant}" if provider.tenant else ""
        message = f"The key stored for {provider.name}{whose} cannot be opened: {provider.shut}."
        return Failure(CredentialUnreadable(message), "unhealthy")
    return Failure(NoHealthyUpstream(f"{provider.shut}."), "unhealthy")


def not_private(provider: Provider, call: Call) -> Failure:
    """The outcome of an attempt not made: the key wants nothing to be kept, and this provider cannot promise that."""
    message = (
        f"This key's calls go only where nothing is kept of them (`privacy: {{zdr: true}}`), and {provider.name} cannot "
        f"promise that for {call.endpoint.name}. OpenRouter's models of chat and embeddings can, and a provider with `zdr: true`."
    )
    return Failure(UnsupportedModel(message, param="model"), "unhealthy")


def abandoned(provider: Provider) -> Failure:
    """The outcome of an attempt we gave up ourselves: the client left, or the daemon stops."""
    return Failure(UpstreamReset(f"The call to {provider.name} was given up."), "no_answer")
