"""A thousand tenants and ten thousand keys: what is read, told and changed grows with them, and no faster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.home import Home
from proxy.cli.stopped.orders import answer
from proxy.config.load import load

ONE_MORE = {"section": "tenants", "name": "late", "value": {"budgets": [{"usd": 5, "per": "day"}]}}


def written(folder: Path, tenants: int) -> Path:
    """A configuration of so many tenants, ten keys each."""
    lines = [f"state_dir: {folder / 'state'}", "providers: {mock: {kind: mock}}", "tenants:"]
    terms = "{budgets: [{usd: 50, per: month}], limits: [{requests: 600, per: minute}]}"
    lines += [f"  t{n}: {terms}" for n in range(tenants)]
    lines += ["keys:"]
    own = "budgets: [{usd: 1, per: day}]"
    lines += [f"  k{n}: {{key: sk-key-{n:06}, tenant: t{n % tenants}, {own}}}" for n in range(10 * tenants)]
    file = folder / "config.yaml"
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    return file


def lines_of(work: Callable[[], object]) -> int:
    """How many lines of Python it takes."""
    lines = 0

    def count(frame: object, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


def work_of(order: str, file: Path) -> Callable[[], object]:
    if order == "read":
        return lambda: load(file, {})
    home = Home(file, str(file.parent / "state"), UTC)
    params = {"change_settings": {"changes": [ONE_MORE], "rehearse": True}}.get(order, {})
    return lambda: answer(home, order, params)


@pytest.mark.parametrize("order", ["read", "keys", "tenants", "budgets", "settings", "change_settings"])
def test_ten_times_the_tenants_take_ten_times_the_work(order: str, tmp_path: Path) -> None:
    taken = []
    for count in (4, 20, 200):  # the first one imports
        folder = tmp_path / str(count)
        folder.mkdir()
        taken.append(lines_of(work_of(order, written(folder, count))))
    assert taken[2] < 11 * taken[1]
