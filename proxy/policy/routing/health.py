"""What is out of the ordinary with the candidates of a board, by what breakers and providers' own words say of them."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.policy.routing.board import Board
from proxy.policy.routing.values import Health, Rest
from proxy.policy.values import Target

PROBE_SHARE = 0.05


def health_of(
    board: Board,
    failing: Mapping[Target | str, float],
    resting: Mapping[Target | str, Rest],
    known: Health,
    now: float,
) -> Health:
    """`failing` as `Breakers.failing` has it; `resting` which targets or whole providers want no calls (until when: as
    `now`); `known` is what holds whoever fails."""
    if not failing and not resting:
        return known
    closed: dict[Target, str] = {}
    shares = dict(known.shares)
    for row in board.rows:
        target = row.candidate.target
        seconds = failing.get(target, failing.get(target.provider))
        rests = [rest for where in (target, target.provider) if (rest := resting.get(where)) is not None]
        if rests:
            rest = max(rests, key=lambda one: one.until)
            closed[target] = f"its account is to be left alone for {rest.until - now:.0f} s more ({rest.why})"
        elif seconds:
            closed[target] = f"it failed several times in a row; the next try is due in {seconds:.0f} s"
        elif seconds is not None:
            shares[target] = PROBE_SHARE
    if len(closed) == len(board.rows):  # better asked than refused: the breaker says the rest
        closed = {}
    return Health(closed, shares, known.busy)
