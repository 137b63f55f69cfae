"""What calls are served with, and where they come in."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct, field

from proxy.exchange.client import Client
from proxy.exchange.client_connection import ClientConnection
from proxy.exchange.client_left import Drainer
from proxy.exchange.io.stepper import Stepper
from proxy.exchange.listening import ReplyObserver
from proxy.exchange.record import Record
from proxy.exchange.routing.router import Router
from proxy.exchange.routing.trials import Trials
from proxy.exchange.serve import Exchange
from proxy.policy.features import ALL_ON, Features
from proxy.policy.names.resolution import Names
from proxy.policy.quality.values import Watch
from proxy.policy.values import Caller, Plan
from proxy.web.client.gate import Gate
from proxy.web.client.heads import Asked, Head
from proxy.web.client.keys import Keyring
from proxy.web.client.models import ModelList
from proxy.web.client.senders import Heads
from proxy.web.guard import Guard
from proxy.web.lane import LARGEST_BODY
from proxy.wire.call import Call


class Closing(Struct):
    """The daemon is ending, and what became of its calls since then.

    `serves`: calls on connections that are open already are still taken, as the next instance takes the new ones.
    """

    serves: bool
    finished: int = 0
    cut: int = 0
    refused: int = 0


class Entrance(ClientConnection, Protocol):
    """Where a request came in, and its reply goes out. `client` is set while its call runs: `left` is due if it goes.
    `stepper` runs one call after the other, None before the first."""

    client: Client | None
    stepper: Stepper | None

    def answered(self) -> None:
        """It is over."""


class Own(Protocol):
    """Whoever answers requests that are no calls to a provider."""

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Answer; False where the request is for a provider after all."""


class Elsewhere(Protocol):
    """Whoever answers calls that are to be answered once, or later, or with others that are alike."""

    async def apart(self, asked: Asked, client: Client, call: Call) -> bool:
        """Answer; False where the call is to go its way now."""

    async def shared(self, asked: Asked, client: Client, call: Call, plan: Plan) -> bool:
        """Answer with what another call got; False where this one is to go its way."""


class ReplyObservers(Protocol):
    """Who listens to more than one reply."""

    def observer_for(self, record: Record, call: Call, watch: Watch, caller: Caller) -> ReplyObserver:
        """The one for this call."""


class Copies(Protocol):
    """Who makes copies of calls for shadow arms."""

    def copy(self, scope: str, head: Head, caller: Caller, call: Call) -> None:
        """Make one, soon."""


class Parts(Struct):
    """What calls are served with. Whoever changes what heads are judged by begins new `heads`. A body of `quick_bytes` at most
    may be sent with any head that is known."""

    exchange: Exchange
    drainer: Drainer
    guard: Guard
    keys: Keyring
    names: Names
    models: ModelList
    default_provider: str
    max_body: int
    gate: Gate
    router: Router
    closing: Closing | None = None
    own: dict[str, Own] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None
    observers: ReplyObservers | None = None
    copies: Copies | None = None
    heads: Heads = field(default_factory=Heads)
    trials: Trials = field(default_factory=Trials)
    features: Features = ALL_ON
    quick_bytes: int = -1

    def __post_init__(self) -> None:
        self.take_up_to(self.max_body)

    def take_up_to(self, max_body: int) -> None:
        """No larger bodies, from now on."""
        self.max_body = max_body
        self.quick_bytes = min(max_body, LARGEST_BODY) if self.closing is None else -1

    def close(self, closing: Closing) -> None:
        """No head is known any more: whether its call is still taken needs another look."""
        self.closing, self.quick_bytes = closing, -1
