"""What a running mock remembers."""

from __future__ import annotations

import hashlib
import hmac
import random
import string
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from proxy.errors import InvalidValue
from proxy.mock.answer import Answer, Cost, Turn
from proxy.mock.asked import Asked
from proxy.mock.background import Background
from proxy.mock.behaviours import Behaviour, goes_wrong, parse_behaviour, without_fault
from proxy.mock.bill import Bill
from proxy.mock.files import Files
from proxy.secret import Secret

if TYPE_CHECKING:
    from proxy.mock.batches import MockBatch
    from proxy.mock.message_batches import MockMessageBatch

_ALPHABET = string.ascii_letters + string.digits
_MOST_NAMES = 10_000


class Rules(Struct, frozen=True):
    """How a mock receives callers.

    `key` is what they must present (None: any key will do). `strict`: what the real provider would refuse is refused;
    with `needs_key` that is also a call of a real model without any key. `lookup_misses` is how often `/generation`
    answers 404 after a call has ended. `models` more are listed.
    """

    key: Secret | None = None
    strict: bool = True
    needs_key: bool = True
    lookup_misses: int = 1
    models: int = 0


class State:
    """The bill, the files, and how often each model name was called."""

    def __init__(self, rules: Rules) -> None:
        """Start with an empty bill."""
        key, misses = rules.key, rules.lookup_misses
        self.key_digest = hashlib.sha256(key.reveal().encode()).digest() if key else None
        self.is_strict = rules.strict
        self.needs_key = rules.needs_key
        self.misses = misses
        self.models = rules.models
        self.bill = Bill()
        self.files = Files()
        self.batches: dict[str, MockBatch] = {}
        self.message_batches: dict[str, MockMessageBatch] = {}
        self.background = Background()
        self._calls: dict[str, int] = {}
        self._orders: dict[str, str] = {}

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether the request carries the key, if one is wanted."""
        if self.key_digest is None:
            return True
        bearer = headers.get("Authorization", "")
        offered = bearer[7:] if bearer[:7].lower() == "bearer " else headers.get("x-api-key", "")
        digest = hashlib.sha256(offered.strip().encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self.key_digest)

    def behaviour(self, model: str) -> Behaviour:
        """What the name asks for, or what it was ordered to do; its calls are counted where not all of them go wrong."""
        behaviour = parse_behaviour(self._orders.get(model.removeprefix("mock/"), model))
        if behaviour.times is None and behaviour.every is None:
            return behaviour
        if model not in self._calls and len(self._calls) >= _MOST_NAMES:
            self._calls.clear()
        self._calls[model] = self._calls.get(model, 0) + 1
        return behaviour if goes_wrong(behaviour, self._calls[model]) else without_fault(behaviour)

    def order(self, model: str, behaviour: str | None) -> None:
        """From now on a model does what this name asks for, its calls counted afresh; None: what its own does. Raises
        `InvalidValue`."""
        plain = model.removeprefix("mock/")
        self._orders.pop(plain, None)
        if behaviour is not None:
            parse_behaviour(behaviour)
            if len(self._orders) >= _MOST_NAMES:
                raise InvalidValue(f"No more than {_MOST_NAMES} models of the mock can be told what to do.")
            self._orders[plain] = behaviour
        for name in (plain, f"mock/{plain}"):
            self._calls.pop(name, None)

    def suffix(self) -> str:
        """Twenty letters and digits nobody had before."""
        return "".join(random.choices(_ALPHABET, k=20))

    def now(self) -> int:
        """Unix seconds."""
        return int(time.time())

    def forget(self) -> None:
        """Start over: an empty bill, no calls counted. Files stay."""
        self.bill.clear()
        self._calls.clear()

    def unanswered(self, asked: Asked, behaviour: Behaviour, served: str) -> Turn:
        """A turn whose answer is still to be composed."""
        nothing = Cost(Decimal(0), Decimal(0), Decimal(0))
        answer = Answer((), "stop", nothing, asked.input_tokens, 0)
        return Turn(asked, behaviour, answer, served, self.suffix(), self.now())
