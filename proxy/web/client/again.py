"""Calls that differ from one before in nothing but their messages: what that one needed is not worked out again."""

from __future__ import annotations

from msgspec.structs import replace

from proxy.exchange.job import Job
from proxy.exchange.prepared import Prepared
from proxy.exchange.record import Record
from proxy.policy.money.weight import weigh, weigh_texts
from proxy.web.client.heads import Heads, Sender
from proxy.wire.call import SMALL, known_template


def like_before(sender: Sender, body: object, record: Record) -> Job | None:
    """What is asked of a provider by a call like one before; None where there was none."""
    found = sender.latest
    if found is None or type(body) is not bytes or len(body) > SMALL:
        return None
    template, asks = found.template, found.asks
    if (
        asks is None
        or not body.startswith(template.begins)
        or not body.endswith(template.ends)
        or (weight := weigh_texts(record.endpoint, body, body[template.messages], asks)) is None
    ):
        found = _prepared_before(sender, body, found)
        if found is None:
            return None
        weight = weigh(replace(found.call, body=body), found.plan.defaults)
    call, plan, head = replace(found.call, body=body), found.plan, sender.head
    until = record.started + head.read_timeout_seconds
    record.model, record.stream = call.model, call.stream
    record.marks, record.label = found.marks, plan.label
    return Job(call, weight, sender.caller, plan, head.incoming, record, until, found.scopes, head.rank, found)


def _prepared_before(sender: Sender, body: bytes, latest: Prepared) -> Prepared | None:
    """What was worked out for bodies like this one, mostly the latest."""
    if latest.template.fits(body):
        return latest
    template = known_template(sender.head.endpoint, body)
    found = None if template is None else sender.by_template.get(template.number)
    if found is not None:
        sender.latest = found
    return found


def prepared_for(heads: Heads, sender: Sender, job: Job) -> Prepared | None:
    """What the next call like this one need not work out again; None where each is to be looked at for itself."""
    call, plan, template = job.call, job.plan, job.call.template
    if template is None or not call.endpoint.counts:
        return None
    if (
        plan.pool is not None
        or plan.experiment
        or sender.caller.max_output is not None
        or sender.head.model is not None
    ):
        return None
    asks = None if plan.defaults else template.weighed or None
    found = Prepared(template, replace(call, body=b"", parsed=None), plan, job.record.marks, job.scopes, asks)
    heads.keep(sender, found)
    return found
