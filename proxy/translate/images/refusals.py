"""What may be wrong with a request for pictures, beside what may be with any other."""

from __future__ import annotations

from proxy.errors import CallerError


class InvalidDimensions(CallerError):
    """The model draws no picture of that size, those proportions or that resolution."""

    code = "invalid_dimensions"


class InvalidPrompt(CallerError):
    """The provider will not draw this; `param` is its own word for why."""

    code = "invalid_prompt"


class UnsupportedModel(CallerError):
    """The model draws no pictures, or does nothing else that is asked of it here."""

    code = "unsupported_model"
    kind = "caller_model_not_available"
