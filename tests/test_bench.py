"""What the benchmark says of numbers whose answer is known."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench import questions, translating
from bench.calls import is_whole
from bench.contenders import CONTENDERS, US
from bench.growth import Curve
from bench.growth import table as growth_table
from bench.payloads import Door, small_request, stream_request
from bench.pictures import picture
from bench.processes import ROOT
from bench.profiling import Profile, _place, _shares
from bench.profiling import table as profile_table
from bench.report import ROWS, disturbance, in_short, table


def results(ours: float, caddy: float) -> dict[str, dict[str, list[float]]]:
    """One round in which every number of the daemon is `ours`, every one of Caddy `caddy`, every other 1 µs."""
    metrics = [row.metric for row in ROWS] + ["others"]
    values = {US: ours, "Caddy": caddy}
    return {name: {metric: [values.get(name, 1e-6)] for metric in metrics} for name in CONTENDERS}


def line(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if label in line)


@pytest.mark.parametrize(
    ("ours", "must", "aim"),
    [(60e-6, "met", "met"), (90e-6, "met", "**not met**"), (101e-6, "**not met**", "**not met**")],
)
def test_a_small_call_is_judged_beside_caddy(ours: float, must: str, aim: str) -> None:
    said = line(table(results(ours, 100e-6)), "CPU per small call, µs")
    assert f"≤ 1 × Caddy: {must} | ≤ 0.7 × Caddy: {aim} |" in said


def test_what_is_added_is_judged_over_nginx() -> None:
    said = line(table(results(0.401e-3, 1.0)), "added to the first byte, p50")
    assert "≤ 0.4 ms over nginx: met | ≤ 0.2 ms over nginx: **not met** |" in said


def test_the_table_shows_the_median_and_the_least_of_several_rounds() -> None:
    rounds = results(50e-6, 100e-6)
    rounds[US]["call cpu"] = [70e-6, 50e-6, 60e-6]
    for name in ("nginx", "Caddy"):
        rounds[name]["call cpu"] *= 3
    assert "| 60.0 (50.0) |" in line(table(rounds), "CPU per small call, µs")
    assert in_short(rounds).startswith("16,667 small calls")
    assert disturbance(rounds) == max(value for measured in rounds.values() for value in measured["others"])


def test_growth_is_from_the_first_point_to_the_last() -> None:
    flat = Curve("keys", "CPU per small call", "keys", "µs", {1: [50e-6], 100: [80e-6], 10_000: [54e-6]})
    steep = flat._replace(grows="models", points={10: [50e-6], 1000: [56e-6]})
    text = growth_table([flat, steep])
    assert "| +8% | met |" in line(text, "| keys |")
    assert "10: 50.0, 1,000: 56.0 | +12% | **not met** |" in line(text, "| models |")


def test_a_translated_event_is_judged_beside_a_native_one_of_its_round() -> None:
    found = {"chat": [10e-6, 20e-6, 10e-6], "messages": [14e-6, 22e-6, 13e-6], "responses": [16e-6, 40e-6, 10e-6]}
    _, _, chat, messages, responses = translating.table(found).splitlines()
    assert chat == "| chat | 10.0 | native |  |  |"
    assert messages == "| messages | 14.0 | 1.30 × | ≤ 1.5 ×: met | ≤ 1.2 ×: **not met** |"
    assert responses == "| responses | 16.0 | 1.60 × | ≤ 1.5 ×: **not met** | ≤ 1.2 ×: **not met** |"


def test_a_question_is_judged_by_its_slowest_answer() -> None:
    text = questions.table({"/forecast": [0.9, 0.2, 0.1], "usage": [0.2, 1.2]}, {"/forecast": 0.15})
    assert line(text, "/forecast") == "| `/forecast` | 0.900 | 0.150 | 0.15 | met | **not met** |"
    assert line(text, "`usage`") == "| `usage` | 0.200 | 1.200 | – | **not met** | **not met** |"


def test_a_picture_is_a_document_with_every_point() -> None:
    drawn = ElementTree.fromstring(picture("CPU per event, µs, by open streams", {1: 30.0, 10: 31.0, 5000: 32.5}))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}circle")) == 3
    assert {"1", "10", "5,000", "32.5"} <= {element.text for element in drawn.iter() if element.text}


@pytest.mark.parametrize("values", [{0: 1.0}, {0: 0.0, 10: 0.0}])
def test_a_picture_can_be_of_nothing(values: dict[int, float]) -> None:
    ElementTree.fromstring(picture("nothing", values))


def test_a_sample_counts_for_the_innermost_function_of_ours() -> None:
    ours, serving = f"judge ({ROOT}/proxy/policy/money/books.py:9)", f"serve ({ROOT}/proxy/cli/serve.py:60)"
    library, loop = "encode (/x/msgspec/json.py:3)", "run (/x/asyncio/runners.py:1)"
    assert _place([serving, loop, ours, library]) == ("proxy/policy/money", "proxy/policy/money/books.py")
    assert _place([serving, loop, "start (/x/site-packages/aiohttp/web_protocol.py:3)"])[0] == "aiohttp"
    assert _place([serving, loop])[1] == "the event loop"


def test_a_profile_sums_to_the_whole() -> None:
    ours = f"judge ({ROOT}/proxy/policy/money/books.py:9)"
    loop, writer = "run (/x/asyncio/runners.py:1)", f"write ({ROOT}/proxy/stores/ledger/writer.py:9)"
    stacks = [f"thread (7): MainThread;{ours} 3", f"thread (7): MainThread;{loop} 1", f"thread (8): it;{writer} 90"]
    shares = _shares(stacks, {7: 0.8, 8: 0.2, 9: 0.0})
    text = profile_table("a small call", Profile(100e-6, 0.4, shares))
    assert "| **all of it** | 100.0 | 100% |" in text
    assert "| **proxy/policy/money** | 60.0 | 60% |" in text
    assert "| **proxy/stores** | 20.0 | 20% |" in text
    assert "| of that in the kernel, whoever called it | 40.0 | 40% |" in text


@pytest.mark.parametrize(
    "request_bytes",
    [
        small_request(Door(1, "m")),
        stream_request(Door(1, "m"), 3, 20),
        stream_request(Door(1, "m", "/v1/responses"), 3, 20),
    ],
)
def test_a_request_has_the_length_it_names(request_bytes: bytes) -> None:
    assert is_whole(request_bytes)
    assert not is_whole(request_bytes[:-1])
