"""What one attempt sends, and what is made of what came back. No I/O here."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from proxy.dialects import DIALECTS, UpstreamRequest
from proxy.dialects.contract import max_field, url_for
from proxy.errors import UpstreamAuthError, UpstreamError
from proxy.exchange.client import STREAM_HEADERS, other_headers
from proxy.exchange.failure import Failure
from proxy.exchange.image_calls import ImageInterpreter, drawing_call
from proxy.exchange.job import Job
from proxy.exchange.prepared import Sent
from proxy.exchange.quality_fallback import moved
from proxy.exchange.record import Record
from proxy.exchange.reply import Reply
from proxy.exchange.results import Results
from proxy.exchange.translating import Asked, Interpreter, say, silent
from proxy.policy.apis import Way
from proxy.policy.limits.limiter import pairs_of
from proxy.policy.money.amounts import usd_text
from proxy.policy.money.credits import COST_HEADER, Credits
from proxy.policy.privacy import ADJUSTED, preference
from proxy.policy.retries.breaker import News
from proxy.policy.retries.retry import Attempt, Rounds
from proxy.policy.values import Lossy, Provider, RetryRules
from proxy.translate.kept import KeptThoughts
from proxy.translate.responses_writing import LEAST_OUTPUT
from proxy.translate.values import Aim, Protocol
from proxy.wire.call import MAXIMA, SMALL, Call, Defaults, applied_defaults
from proxy.wire.endpoints import Shape
from proxy.wire.headers import lines_of, replaced, safe
from proxy.wire.outgoing import Change, Pieces, asks_for_usage, only_beginning, outgoing, with_members
from proxy.wire.reader import error_body

MOST_PREPARED = 64  # of one head, for as many providers and tenants


def prepare(job: Job, attempt: Attempt, maximum: int | None) -> tuple[UpstreamRequest, Pieces]:
    """The request of one attempt, and its body. `maximum` is the limit of output tokens a budget or a repair has set."""
    route = job.route
    assert route is not None
    sent = route.sent if maximum is None else None
    if sent is None:
        sent = _sent(job, attempt, route.provider, maximum)
        if maximum is None:
            route.sent = sent
    call, record = job.call, job.record
    if record.adjusted or record.dressed or sent.adjusted:
        record.adjusted = record.dressed + sent.adjusted
    if attempt.target:
        record.adjusted += tuple(moved(record, route.target.model))
    if sent.begins is None:
        pieces: Pieces = outgoing(call, sent.change)
    else:
        pieces = [sent.begins, call.body[sent.cut :] if len(call.body) < SMALL else memoryview(call.body)[sent.cut :]]
    request = sent.request
    if sent.incoming is not job.incoming:  # which has values of its own
        request = _request(job, route.provider, call, route.provider.name)
        request = replace(request, hides_usage=True) if sent.request.hides_usage else request
    return (replace(request, is_anew=True) if attempt.resent else request), pieces


def _sent(job: Job, attempt: Attempt, provider: Provider, maximum: int | None) -> Sent:
    """The request of one attempt, but for its body: the same for calls that differ in their messages only."""
    call, plan = job.call, job.plan
    ask_for_usage = call.stream and provider.stream_options and DIALECTS[provider.kind].wants_usage_flag(call)
    members = {} if maximum is None and not plan.defaults else members_for(call, plan.defaults, provider, maximum)
    private = preference(provider, call, members.get("provider")) if job.caller.zdr else {}
    change = Change(
        model=plan.targets[attempt.target].model if plan.rewrite else None,
        members=(*members.items(), *private.items()),
        include_usage=ask_for_usage,
    )
    adjusted = *[f"{name}={value.decode()}" for name, value in members.items()], *[ADJUSTED for _ in private]
    request = _request(job, provider, call, provider.name)
    if ask_for_usage and not asks_for_usage(call):
        request = replace(request, hides_usage=True)
    return Sent(request, job.incoming, change, adjusted, *only_beginning(call, change))


def translate(
    job: Job, attempt: Attempt, provider: Provider, options: TranslationOptions, kept: KeptThoughts
) -> tuple[UpstreamRequest, Shape, Interpreter]:
    """The same, with the shape of what comes back, for a provider that does not speak the client's protocol. Raises `CallerError`s."""
    dialect, record, protocol = DIALECTS[provider.kind], job.record, options.protocol
    members = members_for(job.call, job.plan.defaults, provider, options.maximum)
    adjusted = [*record.dressed, *[f"{name}={value.decode()}" for name, value in members.items()]]
    model = job.plan.targets[attempt.target].model or job.call.model or ""
    if attempt.target:
        adjusted += moved(record, model)
    there = silent(protocol)
    aim = Aim(
        protocol,
        model,
        max_field(there, provider) or "",
        options.largest or options.assumed,
        options.largest,
        usage_flag=provider.stream_options and dialect.wants_usage_flag(there),
    )
    asked = Asked(protocol, provider, aim, Change(members=tuple(members.items())), options.lossy)
    said = say(job, asked, kept)
    source = job.call.endpoint.shape
    adjusted.append(f"protocol={source}>{protocol}")
    if options.lossy != "allow":
        adjusted += [f"{loss.became}={loss.field}" for loss in said.losses]
    record.lose(source, protocol, [loss.field for loss in said.losses])
    body = said.call.body
    if job.caller.zdr and (private := preference(provider, there)):
        adjusted.append(ADJUSTED)
        body = with_members(body, private)
    record.adjusted = tuple(adjusted)
    request = _request(job, provider, said.call, f"{provider.name}>{protocol}").carrying([body])
    return request, there.endpoint.shape, Interpreter(said.bridge, job, kept)


