"""Which of the tools that a call defined its reply called, as the ledger counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.exchange.io.off_loop import LARGE
from proxy.wire.called import called_in
from proxy.wire.json_object import Text
from proxy.wire.toolset import OTHER, toolset_of

if TYPE_CHECKING:
    from proxy.exchange.failure import Failure
    from proxy.exchange.reply import Reply

ToolUse = tuple[str, tuple[str, ...]]  # what the tools are, as `Toolset` has them, and the names of those called

NOT_COUNTED: ToolUse = ("", ())


def tool_use(member: Text, outcome: Reply | Failure) -> ToolUse:
    """What is to be counted of an attempt that ends; `member` is `tools` of its request. Nothing where its reply failed,
    broke off, could not be read, or called what is not known."""
    if outcome.findings is None or (outcome.judged_status or 0) >= 400 or not outcome.complete:
        return NOT_COUNTED
    if outcome.came_as_events:
        called: set[str] | None = outcome.findings.called
    else:
        called = called_in(outcome.first) if outcome.whole and len(outcome.first) <= LARGE else None
    if called is None:
        return NOT_COUNTED
    tools = toolset_of(member)
    if called <= tools.names:
        return tools.offered, tuple(sorted(called))
    return (tools.offered, tuple(sorted((called & tools.names) | {OTHER}))) if OTHER in tools.names else NOT_COUNTED
