"""How long a body may take: never silent for half a minute, and after ten seconds no slower than 1 KiB/s."""

from __future__ import annotations

import pytest

from proxy.web.body import patience_seconds


@pytest.mark.parametrize(
    ("size", "seconds", "patience"),
    [
        (0, 0.0, 10.0),
        (0, 10.0, 0.0),
        (0, 60.0, 0.0),
        (1024, 0.0, 11.0),
        (1024, 10.5, 0.5),
        (10 * 1024, 15.0, 5.0),
        (19 * 1024, 0.0, 29.0),
        (20 * 1024, 0.0, 30.0),
        (2**30, 3600.0, 30.0),
    ],
)
def test_patience_grows_with_what_has_come(size: int, seconds: float, patience: float) -> None:
    assert patience_seconds(size, seconds) == pytest.approx(patience)