def raised_to(job: Job, way: Way) -> int | None:
    """The limit of output tokens that is sent where the call's own is too small for the protocol it is said in."""
    asked = job.requested.maximum
    return LEAST_OUTPUT if way == "responses" and asked is not None and asked < LEAST_OUTPUT else None


def translate_images(job: Job, provider: Provider, results: Results) -> tuple[UpstreamRequest, Shape, ImageInterpreter]:
    """The same for pictures, of a provider that does not speak OpenAI's images API."""
    call, drawn = drawing_call(job), job.image_call
    assert drawn is not None
    adjusted = [f"model={call.model}"] if call.model != job.call.model else []
    adjusted += [f"protocol={job.call.endpoint.name}>{drawn.source}", *drawn.fitted.adjusted]
    put_in = applied_defaults(job.call, job.plan.defaults, None)
    job.record.adjusted = *job.record.dressed, *[f"{name}={value.decode()}" for name, value in put_in], *adjusted
    request = _request(job, provider, call, f"{provider.name}>{drawn.source}").carrying([call.body])
    return request, call.endpoint.shape, ImageInterpreter(job, results)


class TranslationOptions(Struct, frozen=True):
    """How a call is to be translated: into what, with what limit of its output, and what may be lost.

    `maximum` as in `prepare`; `largest` is the most the model puts out, None unknown; then `assumed` is the limit for a
    protocol that demands one.
    """

    protocol: Protocol
    maximum: int | None
    largest: int | None
    assumed: int
    lossy: Lossy


def _request(job: Job, provider: Provider, call: Call, name: str) -> UpstreamRequest:
    """All of a request but its body, made once for every head that asks for the same."""
    if provider.tenant:
        name = f"{provider.tenant}@{name}"
    known = job.incoming.prepared.get(name)
    if known is None or known[0] is not provider:
        headers = DIALECTS[provider.kind].headers(call, provider, job.incoming)
        if call is not job.call:  # a form may have become JSON
            headers = replaced(headers, [("Content-Type", "application/json")])
        known = provider, UpstreamRequest(call.method, url_for(provider, call), headers, [])
        if len(job.incoming.prepared) >= MOST_PREPARED:
            job.incoming.prepared.clear()
        job.incoming.prepared[name] = known
    return known[1]


def members_for(call: Call, defaults: Defaults, provider: Provider, maximum: int | None) -> dict[str, bytes]:
    """The members to put in: the alias's defaults, and the maximum of output tokens."""
    field = max_field(call, provider)
    members = dict(applied_defaults(call, defaults, field))
    if maximum is not None and field is not None:
        heeded = {field, *MAXIMA[call.endpoint.shape]}
        for name in [name for name in call.max_fields if name in heeded] or [field]:
            members[name] = b"%d" % maximum
    return members


def rounds(job: Job, rules: RetryRules, now: float) -> Rounds:
    """What bounds this call's retries."""
    left = None if job.until == float("inf") else job.until - now
    use = job.plan.use
    if job.course is not None and len(job.plan.targets) > 1:  # another candidate is better than waiting for this one
        rules = replace(rules, attempts=1)
    return Rounds(len(job.plan.targets), rules, left, None if use is None else use.fallback_on)


def news_of(outcome: Reply | Failure, provider: Provider, is_late: bool) -> News:
    """What an outcome that is no answer to the call tells the breakers. `is_late`: a wait that ended with the client's patience
    says nothing."""
    if isinstance(outcome, Failure):
        if outcome.trouble == "unreachable":
            return "unreachable"
        return "nothing" if is_late or outcome.trouble in ("stale_connection", "unhealthy") else "silent"
    if _refuses_our_key(outcome, provider):
        return "refused"
    return "failing" if outcome.judged_status >= 500 else "answered"


