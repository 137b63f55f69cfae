"""What may stand in a label: names somebody configured, words of ours, `_other` for the rest."""

from __future__ import annotations

from collections.abc import Callable, Container

from msgspec import Struct

from proxy.observe.metric_table import PHASES, SOURCES
from proxy.wire.endpoints import NAMES

OTHER = "_other"
OTHER_ERROR = "_OTHER"

ERROR_TYPES = frozenset(
    {
        "caller_invalid_request",
        "caller_model_unknown",
        "caller_model_not_available",
        "caller_cancelled",
        "policy_access_denied",
        "policy_model_blocked",
        "policy_budget_exceeded",
        "policy_rate_limited",
        "provider_auth_failed",
        "provider_billing",
        "provider_rate_limited",
        "provider_overloaded",
        "provider_server_error",
        "provider_timeout",
        "provider_connection_failed",
        "internal",
        "dropped",
    }
)

_CODES = {status: str(status) for status in range(100, 600)}
_WORDS_OF_CODES = frozenset(_CODES.values())
_PHASES = frozenset(PHASES)
_SOURCES = frozenset(SOURCES)


class Known(Struct, frozen=True):
    """Which names are ours, asked at every call: a reload may change them.

    `is_model`: an alias, or a model of the configuration or the catalogue. `is_key`: the name of a
    client key, the one of open mode included. `tenants`: the names of all there are.
    """

    is_model: Callable[[str], bool]
    is_key: Callable[[str], bool]
    tenants: Callable[[], Container[str]] = tuple


class Labels:
    """Turns what a call brought into label values. Empty stands for "there was none"."""

    def __init__(self, known: Known) -> None:
        self._is_model = known.is_model
        self._is_key = known.is_key
        self._tenants = known.tenants

    def model(self, name: str | None) -> str:
        """The configured target's name."""
        if not name:
            return ""
        return name if self._is_model(name) else OTHER

    def key(self, name: str | None) -> str:
        """The client key's name."""
        if not name:
            return ""
        return name if self._is_key(name) else OTHER

    def tenant(self, name: str | None) -> str:
        """The name of a key's tenant."""
        if not name:
            return ""
        return name if name in self._tenants() else OTHER


def endpoint_label(name: str) -> str:
    """The name of a row of the table of endpoints, which is also the row's path."""
    return name if name in NAMES else OTHER


def code_label(status: int) -> str:
    """An HTTP status as text."""
    return _CODES.get(status, OTHER)


def error_label(error_type: str | None) -> str:
    """A word of the closed vocabulary."""
    if error_type is None:
        return ""
    return error_type if error_type in ERROR_TYPES else OTHER_ERROR


def outcome_label(outcome: str) -> str:
    """A word of ours, or a status (which an upstream chose)."""
    return outcome if not outcome.isdecimal() or outcome in _WORDS_OF_CODES else OTHER


def phase_label(phase: str) -> str:
    """How far a call had got."""
    return phase if phase in _PHASES else OTHER


def source_label(source: str) -> str:
    """Where a cost comes from."""
    return source if source in _SOURCES else OTHER
