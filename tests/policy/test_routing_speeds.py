"""What is known of a target's speed: published, shown by replies that came in one piece, or a guess; as tables."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from proxy.policy.routing.observing import PUBLISHED_SECONDS, Observed, Wholes
from proxy.policy.routing.published import read_published
from proxy.policy.routing.values import Speed
from proxy.policy.values import Target

TARGET = Target("openrouter", "acme/one")
PAID, GIVEN = {"prompt": "0.000001", "completion": "0.000002"}, {"prompt": "0", "completion": "0"}


def host(first: Any, rate: Any, pricing: Any = PAID, **more: Any) -> dict[str, Any]:
    found = {"latency_last_30m": first, "throughput_last_30m": rate, "pricing": pricing, "status": 0}
    return found | more


def p50(value: Any) -> dict[str, Any]:
    return {"p50": value, "p75": 1, "p90": 1, "p99": 1}


@pytest.mark.parametrize(
    ("model", "hosts", "due"),
    [
        ("acme/one", [host(p50(640), p50(95))], (0.64, 95)),
        ("acme/one", [host(p50(2229.5), p50(25)), host(p50(400), p50(80)), host(p50(900), p50(40))], (0.9, 40)),
        ("acme/one", [host(p50(0.25), p50(45.2))], (0.25, 45.2)),  # seconds, as examples of 2025 have them
        ("acme/one", [host(p50(640), None)], (0.64, 40)),
        ("acme/one", [host(None, p50(95))], (2.0, 95)),
        # nothing is said: without a key, of a model that nobody uses, in another shape
        ("acme/one", [host(None, None)], None),
        ("acme/one", [], None),
        ("acme/one", [{}], None),
        ("acme/one", [host(p50(0), p50(-1))], None),
        ("acme/one", [host(p50("640"), p50(True))], (2.0, 1)),
        ("acme/one", [host(640, 95)], None),
        # who is down is not asked, but where nobody else is
        ("acme/one", [host(p50(100), p50(300), status=-5), host(p50(800), p50(30))], (0.8, 30)),
        # the list has those that are given away beside those that are not
        ("acme/one", [host(p50(9000), p50(3), GIVEN), host(p50(800), p50(30))], (0.8, 30)),
        ("acme/one:free", [host(p50(9000), p50(3), GIVEN), host(p50(800), p50(30))], (9.0, 3)),
        ("acme/one", [host(p50(700), p50(50), GIVEN)], (0.7, 50)),
    ],
)
def test_what_hosts_publish_is_read(model: str, hosts: list[Any], due: tuple[float, float] | None) -> None:
    found = read_published(json.dumps({"data": {"id": "acme/one", "endpoints": hosts}}).encode(), model)
    assert (found and (found.first_token_seconds, found.tokens_per_second)) == due
    assert found is None or found.basis == "published"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": null}', b'{"data": {"endpoints": ["x"]}}', b"\xff"])
def test_what_cannot_be_read_says_so(body: bytes) -> None:
    with pytest.raises(ValueError, match="of acme/one cannot be read"):
        read_published(body, "acme/one")


def test_published_figures_count_for_an_hour_and_until_three_calls_have_shown_better() -> None:
    observed, said = Observed(), Speed(0.6, 90.0, basis="published")
    observed.publish({TARGET: (said, 1000.0)})
    assert observed.speed(TARGET, 1001.0, stream=True) == said
    assert observed.all_speeds(1001.0) == {(TARGET, True): said, (TARGET, False): said}
    track = observed.track(TARGET, stream=True)
    track.succeeded(0.1, 300.0, 1001.0)
    assert observed.speed(TARGET, 1001.0, stream=True) == Speed(0.6, 90.0, calls=1, basis="published")
    for _ in range(2):
        track.succeeded(0.1, 300.0, 1001.0)
    assert observed.speed(TARGET, 1001.0, stream=True).basis == "measured"
    assert observed.speed(TARGET, 1001.0 + PUBLISHED_SECONDS, stream=False) == Speed()


@pytest.mark.parametrize(
    ("replies", "first", "pace"),
    [
        ([(400, 4.0)] * 5, 0.0, 100),  # as fast as a guess would not have it: then it all came at once
        ([(10, 0.5)] * 5, 0.25, 40),  # all as long: the guess says how much of it was the wait
        ([(10, 3.0)] * 5, 2.75, 40),
        ([(0, 0.3)] * 5, 0.3, 40),  # embeddings
        ([(50, 1.5), (1000, 11.0), (200, 3.0), (600, 7.0)], 1.0, 100),
        ([(100, 9.0), (2000, 9.0), (50, 9.0), (1000, 9.0)], 8.6, 2000),  # the length does not matter there
        ([(5, 0.0)] * 3, 0.0, 2000),
    ],
)
def test_replies_in_one_piece_tell_the_wait_from_the_pace(
    replies: list[tuple[int, float]], first: float, pace: float
) -> None:
    wholes = Wholes()
    for at, (tokens, seconds) in enumerate(replies * 3):
        wholes.add(tokens, seconds, at)
    found = wholes.line(40.0)
    assert found == (pytest.approx(first, abs=0.15), pytest.approx(pace, rel=0.25))


def test_who_answers_briefly_is_not_taken_for_slow() -> None:
    """Two that are as quick as each other, one asked for a word and one for pages; and a third that is slow."""
    observed, dice = Observed(), Random(14)
    lengths = {"brief": 8, "long": 900, "slow": 900}
    for at in range(20):
        for name, tokens in lengths.items():
            wait, pace = (0.4, 80.0) if name != "slow" else (3.0, 20.0)
            said = round(tokens * dice.uniform(0.5, 1.5))
            observed.track(Target("p", name), stream=False).succeeded_whole(said, wait + said / pace, at)
    known = {name: observed.speed(Target("p", name), 20.0, stream=False) for name in lengths}
    needs = {name: speed.first_token_seconds + 400 / speed.tokens_per_second for name, speed in known.items()}
    assert needs["long"] == pytest.approx(5.4, rel=0.05) and needs["slow"] == pytest.approx(23, rel=0.05)
    assert needs["brief"] < 11  # by the pace that is guessed, as nothing long has shown it
    assert known["slow"].first_token_seconds == pytest.approx(3.0, abs=0.4)
    assert known["slow"].p95_seconds == pytest.approx(3.4, abs=0.5)
