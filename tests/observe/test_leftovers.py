"""Memory that calls have left: handed back once, after a while without any."""

from __future__ import annotations

import pytest

from proxy.observe.leftovers import QUIET_SECONDS, Leftovers, hand_back_to_the_system


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(0.0, False), (60.0, False)], 0),  # no call ever came
        ([(0.0, True), (QUIET_SECONDS - 0.2, False)], 0),
        ([(0.0, True), (QUIET_SECONDS, False)], 1),
        ([(0.0, True), (9.0, True), (12.0, False)], 0),
        ([(0.0, True), (9.0, True), (19.0, False)], 1),
        ([(0.0, True), (20.0, False), (40.0, False)], 1),
        ([(0.0, True), (20.0, False), (21.0, True), (40.0, False)], 2),
    ],
)
def test_it_is_handed_back_once_after_each_run_of_calls(looks: list[tuple[float, bool]], expected: int) -> None:
    handed = []
    leftovers = Leftovers(lambda: handed.append(1))
    for now, ended in looks:
        leftovers.look(now, ended=ended)
    assert len(handed) == expected


def test_any_system_takes_it() -> None:
    hand_back_to_the_system()
