"""What can be wrong with the variables of a call."""

from __future__ import annotations

from proxy.errors import CallerError


class UnknownVariable(CallerError):
    """The model's template has none of this name."""

    code = "unknown_variable"


class MissingVariable(CallerError):
    """The model's template wants it."""

    code = "missing_variable"
