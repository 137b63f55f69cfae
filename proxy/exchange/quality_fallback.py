"""When a call that was answered goes on to another target all the same, and how that is told."""

from __future__ import annotations

import asyncio

from proxy.exchange.client import Client
from proxy.exchange.failure import Failure
from proxy.exchange.io.response import Broken, NotHttp
from proxy.exchange.job import Job
from proxy.exchange.record import Record
from proxy.exchange.reply import Reply
from proxy.policy.names.families import next_family
from proxy.policy.quality.reading import flag_so_far, flag_to_leave, wanted_of
from proxy.policy.quality.values import Watch
from proxy.policy.retries.retry import Again, Attempt

_MOST_HELD_BYTES = 256 * 1024  # of events that say nothing yet


def flagged(outcome: Reply | Failure, job: Job, attempt: Attempt, most_calls: int) -> Again | None:
    """A reply in hand that has a flag is asked for once more, of a model of another family; None where it stands."""
    watch = None if job.plan.use is None else job.plan.use.watch
    if watch is None or not watch.fallback_on or not isinstance(outcome, Reply):
        return None
    if outcome.whole:
        flag = flag_to_leave(outcome.first, watch, wanted_of(job.call))
    elif not watch.hold_tokens or not outcome.is_event_stream:
        return None
    elif outcome.findings.complete:
        flag = flag_to_leave(outcome.first, watch, wanted_of(job.call), is_events=True)
    else:
        flag = flag_so_far(outcome.first, watch)
    onward = next_family([target.model for target in job.plan.targets], attempt.target)
    if flag is None or onward is None or attempt.calls >= most_calls or job.record.fallback in watch.fallback_on:
        return None
    job.record.fallback = flag
    return Again(Attempt(onward, 1, attempt.calls + 1))


async def hold_back(client: Client, outcome: Reply | Failure, job: Job) -> None:
    """Let the first words of a stream wait, where its entry says how many, until it is known whether they go out: for as long as
    a whole stream may take, and with no more beside them. Silence may have begun the reply: comments are none of its words."""
    watch = None if job.plan.use is None else job.plan.use.watch
    if watch is None or not watch.hold_tokens or not watch.fallback_on:
        return
    if not isinstance(outcome, Reply) or not outcome.is_event_stream or outcome.judged_status >= 400:
        return
    reader, timeouts = outcome.reader, outcome.provider.timeouts
    chunk = b"-"
    until = asyncio.get_running_loop().time() + timeouts.whole_call(stream=True)
    try:
        with client.stepper.within(timeouts.idle, until) as timeout:
            while chunk and _holds(outcome, watch):
                chunk = await outcome.read_chunk()
                timeout.heard()
                outcome.first += await outcome.off_loop(reader.held + len(chunk), reader.feed, chunk)
    except (TimeoutError, Broken, NotHttp):
        return  # whoever passes it on meets the same
    except BaseException:
        outcome.close()
        raise


def _holds(outcome: Reply, watch: Watch) -> bool:
    findings = outcome.findings
    is_little = findings.counted_output < watch.hold_tokens and len(outcome.first) < _MOST_HELD_BYTES
    return is_little and not findings.complete


def passed_over(outcome: Reply | Failure) -> bool:
    """Whether nothing was sent: an earlier answer is worth more to the client."""
    return isinstance(outcome, Failure) and outcome.trouble == "unhealthy"


def moved(record: Record, model: str) -> list[str]:
    """Another model than the first, and why, where the entry says when."""
    return [f"model={model}", *([f"fallback={record.fallback}"] if record.fallback else [])]
