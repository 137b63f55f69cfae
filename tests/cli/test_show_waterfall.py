"""`tollkeeper show` draws where the time of a call went, as wide as the terminal is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from harness.tmux import Tmux, needs_tmux
from money_commands import Desk

from proxy.cli.waterfall import waterfall_lines


def spans(*stretches: tuple[int, str, int]) -> list[dict[str, Any]]:
    """One behind the other: attempt, what, how many milliseconds."""
    found: list[dict[str, Any]] = []
    at_ms = 0
    for attempt, what, duration_ms in stretches:
        found.append({"attempt": attempt, "what": what, "start_ms": at_ms, "duration_ms": duration_ms})
        at_ms += duration_ms
    return found


STREAM = spans((1, "waiting", 0), (1, "ours", 1), (1, "first_byte", 2), (1, "first_token", 300), (1, "rest", 497))


def test_each_stretch_has_a_line_and_its_place() -> None:
    assert waterfall_lines(STREAM, 45) == [
        "  waiting        0 ms",
        "  ours           1 ms  █",
        "  first byte     2 ms  █",
        "  first token  300 ms  ████████",
        "  rest         497 ms          ██████████████",
    ]


def test_several_attempts_are_told_apart() -> None:
    call = spans((1, "ours", 1), (1, "no_reply", 1_500_000), (2, "waiting", 1000), (2, "ours", 0), (2, "rest", 1))
    assert [line.split("  ")[1] for line in waterfall_lines(call, 40)] == [
        "ours",
        "1: no reply",
        "waiting",
        "ours",
        "2: rest",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("call", [STREAM, spans((1, "waiting", 0), (1, "ours", 0)), spans((2, "connect", 3_600_000))])
def test_no_line_is_wider_than_the_terminal(call: list[dict[str, Any]], width: int) -> None:
    lines = waterfall_lines(call, width)
    assert len(lines) == len(call)
    assert all(len(line) <= width for line in lines)


@needs_tmux
def test_it_fits_narrow_and_wide_terminals(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.daemon() as daemon:
        request_id = daemon.chat("mock/slow?ttft=0.3&tokens=5", stream=True).request_id
        call = desk.json("show", request_id)
        config = tmp_path / "config.yaml"
        for width in (40, 80, 200):
            with Tmux(width, 60) as terminal:
                terminal.run(f"clear; {sys.executable} -m proxy show {request_id} --config {config}")
                screen = terminal.wait(lambda screen: "cost: $" in screen)
            drawn = waterfall_lines(call["waterfall"], width)
            lines = [line.rstrip() for line in screen.splitlines()]
            start = lines.index("where its time went:") + 1
            assert lines[start : start + len(drawn)] == drawn
    by_name = {span["what"]: span["duration_ms"] for span in call["waterfall"]}
    names = [name for name in by_name if name != "connect"]  # one may stand since the list of models was fetched
    assert names == ["waiting", "ours", "first_byte", "first_token", "rest"]
    (attempt,) = call["attempts"]
    assert sum(by_name.values()) - by_name["rest"] == attempt["first_token_ms"] >= 290
    assert sum(by_name.values()) == attempt["total_ms"]
