"""Why a session of an agent does not go on; each says how it would."""

from __future__ import annotations

from proxy.errors import PolicyError


class SessionBudgetExceeded(PolicyError):
    """Spending leaves too little of the budget that a session of an agent has of its own; an operator can raise it."""

    code = "session_budget_exceeded"


class LoopDetected(PolicyError):
    """An agent does the same again and again, or spends fast, and no human has said a word."""

    code = "loop_detected"
