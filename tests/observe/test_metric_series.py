"""Labels take no value from a stranger, and the number of series has an end."""

from __future__ import annotations

import pytest
from metrics_samples import (
    COST,
    FAILED,
    GOOD,
    REFUSED,
    RESET,
    USD,
    State,
    feed,
    finished,
    metrics,
    page,
    samples,
    total,
)
from msgspec.structs import replace

from proxy.errors import ProxyError
from proxy.observe.labels import ERROR_TYPES, Known, endpoint_label
from proxy.observe.metrics import Metrics
from proxy.observe.readings import BudgetState
from proxy.observe.seen import CallSeen, CostSeen


def test_ten_thousand_junk_names_and_user_agents_add_no_series() -> None:
    fed = metrics(gen_ai=True)
    feed(fed)

    def junk(number: int) -> CallSeen:
        name = f'm{number}\n"}} evil{{x="\\ curl/{number} \ud800'  # half an emoji could not even be rendered
        return replace(
            GOOD,
            endpoint=f"chat/completions/{name}",
            model=name,
            key=name,
            status=10_000 + number,
            error_type=name,
            fallback=(name, name),
            attempts=(("openrouter", str(10_000 + number)),),
            client_left=name,
        )

    for odd in (junk(0), replace(junk(0), endpoint="messages")):
        finished(fed, odd)
        fed.settled(replace(COST, model=odd.model, key=odd.key, cost_source=odd.key))
    before = samples(page(fed))
    for number in range(1, 10_001):
        odd = junk(number)
        finished(fed, odd)
        fed.settled(replace(COST, model=odd.model, key=odd.key, cost_source=odd.key))
    after = samples(page(fed))
    assert after.keys() == before.keys()
    other = {"provider": "openrouter", "model": "_other", "key": "_other", "code": "_other", "error_type": "_OTHER"}
    assert after[("tollkeeper_requests_total", frozenset({"endpoint": "_other", **other}.items()))] == 10_001


def test_names_that_a_reload_brings_are_known_from_then_on() -> None:
    models = {"fast"}
    fed = Metrics(Known(models.__contains__, {"alice"}.__contains__), State().sources())
    new = replace(GOOD, model="new")
    finished(fed, new)
    models.add("new")
    finished(fed, new)
    found = samples(page(fed))
    counted = {dict(labels)["model"]: n for (name, labels), n in found.items() if name == "tollkeeper_requests_total"}
    assert counted == {"_other": 1, "new": 1}


def in_use(fed: Metrics, models: int, keys: int) -> None:
    """Every key calls every model: one stream with tokens of all types, one failure, one refusal, one late cost."""
    for model in range(models):
        for key in range(keys):
            provider = f"p{model % 3}"
            call = replace(
                GOOD, provider=provider, attempts=((provider, "200"),), model=f"author/model-{model}", key=f"key-{key}"
            )
            refused = replace(REFUSED, model=call.model, key=call.key)
            failed = replace(FAILED, provider=provider, model=call.model, key=call.key, endpoint="responses")
            for each in (call, failed, refused):
                finished(fed, each)
            fed.settled(replace(COST, provider=provider, model=call.model, key=call.key))
            fed.settled(CostSeen(provider, call.model, call.key, 5, "computed"))


def everything_known(_name: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("models", "keys", "gen_ai", "folded"),
    [(50, 20, False, False), (50, 20, True, True), (300, 100, True, True)],
    ids=["as promised", "with gen_ai", "far more"],
)
def test_there_are_at_most_fifteen_thousand_series(models: int, keys: int, gen_ai: bool, folded: bool) -> None:
    budgets = [BudgetState(f"key:key-{key % 20}:{key}", "day", USD, USD, 0, RESET) for key in range(60)]
    sources = replace(State().sources(), budgets=lambda: budgets)
    fed = Metrics(Known(everything_known, everything_known), sources, gen_ai=gen_ai)
    in_use(fed, models, keys)
    found = samples(page(fed))
    assert len(found) <= 15_000
    assert any(dict(labels).get("key") == "_other" for _, labels in found) is folded
    calls = models * keys
    assert total(found, "tollkeeper_upstream_attempts_total") == 2 * calls
    outcomes = {labels for name, labels in found if name == "tollkeeper_upstream_attempts_total"}
    assert frozenset({("provider", "p2"), ("outcome", "200")}) in outcomes
    assert total(found, "tollkeeper_requests_total") == 3 * calls, "folded, but all counted"
    assert total(found, "tollkeeper_tokens_total") == calls * (1000 + 101 + 600 + 50 + 40)
    assert total(found, "tollkeeper_cost_usd_total") == pytest.approx(calls * (0.03 + 5e-12), rel=1e-9)


def kinds(parent: type[ProxyError] = ProxyError) -> set[str]:
    return {parent.kind}.union(*(kinds(child) for child in parent.__subclasses__()))


def test_every_error_of_ours_has_a_word_of_the_closed_vocabulary() -> None:
    assert kinds() <= ERROR_TYPES


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("chat/completions", "chat/completions"),
        ("audio/transcriptions", "audio/transcriptions"),
        ("models", "models"),
        ("other", "other"),
        ("models/gpt-5", "_other"),
        ("", "_other"),
        ("/v1/chat/completions", "_other"),
    ],
)
def test_an_endpoint_is_a_row_of_the_table(given: str, label: str) -> None:
    assert endpoint_label(given) == label
