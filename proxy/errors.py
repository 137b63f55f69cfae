"""Every way a call may fail, as a tree: one class a code, one sentence a stranger can act on.

ProxyError
├── CallerError      the request itself: 4xx, never worth repeating as it is (as HTTP: web/faults.py)
├── PolicyError      what this key may do: limits, budgets (of sessions: exchange/session_errors.py)
├── ProviderError    the upstream: refused, silent, garbled
└── LocalError       ourselves: shutting down, no place to write

The wire form is rendered in one place, `web/errors.py`. A message never holds a
secret, a header value or bytes of the request body.
"""

from __future__ import annotations


class ProxyError(Exception):
    """A failure with a wire form.

    `status` is the HTTP status, `code` the stable machine name, `error_type` OpenAI's
    `error.type`, `kind` the closed metrics vocabulary (whose fault it was). `headers` are those that HTTP wants beside the status.
    """

    status = 500
    code = "internal_error"
    error_type = "server_error"
    kind = "internal"
    should_retry: bool | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        """Say what happened; `retry_after` in seconds becomes both retry headers."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class InternalError(ProxyError):
    """A bug of ours; the log has the traceback, the client a request id."""


class CallerError(ProxyError):
    """The request cannot be served as it is."""

    status = 400
    code = "invalid_value"
    error_type = "invalid_request_error"
    kind = "caller_invalid_request"
    should_retry = False


class InvalidJson(CallerError):
    """The body is not JSON."""

    code = "invalid_json"


class InvalidValue(CallerError):
    """A field we have to read has a value we cannot read."""


class DuplicateKey(CallerError):
    """A top-level member stands twice; parsers disagree on which one counts."""

    code = "duplicate_key"


class JsonTooDeep(CallerError):
    """The body nests deeper than the limit."""

    code = "json_too_deep"


class RequestTooLarge(CallerError):
    """The body is over `max_body`, larger than any may be beside others, or has more parts than can be read in no time."""

    status = 413
    code = "request_too_large"


class InvalidApiKey(CallerError):
    """Unknown, wrong, disabled and expired keys alike."""

    status = 401
    code = "invalid_api_key"
    headers = (("WWW-Authenticate", "Bearer"),)
    kind = "policy_access_denied"


class ModelNotFound(CallerError):
    """Unknown and not allowed alike, so that nothing can be probed."""

    status = 404
    code = "model_not_found"
    kind = "caller_model_unknown"


class UnknownEndpoint(CallerError):
    """A path that is no API's: what scrapers and browsers ask for, or one the admin port does not have."""

    status = 404
    code = "unknown_endpoint"


class EndpointNotServed(CallerError):
    """Work whose model nobody can tell, for a key that may use named ones only; or that no provider of the model does."""

    status = 404
    code = "endpoint_not_served"
    kind = "policy_model_blocked"


class TranslationLossy(CallerError):
    """The provider does not speak the client's protocol, and in those it does the request cannot be said."""

    code = "translation_lossy"


class NothingThere(CallerError):
    """The admin port was asked about something that does not exist."""

    status = 404
    code = "not_found"


class DefinedInFile(CallerError):
    """What is to be changed stands in the configuration file, which wins."""

    status = 409
    code = "defined_in_file"


class VersionChanged(CallerError):
    """Somebody else has changed it since it was read."""

    status = 412
    code = "version_changed"


class ConfigRefused(CallerError):
    """A configuration that cannot be taken on; the one in force stays."""

    status = 409
    code = "config_refused"


class PolicyError(ProxyError):
    """What this key may do and spend does not allow the call."""

    status = 402
    code = "budget_exceeded"
    error_type = "insufficient_quota"
    kind = "policy_budget_exceeded"
    should_retry: bool | None = False


class BudgetExceeded(PolicyError):
    """Spending alone leaves too little; only the next period or a higher cap helps."""


class ModelNotPriced(PolicyError):
    """A key under a budget asks for something whose cost cannot be bounded."""

    code = "model_not_priced"
    kind = "policy_model_blocked"


class BudgetInFlight(PolicyError):
    """Holds of calls under way fill the cap, spending does not: worth trying again soon."""

    status = 429
    code = "budget_in_flight"
    should_retry = None


class RateLimitExceeded(PolicyError):
    """Too many requests or tokens in the window."""

    status = 429
    code = "rate_limit_exceeded"
    error_type = "requests"
    kind = "policy_rate_limited"
    should_retry = None


class TooManyConcurrent(PolicyError):
    """Too many calls at once."""

    status = 429
    code = "too_many_concurrent"
    error_type = "requests"
    kind = "policy_rate_limited"
    should_retry = None


class ProviderError(ProxyError):
    """The upstream could not be reached, or what it said could not be used."""

    status = 502
    code = "upstream_bad_response"
    error_type = "upstream_error"
    kind = "provider_server_error"
    should_retry: bool | None = False


class UpstreamUnreachable(ProviderError):
    """No connection: refused, no route, DNS, TLS."""

    code = "upstream_unreachable"
    kind = "provider_connection_failed"


class UpstreamReset(ProviderError):
    """The connection broke while the answer was due or under way."""

    code = "upstream_reset"
    kind = "provider_connection_failed"


class UpstreamBadResponse(ProviderError):
    """Not HTTP, or framed so that it cannot be passed on."""


class UpstreamAuthError(ProviderError):
    """The provider refused *our* key; the client cannot mend that."""

    code = "upstream_auth_error"
    kind = "provider_auth_failed"


class UpstreamError(ProviderError):
    """The upstream's own error, told inside a stream that had begun already."""

    code = "upstream_error"


class UpstreamTimeout(ProviderError):
    """The upstream was silent for longer than its timeout allows."""

    status = 504
    code = "upstream_timeout"
    kind = "provider_timeout"


class NoHealthyUpstream(ProviderError):
    """Every provider this call could go to has its breaker open."""

    status = 503
    code = "no_healthy_upstream"
    kind = "provider_overloaded"
    should_retry = None


class CredentialUnreadable(ProviderError):
    """The stored key of the provider cannot be opened with the master keys there are."""

    status = 503
    code = "credential_unreadable"
    kind = "internal"


class CallEnded(ProxyError):
    """An operator ended the call."""

    status = 503
    code = "call_ended"
    kind = "dropped"
    should_retry = False


class LocalError(ProxyError):
    """We cannot take the call now."""

    status = 503
    code = "unavailable"


class LedgerUnusable(LocalError):
    """The admin port was asked for something that only the ledger knows or keeps."""

    code = "ledger_unusable"


class Overloaded(LocalError):
    """There is as much at once as the machine bears; who holds most is refused first."""

    code = "overloaded"
    kind = "policy_rate_limited"


class ShuttingDown(LocalError):
    """SIGTERM came; the next instance takes the call."""

    code = "shutting_down"
