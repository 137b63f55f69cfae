"""What may be wrong with a request as HTTP, before anybody reads what it asks."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.errors import CallerError

# not the same number: the parser's error names the limit, and nothing else tells a line from a header
LONGEST_TARGET = 8190
LONGEST_HEADER = 8192
MOST_HEADERS = 128


class BadRequest(CallerError):
    """The head of the request is not HTTP/1.1 as RFC 9112 has it."""

    code = "bad_request"


class UriTooLong(CallerError):
    """The request line is longer than anybody needs (RFC 9110 15.5.15)."""

    status = 414
    code = "uri_too_long"


class HeadersTooLarge(CallerError):
    """One header is too long, or there are too many (RFC 6585 5)."""

    status = 431
    code = "headers_too_large"


class ExpectationFailed(CallerError):
    """`Expect` names something else than 100-continue (RFC 9110 10.1.1)."""

    status = 417
    code = "expectation_failed"


class HostNotAllowed(CallerError):
    """The Host header names somebody else: DNS rebinding, or a missing `hosts:` entry."""

    status = 403
    code = "host_not_allowed"
    kind = "policy_access_denied"


class OriginNotAllowed(CallerError):
    """A web page asks, and its origin is not in `origins:`."""

    status = 403
    code = "origin_not_allowed"
    kind = "policy_access_denied"


class RoleNotSufficient(CallerError):
    """An admin's token or login is right, and its role may not do this."""

    status = 403
    code = "role_not_sufficient"
    kind = "policy_access_denied"


class MethodNotSupported(CallerError):
    """TRACE would hand our credential back to whoever asks; other unknown methods mean nothing here."""

    status = 405
    code = "method_not_supported"

    def __init__(self, message: str, allowed: Iterable[str]) -> None:
        """Say what happened, and which methods are `allowed` there."""
        super().__init__(message)
        self.headers = (("Allow", ", ".join(allowed)),)


class UpgradeRefused(CallerError):
    """A WebSocket upgrade: clients fall back to plain HTTP on 426, which says what is spoken (RFC 9110 15.5.22)."""

    status = 426
    code = "websocket_unsupported"
    headers = (("Connection", "Upgrade"), ("Upgrade", "HTTP/1.1"))


class RequestTimeout(CallerError):
    """The body stopped arriving."""

    status = 408
    code = "request_timeout"


class UnsupportedEncoding(CallerError):
    """A compressed request body: it could not be checked as it will be read."""

    status = 415
    code = "unsupported_encoding"


def fault_of(exc: BaseException | None) -> CallerError:
    """What is wrong with a head, as far as the parser tells; its words quote the head, so that they end here."""
    from aiohttp.http_exceptions import (  # whoever serves has it; commands ask for the classes above
        BadHttpMessage,
        LineTooLong,
    )

    if isinstance(exc, LineTooLong):
        if exc.args[1] == LONGEST_TARGET:
            return UriTooLong(f"The request line may have {LONGEST_TARGET} bytes at most.")
        return HeadersTooLarge(f"A header may have {LONGEST_HEADER} bytes at most.")
    if isinstance(exc, BadHttpMessage) and exc.message.startswith("Too many headers"):
        return HeadersTooLarge(f"A request may have {MOST_HEADERS} headers at most.")
    return BadRequest("The request is not valid HTTP/1.1.")
