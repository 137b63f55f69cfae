"""Calls that differ from one before in nothing but their messages: what that one needed is not worked out again."""

from __future__ import annotations

from msgspec.structs import replace

from proxy.exchange.job import Job
from proxy.exchange.prepared import Prepared
from proxy.exchange.record import Record
from proxy.policy.money.weight import likely_tokens, weigh
from proxy.web.client.heads import Heads, Sender
from proxy.wire.call import SMALL, known_object, like


def like_before(sender: Sender, body: object, record: Record) -> Job | None:
    """What is asked of a provider by a call like one before; None where there was none."""
    head = sender.head
    found, document = sender.latest, None
    if found is None or type(body) is not bytes or len(body) > SMALL:
        return None
    if body.startswith(found.template.before):
        document = found.template.fill(body)
    if document is None:
        document = known_object(head.endpoint, body)
        if document is None or document.template is None:
            return None
        found = sender.by_template.get(document.template.number)
        if found is None:
            return None
        sender.latest = found
    call, plan = like(found.call, document), found.plan
    record.model, record.stream, record.marks, record.label = call.model, call.stream, found.marks, plan.label
    weight, until = weigh(call, plan.defaults), record.started + head.read_timeout_seconds
    job = Job(
        call, weight, sender.caller, plan, head.incoming, record, until, found.scopes, likely_tokens(weight),
    )  # fmt: skip
    job.rank, job.prepared = head.rank, found
    return job


def prepared_for(heads: Heads, sender: Sender, job: Job) -> Prepared | None:
    """What the next call like this one need not work out again; None where each is to be looked at for itself."""
    call, plan, document = job.call, job.plan, job.call.document
    if document is None or document.template is None or not call.endpoint.counts:
        return None
    if (
        plan.pool is not None
        or plan.experiment
        or sender.caller.max_output is not None
        or sender.head.model is not None
    ):
        return None
    found = Prepared(document.template, replace(call, body=b"", document=None), plan, job.record.marks, job.scopes)
    heads.keep(sender, found)
    return found
