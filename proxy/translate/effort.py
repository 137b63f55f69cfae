"""How hard a model thinks, in the three ways it is asked to: one table; and what else Claude's versions differ in."""

from __future__ import annotations

import re

# parts of the largest output that an effort may think for (OpenRouter's table, wire.md 1.4)
SHARES: dict[str, float] = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
LEAST_BUDGET = 1024
_ASSUMED_MAXIMUM = 32_768
_CLAUDE = re.compile(r"claude-(?:(?:opus|sonnet|haiku|[a-z]+)-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
# what Anthropic's `output_config` and chat's `reasoning_effort` take of them
_EFFORTS_OF_MESSAGES = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_KNOWS_XHIGH = _DRAWS_ITSELF = (4, 7)
_ONE_SAMPLER = _TAKES_SCHEMAS = (4, 1)


def budget_for(effort: str, maximum: int | None) -> int | None:
    """Tokens to think for; None where that effort is none, or the reply too short to think in."""
    if effort not in SHARES:
        return None
    most = maximum or _ASSUMED_MAXIMUM
    budget = max(LEAST_BUDGET, int(most * SHARES[effort]))
    return budget if budget < most else None


def effort_for(budget: int, maximum: int | None) -> str:
    """The effort whose share of the largest output is nearest to this budget."""
    share = budget / max(1, maximum or _ASSUMED_MAXIMUM)
    return min(("minimal", "low", "medium", "high", "xhigh"), key=lambda name: abs(SHARES[name] - share))


def messages_effort(effort: str, model: str) -> str | None:
    """Anthropic's word for an effort."""
    knows = effort == "xhigh" and (version := _version(model)) is not None and version >= _KNOWS_XHIGH
    return effort if knows else _EFFORTS_OF_MESSAGES.get(effort)


def is_claude(model: str) -> bool:
    """Whether it is one of Anthropic's own."""
    return _version(model) is not None


def draws_itself(model: str) -> bool:
    """Whether a model refuses to be told how words are drawn: Claude from 4.7 on."""
    return (version := _version(model)) is not None and version >= _DRAWS_ITSELF


def takes_one_sampler(model: str) -> bool:
    """Whether a model refuses temperature and top_p together: Claude from 4.1 on."""
    return (version := _version(model)) is not None and version >= _ONE_SAMPLER


def takes_schemas(model: str) -> bool:
    """Whether a model can be held to the schema of its reply: Claude from 4.1 on, and whoever else."""
    return (version := _version(model)) is None or version >= _TAKES_SCHEMAS


def is_adaptive(model: str) -> bool:
    """Whether a model decides itself how long it thinks, and takes an effort instead of a budget: Claude from 4.6 on."""
    return (version := _version(model)) is not None and version >= (4, 6)


def thinks(model: str) -> bool:
    """Whether a model that speaks messages can think at all: Claude from 3.7 on, and whoever else."""
    return (version := _version(model)) is None or version >= (3, 7)


def _version(model: str) -> tuple[int, int] | None:
    found = _CLAUDE.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None
