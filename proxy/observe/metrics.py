"""The metrics of one daemon: fed with finished calls, rendered for a scraper."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import astuple
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from proxy.observe.families import Distribution, Families, Room
from proxy.observe.gen_ai import GenAi
from proxy.observe.labels import (
    Known,
    Labels,
    code_label,
    endpoint_label,
    error_label,
    outcome_label,
    phase_label,
    source_label,
)
from proxy.observe.metric_table import TOKEN_TYPES
from proxy.observe.readings import Readings, Sources, collect, read
from proxy.observe.seen import Alike, CallSeen, CostSeen, Meter, Took

# below the 15,000 promised: what is folded into `_other` past it, and the gauges, need room too
CEILING = 14_500
_MANY = 16  # are counted in the library's way: its call takes longer than to count fewer


class Metrics:
    """Every method may be called in any thread, while `render` runs as well; `finished_alike` and `settled` take any number at once."""

    def __init__(self, known: Known, sources: Sources, *, gen_ai: bool = False, ceiling: int = CEILING) -> None:
        self._labels = Labels(known)
        self._sources = sources
        self._lock = threading.Lock()
        self._process = ProcessCollector(registry=None)
        self._families = families = Families(Room(ceiling))
        self._requests = families.counter("tollkeeper_requests_total")
        self._duration = families.histogram("tollkeeper_request_duration_seconds")
        self._first_token = families.histogram("tollkeeper_time_to_first_token_seconds")
        self._per_token = families.histogram("tollkeeper_time_per_output_token_seconds")
        self._overhead = families.histogram("tollkeeper_overhead_seconds")
        self._tokens = families.counter("tollkeeper_tokens_total")
        self._cost = families.money("tollkeeper_cost_usd_total")
        self._rejections = families.counter("tollkeeper_rejections_total")
        self._shadow_rejections = families.counter("tollkeeper_shadow_rejections_total")
        self._attempts = families.counter("tollkeeper_upstream_attempts_total")
        self._fallbacks = families.counter("tollkeeper_fallbacks_total")
        self._losses = families.counter("tollkeeper_translation_losses_total")
        self._quality = families.counter("tollkeeper_quality_total")
        self._cache = families.counter("tollkeeper_cache_calls_total")
        self._saved = families.money("tollkeeper_cache_saved_usd_total")
        self._disconnects = families.counter("tollkeeper_client_disconnects_total")
        self._anomalies = families.counter("tollkeeper_cost_anomalies_total")
        self._budget_alerts = families.counter("tollkeeper_budget_alerts_total")
        self._webhooks = families.counter("tollkeeper_webhooks_total")
        self._gen_ai = GenAi(families) if gen_ai else None
        self._uncounted: list[Meter] = []  # those with callers
        self.uncounted = 0  # how much waits for `count_callers`

    def meter(self, call: CallSeen, known: Meter | None = None) -> Meter:
        """Where calls like this one are counted: `known`, while their model has the label it had then. Only for
        `finished_alike`, as it goes through what it is given: nobody else is at the families then."""
        model = self._labels.model(call.model)
        if known is not None and known.labels[2] == model:
            return known
        endpoint, provider, error = endpoint_label(call.endpoint), call.provider or "", error_label(call.error_type)
        duration = self._duration.at(endpoint, provider, model if provider else "")
        attempts = [
            (self._attempts.at(tried, outcome_label(outcome)), times)
            for (tried, outcome), times in Counter(call.attempts).items()
        ]
        is_more = self._gen_ai is not None or call.stream or call.cache is not None or call.rejected is not None
        is_more = is_more or call.fallback is not None or call.client_left is not None
        is_more = is_more or bool(call.shadow_rejected or call.lost or call.flags)
        labels = endpoint, provider, model, code_label(call.status), error
        return Meter(call, labels, duration, self._overhead.at(endpoint), attempts, Counter(), is_more)

    def finished_alike(self, kinds: Iterable[Alike]) -> None:
        """Count calls, whatever became of them: what many of a kind have in common is looked up once."""
        overheads: dict[Distribution, list[float]] = {}
        with self._lock:
            for alike in kinds:
                self._count(alike)
                overheads.setdefault(alike.meter.overhead, []).extend([each.overhead_seconds for each in alike.calls])
            for overhead, seconds in overheads.items():
                overhead.observe(*seconds)

    def settled(self, *costs: CostSeen) -> None:
        """Book what attempts came to."""
        with self._lock:
            for cost in costs:
                self._book(cost)

    def count_callers(self) -> None:
        """Count calls by whose they are, which waits until somebody looks or this is asked for: labels for each of many
        keys are looked up once for many calls."""
        with self._lock:
            self._count_callers()

    def anomaly(self, kind: str) -> None:
        """Count a figure nobody can believe; `kind` is a word of ours."""
        with self._lock:
            self._anomalies.at(kind).add()

    def budget_alert(self, budget: str, per: str, threshold: str) -> None:
        """Count a threshold that was passed."""
        with self._lock:
            self._budget_alerts.at(budget, per, threshold).add()

    def webhook(self, outcome: str) -> None:
        """Count a try to deliver a message; `outcome` is a word of ours."""
        with self._lock:
            self._webhooks.at(outcome).add()

    def flagged(self, model: str, flag: str) -> None:
        """A reply was judged some time after its call was told of."""
        with self._lock:
            self._quality.at(self._labels.model(model), flag).add()

    def readings(self) -> Readings:
        """Ask the sources: on the event loop, before `render` goes to a thread."""
        return read(self._sources)

    def render(self, accept: str, readings: Readings) -> tuple[bytes, str]:
        """The page in the exposition this Accept header asks for, and its content type."""
        with self._lock:
            self._count_callers()
            counted = list(self._families.collect())
        page = _Page([*self._process.collect(), *counted, *collect(readings)])
        # brings a server of its own along, which would be loaded at every start
        from prometheus_client import exposition
        from prometheus_client.openmetrics import exposition as openmetrics

        if asks_for_openmetrics(accept):
            return openmetrics.generate_latest(page), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
        return exposition.generate_latest(page), exposition.CONTENT_TYPE_PLAIN_0_0_4

    def _book(self, cost: CostSeen) -> None:
        provider, model, key = cost.provider, self._labels.model(cost.model), self._labels.key(cost.key)
        tenant = self._labels.tenant(cost.tenant)
        self._cost.at(provider, model, key, source_label(cost.cost_source), tenant).value += cost.cost_pusd
        for kind, count in zip(TOKEN_TYPES, astuple(cost.tokens), strict=True):
            if count:
                self._tokens.at(provider, model, key, kind, tenant).value += count

    def _count(self, alike: Alike) -> None:
        """Calls that differ in their times and tokens only."""
        meter, same, whose, callers = alike.meter, alike.calls, alike.whose, alike.meter.callers
        if not callers:
            self._uncounted.append(meter)
        before = len(callers)
        if whose.count(whose[0]) == len(whose):
            callers[whose[0]] += len(whose)
        elif len(same) < _MANY:
            for one in whose:
                callers[one] += 1
        else:
            callers.update(whose)
        meter.duration.observe(*[each.total_seconds for each in same])
        self.uncounted += len(callers) - before
        for attempts, times in meter.attempts:
            attempts.value += times * len(same)
        if meter.is_more:
            self._count_more(alike)

    def _count_more(self, alike: Alike) -> None:
        """What only some calls have."""
        call, same, (_, provider, model, _, error) = alike.meter.call, alike.calls, alike.meter.labels
        if call.rejected is not None or call.shadow_rejected:
            self._count_rejections(alike)
        if call.stream and not error:
            self._streamed(same, (provider, model))
        if call.fallback is not None:
            self._fallbacks.at(*map(self._labels.model, call.fallback)).add(len(same))
        for lost in call.lost:
            self._losses.at(*lost).add(len(same))
        for flag in call.flags:
            self._quality.at(model, flag).add(len(same))
        if call.cache is not None:
            self._cache.at(model, call.cache).add(len(same))
            if alike.saved_pusd:
                self._saved.at(model, call.cache).add(alike.saved_pusd)
        if call.client_left is not None:
            self._disconnects.at(phase_label(call.client_left)).add(len(same))
        if self._gen_ai is not None:
            self._gen_ai.finished(alike, model, error)

    def _count_rejections(self, alike: Alike) -> None:
        for whose, count in Counter(alike.whose).items():
            key, tenant = self._labels.key(whose[0]), self._labels.tenant(whose[1])
            if alike.meter.call.rejected is not None:
                self._rejections.at(key, alike.meter.call.rejected, tenant).add(count)
            for reason in alike.meter.call.shadow_rejected:
                self._shadow_rejections.at(key, reason).add(count)

    def _count_callers(self) -> None:
        labels = self._labels
        for meter in self._uncounted:
            endpoint, provider, model, code, error = meter.labels
            for (name, of), count in meter.callers.items():
                key, tenant = labels.key(name), labels.tenant(of)
                self._requests.at(endpoint, provider, model, key, code, error, tenant).value += count
            meter.callers.clear()
        self._uncounted, self.uncounted = [], 0

    def _streamed(self, same: Sequence[Took], labels: tuple[str, str]) -> None:
        for call in same:
            first, following = call.first_token_seconds, (call.output_tokens or 0) - 1
            if first is None:
                continue
            self._first_token.at(*labels).observe(first)
            if following > 0:
                self._per_token.at(*labels).observe(max(0.0, call.total_seconds - first) / following)


class _Page:
    """What the library renders."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._families


def asks_for_openmetrics(accept: str) -> bool:
    """Whether the header names OpenMetrics at all; the library's own reading of it fails on odd versions."""
    return "application/openmetrics-text" in accept.lower()