def is_near(provider: Provider) -> bool:
    """Whether it runs on this machine: where it is not there, waiting for it is of no use."""
    host = urlsplit(provider.base_url).hostname or ""
    return provider.proxy is None and (host in ("localhost", "::1") or host.startswith("127."))


def _refuses_our_key(reply: Reply, provider: Provider) -> bool:
    return reply.status in (401, 403) and DIALECTS[provider.kind].is_about_our_key(reply.status, reply.first)


def reply_or_raise(outcome: Reply | Failure) -> Reply:
    """The reply to pass on; raises where the client must read something of ours instead."""
    if isinstance(outcome, Failure):
        raise outcome.error
    if outcome.is_good:
        return outcome
    provider, key = outcome.provider, outcome.provider.api_key
    if _refuses_our_key(outcome, provider) or (key is not None and key.stands_in(outcome.first)):
        raise UpstreamAuthError(
            f"{provider.name} answered {outcome.status} to the key that Tollkeeper sent it. "
            f"That key comes from: {provider.key_source}."
        )
    return outcome


def lines_for(reply: Reply, job: Job, credits: Credits | None) -> bytes:
    """The lines of a reply's head: the upstream's headers, then ours; what it costs also in a unit of the operator's."""
    record, told, route = job.record, reply.head.fields, job.route
    assert route is not None
    passed = (reply.is_good and reply.head.lines) or reply.block
    name, limits, cost = record.request_id, record.limit_headers, ""
    identity = told.get("x-request-id")
    own = f"x-request-id: {name}\r\n" if identity is None else ""
    identity = identity or told.get("request-id")
    record.upstream_request_id = safe(identity) if identity else reply.generation_id()
    other = other_headers(record, reply.first_byte_at, is_whole=reply.whole)
    if record.use_case:
        other.append(("x-tollkeeper-use-case", safe(record.use_case)))
    if limits and reply.head.tells_limits:
        passed, limits = lines_of(replaced(reply.headers, pairs_of(limits))), ""
    if reply.whole and record.cost_source is not None and not record.pending:
        cost_usd = usd_text(record.cost_pusd)
        cost = f"{COST_HEADER}: {cost_usd}\r\n"
        if credits is not None:
            other.append(credits.header(cost_usd))
    if record.adjusted:
        other.append(("x-tollkeeper-adjusted", safe(", ".join(record.adjusted))))
    if reply.is_event_stream:
        other += [pair for pair in STREAM_HEADERS if pair[0].lower() not in told]
    elif reply.status >= 400 and record.calls > 1 and "x-should-retry" not in told:
        other.append(("x-should-retry", "false"))
    own = f"{own}x-tollkeeper-request-id: {name}{route.named}{record.calls!s}\r\n{cost}{limits}"
    return passed + (lines_of(other, own) if other else own.encode())


def fill_empty_error(reply: Reply, job: Job) -> None:
    """An error without a body gets one: SDKs expect an envelope (wire.md T49)."""
    if reply.status >= 400 and reply.whole and not reply.first and job.call.method != "HEAD":
        error = UpstreamError(f"{reply.provider.name} answered with status {reply.status} and no explanation.")
        error.status, record = reply.status, job.record
        reply.replace_body(error_body(error, record.request_id, anthropic=record.speaks_anthropic))


def end(outcome: Reply | Failure, record: Record) -> None:
    """Close what a call ends with, and note what a reply said of itself."""
    if isinstance(outcome, Reply):
        findings = outcome.findings
        if record.usage is None:
            record.usage = findings.usage
        record.served = findings.served_model
        if not outcome.is_good or outcome.broken_by is not None:
            _note_trouble(outcome, record)
        if outcome.interpreter is not None:
            outcome.interpreter.close()
    outcome.close()


def tokens_used(record: Record) -> int | None:
    """What a call counts against limits on tokens: None where it was sent, and nobody knows."""
    if (usage := record.usage) is not None:
        return usage.input_tokens + usage.output_tokens
    return None if record.calls else 0


def _note_trouble(reply: Reply, record: Record) -> None:
    """What the log says of a reply that may have gone wrong, which the ledger says as well."""
    findings = reply.findings
    if reply.broken_by is None and findings.error is None and reply.status < 400:
        return
    if reply.judged_status >= 400:
        record.missing = reply.missing
    label, code = reply.verdict()
    if findings.error is not None:
        record.failure = code
        record.failure_status = findings.error_status if reply.status < 400 else None
    if record.tried and record.tried[-1].outcome == str(reply.status) != label:
        record.tried = *record.tried[:-1], replace(record.tried[-1], outcome=label)
