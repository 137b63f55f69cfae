"""Calls that are like none before: what is asked of a provider is worked out, and kept for those like it."""

from __future__ import annotations

import time

from aiohttp.web_request import BaseRequest
from msgspec.structs import replace

from proxy.errors import UnknownEndpoint
from proxy.exchange.client import Client
from proxy.exchange.io.off_loop import LARGE
from proxy.exchange.job import NO_WEIGHT, Job
from proxy.exchange.prepared import Prepared
from proxy.exchange.record import Record
from proxy.policy.money.weight import to_weigh, weigh
from proxy.policy.names.access import check_asked, check_endpoint
from proxy.policy.tenants import most_output, scopes_of
from proxy.policy.values import Plan
from proxy.web.body import read_body
from proxy.web.client.gate import Room
from proxy.web.client.heads import Asked
from proxy.web.client.parts import Parts
from proxy.web.client.planning import dressed, listed_models, listen, plan_for, staged
from proxy.web.client.senders import Heads, Sender
from proxy.web.upload import Upload
from proxy.wire.call import Call, read_call
from proxy.wire.endpoints import OWN, path_of
from proxy.wire.marks import marks_of
from proxy.wire.ours import NOTHING_OURS

Body = bytes | BaseRequest | Upload


async def worked_out(parts: Parts, sender: Sender, unread: Body, client: Client, record: Record) -> Job | None:
    """What is asked of a provider, by a call that is like none before; None where we had the answer ourselves."""
    head, caller = sender.head, sender.caller
    asked = Asked(head, caller, unread)
    if head.method in ("GET", "HEAD") and (listed := listed_models(parts, head, caller)) is not None:
        client.whole(200, [("Content-Type", "application/json"), *client.own_headers()], listed)
        return None
    if head.endpoint.name in OWN and await _answered(parts, asked, client):
        return None
    body = asked.body = asked.body if isinstance(asked.body, bytes) else await read_whole(parts, asked.body, record)
    off_loop, large = parts.exchange.off_loop, len(body) > LARGE
    asked_for = head.endpoint, head.method, (head.path, head.query), (head.content_type, body)
    call = await off_loop(len(body), read_call, *asked_for) if large else read_call(*asked_for)
    record.model, record.stream, record.marks = call.model, call.stream, marks_of(head.marks, call.document)
    plan = plan_for(parts, caller, call, head, record)
    if head.model not in (None, plan.targets[0].model):
        call = replace(call, path=path_of(plan.targets[0].model))
    record.label, alike = plan.label, plan.sharing or caller.sharing or head.apart
    if head.apart is not None and parts.elsewhere is not None and await parts.elsewhere.apart(asked, client, call):
        return None
    is_dressed = plan.use is not None or head.variables is not None or call.ours is not NOTHING_OURS
    if is_dressed:
        plan = staged(parts, plan, call, record, caller)
        call, plan = await parts.exchange.off_loop(len(body), dressed, call, plan, head.variables, record)
        listen(parts, client, plan, call, caller)
    if alike is not None and await _shared(parts, asked, client, call, plan):
        return None
    weight, cap = NO_WEIGHT, None
    if head.endpoint.counts:
        weight = await off_loop(to_weigh(call), weigh, call, plan.defaults) if large else weigh(call, plan.defaults)
        weight, cap = (weight, cap) if caller.max_output is None else most_output(caller, call, weight, plan.use)
    check_asked(caller, parts.names, weight.requested.tools.asked)
    job = Job(
        call, weight.requested, weight.text_tokens, weight.likely_tokens, caller, plan, head.incoming, record,
        record.started + head.read_timeout_seconds, scopes := scopes_of(caller), scopes, head.rank, None, weight, cap=cap,
    )  # fmt: skip
    if not is_dressed and alike is None:
        job.prepared = _prepared_for(parts.heads, sender, job)
    return job if plan.pool is None else parts.router.choose(job, parts.exchange.admission.accounting.books)


async def _shared(parts: Parts, asked: Asked, client: Client, call: Call, plan: Plan) -> bool:
    """Whether the reply to another call, that is alike, has served this one."""
    return parts.elsewhere is not None and await parts.elsewhere.shared(asked, client, call, plan)


async def _answered(parts: Parts, asked: Asked, client: Client) -> bool:
    """Whether the request was for us alone; one that is for a provider after all may be one its key must not make."""
    endpoint = asked.head.endpoint
    own = parts.own.get(endpoint.name)
    if own is not None and await own.answer(asked, client):
        return True
    if endpoint.is_own:
        raise UnknownEndpoint("Nothing is answered at this path, or not by this method.")
    check_endpoint(asked.caller, endpoint)
    return False


async def read_whole(parts: Parts, request: BaseRequest | Upload, record: Record) -> bytes:
    """The body, read to its end, which is not our time."""
    began = time.monotonic()
    with Room(parts.gate.bodies, record.key or "") as room:
        read = request.read(room) if isinstance(request, Upload) else read_body(request, parts.max_body, room)
        body = await read
    record.waited_seconds += time.monotonic() - began
    return body


def _prepared_for(heads: Heads, sender: Sender, job: Job) -> Prepared | None:
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
    requested = None if plan.defaults else template.weighed or None
    found = Prepared(template, replace(call, body=b"", parsed=None), plan, job.record.marks, job.scopes, requested)
    return heads.keep(sender, found)
