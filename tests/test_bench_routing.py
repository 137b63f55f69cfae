"""What the benchmark of routing says of tables whose answer is known."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from bench.processes import ROOT
from bench.routing import (
    Point,
    Question,
    Table,
    always,
    cheapest,
    decision_seconds,
    mixed,
    perfect,
    read,
    report,
    routed,
)

EASY, HARD, NONE = (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)


def table(*right: tuple[float, ...], usd: tuple[float, ...] = (1.0, 11.0)) -> Table:
    return Table(("weak", "strong"), tuple(Question(100, one, usd) for one in right))


def test_a_random_mix_pays_in_proportion() -> None:
    weak, strong = Point(1.0, 0.5), Point(11.0, 0.9)
    assert [mixed(weak, strong, at) for at in (0.4, 0.5, 0.7, 0.9, 0.95)] == pytest.approx([1, 1, 6, 11, 11])


def test_who_knows_beforehand_pays_only_where_it_helps() -> None:
    some = table(*[EASY] * 6, *[HARD] * 3, NONE)
    assert always(some, 1).accuracy == 0.9
    assert [perfect(some, at) for at in (0.5, 0.7, 0.9, 1.0)] == pytest.approx([1.0, 2.0, 4.0, 4.0])


def test_our_decisions_go_from_the_cheapest_to_the_strongest() -> None:
    dice = Random(3)
    points = routed(table(*[dice.choice([EASY, HARD]) for _ in range(400)], usd=(1e-5, 1e-2)))
    assert points[0].usd == pytest.approx(1e-5) and points[-1].usd == pytest.approx(1e-2)
    assert points[-1].accuracy == 1.0
    assert cheapest(points, 1.0) == pytest.approx(1e-2) and cheapest(points, 1.01) is None


def write(path: Path, header: list[str], *rows: list[object]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_files_of_both_kinds_are_read(tmp_path: Path) -> None:
    both = write(tmp_path / "m.csv", ["prompt", "small", "large"], ["x" * 400, "True", "False"], ["", "False", "True"])
    found = read([both], {"small": 1.0, "large": 10.0})
    assert found.models == ("small", "large") and found.questions[0] == Question(100, (1.0, 0.0), (0.0005, 0.005))
    header = ["sample_id", "prompt", "eval_name", "dear", "cheap", "dear|model_response", "dear|total_cost"]
    header += ["cheap|total_cost", "oracle_model_to_route_to"]
    bench = write(tmp_path / "r.csv", header, ["a.1", "hi", "a", "1.0", "0.5", "…", "0.02", "0.001", "cheap"])
    assert read([bench], {}) == Table(("cheap", "dear"), (Question(0, (0.5, 1.0), (0.001, 0.02)),))
    with pytest.raises(ValueError, match="what does large cost"):
        read([both], {"small": 1.0})


def test_the_program_prints_the_table(tmp_path: Path) -> None:
    dice = Random(1)
    rows: list[list[object]] = [["why?" * 50, dice.random() < 0.6, dice.random() < 0.9] for _ in range(200)]
    file = write(tmp_path / "t.csv", ["prompt", "small", "large"], *rows)
    command = [sys.executable, "-m", "bench.routing", str(file), "--price", "small=0.1", "--price", "large=10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == report(read([file], {"small": 0.1, "large": 10.0}))
    assert "95% of what large has" in done.stdout and "| one who knows beforehand" in done.stdout
    missing = subprocess.run([*command[:3], "none.csv"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 1 and missing.stderr.startswith("bench: ")


def test_a_decision_is_timed() -> None:
    assert all(0 <= seconds < 0.1 for seconds in decision_seconds(50, 3).values())
