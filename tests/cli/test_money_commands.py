"""Usage, show, explain, budgets and backup say the same of a running daemon and of the files it left."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from money_commands import TOTAL, Desk

from proxy.web.operator.cells import harmless

ZERO = "0.000000000000"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@contextmanager
def called(desk: Desk, how: str) -> Iterator[str]:
    """Two calls of 3 and 5 cents; inside the block the daemon runs, was stopped, or was killed. Yields the second's id."""
    with desk.daemon() as daemon:
        assert daemon.chat("mock/echo?cost=0.03").status == 200
        reply = daemon.chat("mock/echo?cost=0.05")
        assert reply.status == 200
        if how == "running":
            yield reply.request_id
            return
        if how == "killed":
            daemon._process.kill()
            daemon._process.wait()
    yield reply.request_id


however = pytest.mark.parametrize("how", ["running", "stopped", "killed"])


@however
def test_usage_counts_every_call_whose_end_its_client_saw(desk: Desk, how: str) -> None:
    with called(desk, how):
        report = desk.json("usage", "--by", "key")
        table = desk.run("usage", "--by", "key")
        csv_ = desk.run("usage", "--by", "key", "--csv")
    total = {
        "calls": 2,
        "input_tokens": report["total"]["input_tokens"],
        "output_tokens": report["total"]["output_tokens"],
        "cached_input_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": "0.080000000000",
        "sources": {"reported": 2},
        "cached_calls": 0,
        "saved_usd": ZERO,
    }
    assert report == {"since": None, "until": None, "by": "key", "rows": [{"key": "alice", **total}], "total": total}
    assert total["input_tokens"] > 0 < total["output_tokens"]
    heading, _, alice, _, last = table.stdout.splitlines()
    assert heading.split() == ["Key", "Calls", "Input", "Output", "Cached", "Reasoning", "Cost", "(USD)"]
    assert (alice.split()[0], alice.split()[-1], last.split()[0], last.split()[-1]) == (
        "alice",
        "$0.08",
        "Total",
        "$0.08",
    )
    assert [row["cost_usd"] for row in csv.DictReader(io.StringIO(csv_.stdout))] == ["0.080000000000"]


@however
def test_show_tells_what_became_of_a_call(desk: Desk, how: str) -> None:
    with called(desk, how) as request_id:
        call = desk.json("show", request_id)
        text = desk.run("show", request_id).stdout
        unknown = desk.refused("show", "req_nobody")
    (attempt,) = call["attempts"]
    assert (call["key"], call["endpoint"], call["refused"]) == ("alice", "chat/completions", None)
    assert (attempt["provider"], attempt["status"], attempt["source"]) == ("mock", 200, "reported")
    assert (attempt["model"], attempt["outcome"], attempt["error"]) == (call["model"], "200", None)
    assert call["cost_usd"] == attempt["cost_usd"] == "0.050000000000"
    assert attempt["upstream_id"].startswith("gen-") and attempt["hold_usd"] > ZERO
    assert "$0.05 (reported)" in text and request_id in text
    assert "no call 'req_nobody' is known" in unknown


@however
def test_budgets_stand_where_the_calls_left_them_and_can_be_corrected(desk: Desk, how: str) -> None:
    with called(desk, how):
        before = {row["budget"]: row for row in desk.json("budgets")["budgets"]}
        changed = desk.json("budgets", "adjust", TOTAL, "-0.02", "--reason", "the provider gave it back")
        after = {row["budget"]: row for row in desk.json("budgets")["budgets"]}
        table = desk.run("budgets").stdout
        ahead = {row["budget"]: row for row in desk.json("budgets", "--forecast")["budgets"]}
        foretold = desk.run("budgets", "--forecast").stdout
    assert [before[name]["spent_usd"] for name in ("global:total", TOTAL)] == ["0.080000000000"] * 2
    assert before["global:total"]["resets_at"] is None and before[TOTAL]["resets_at"].endswith("Z")
    assert (before[TOTAL]["left_usd"], before[TOTAL]["held_usd"]) == ("0.920000000000", ZERO)
    assert changed["delta_usd"] == "-0.020000000000"
    assert (changed["spent_usd"], after[TOTAL]["spent_usd"]) == ("0.060000000000",) * 2
    assert after["global:total"]["spent_usd"] == "0.080000000000"
    assert "$0.06" in table and TOTAL in table
    assert (ahead[TOTAL]["confidence"], ahead[TOTAL]["spent_usd"]) == ("low", "0.060000000000")
    assert ahead["global:total"]["exhausted_in_seconds"] > 0 and ahead["global:total"]["at_end_usd"] is None
    assert ahead["global:total"]["exhausted_at"][:10] in foretold and "low" in foretold
    with desk.daemon():
        again = {row["budget"]: row["spent_usd"] for row in desk.json("budgets")["budgets"]}
    assert again == {"global:total": "0.080000000000", TOTAL: "0.060000000000"}
    with closing(sqlite3.connect(desk.folder / "state" / "ledger.db")) as ledger:
        assert list(ledger.execute("SELECT budget, delta_pusd, reason FROM adjustments")) == [
            (TOTAL, -20_000_000_000, "the provider gave it back")
        ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("key:alise:day", "1", "--reason", "x"),
            "there is no budget 'key:alise:day' (did you mean key:alice:day?); there is: global:total, key:",
        ),
        ((TOTAL, "much", "--reason", "x"), "must be in US dollars"),
        ((TOTAL, "nan", "--reason", "x"), "must not be zero"),
        ((TOTAL, "0", "--reason", "x"), "must not be zero"),
        ((TOTAL, "0.0000000000001", "--reason", "x"), "must not be zero"),
        ((TOTAL, "1", "--reason", "  "), "the reason must say why"),
    ],
)
def test_an_adjustment_that_makes_no_sense_changes_nothing(
    desk: Desk, arguments: tuple[str, ...], sentence: str
) -> None:
    assert sentence in desk.refused("budgets", "adjust", *arguments)
    assert {row["spent_usd"] for row in desk.json("budgets")["budgets"]} == {ZERO}


@pytest.mark.parametrize("amount", [("--usd", "-5"), ("--usd=-5",)])
def test_an_amount_in_an_option_is_told_its_place(desk: Desk, amount: tuple[str, ...]) -> None:
    done = desk.run("budgets", "adjust", TOTAL, *amount, "--reason", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the amount takes no option: budgets adjust BUDGET -5 --reason TEXT" in done.stderr


@however
def test_explain_says_what_would_become_of_a_call(desk: Desk, how: str) -> None:
    with called(desk, how):
        goes = desk.json("explain", "mock/echo", "--key", "alice", "--max-tokens", "100")
        dear = desk.json("explain", "dear", "--key", "alice", "--max-tokens", "900000")
        named = desk.json("explain", "echo", "--provider", "mock")
        nobody = desk.refused("explain", "mock/echo", "--key", "nobody")
        nowhere = desk.refused("explain", "mock/echo", "--provider", "mok")
        text = desk.run("explain", "mock/echo", "--key", "alice").stdout
    assert goes["targets"] == [{"provider": "mock", "model": "echo"}]
    assert goes["price"] == {"input_usd": "1", "output_usd": "2", "cached_input_usd": None}
    assert (goes["verdict"], goes["hold"]["output_tokens"]) == ("goes", 100)
    own = next(row for row in goes["budgets"] if row["budget"] == TOTAL)
    assert own["left_usd"] == "0.920000000000" > own["left_after_usd"]
    assert (dear["verdict"], dear["hold"]["usd"]) == (f"refused with 402 budget_exceeded by {TOTAL}", None)
    assert "no key named 'nobody'" in nobody
    assert named["targets"] == goes["targets"]
    assert "The nearest name is mock." in nowhere
    assert "$1 in, $2 out" in text and "verdict: goes" in text


def test_show_says_why_a_call_was_refused(desk: Desk) -> None:
    with desk.daemon() as daemon:
        reply = daemon.chat("dear", max_tokens=900_000)
        assert reply.status == 402
        call = desk.json("show", reply.request_id)
        text = desk.run("show", reply.request_id).stdout
    assert (call["attempts"], call["cost_usd"]) == ([], ZERO)
    assert call["refused"]["error"] == "budget_exceeded"
    assert "this key's budget per day" in call["refused"]["message"]
    assert "budget_exceeded" in text


@however
def test_a_backup_is_one_file_with_everything_in_it(desk: Desk, how: str) -> None:
    target = desk.folder / "copy.db"
    with called(desk, how):
        assert desk.run("backup", str(target)).stdout == f"wrote {target}\n"
        assert "File exists" in desk.refused("backup", str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(target)) as copy:
        assert list(copy.execute("SELECT count(*), sum(cost_pusd) FROM attempts")) == [(2, 80_000_000_000)]


def test_usage_by_several_things_at_once_and_of_one_key_only(desk: Desk) -> None:
    with desk.daemon() as daemon:
        for model in ("mock/echo?cost=0.03", "mock/echo?cost=0.01"):
            daemon.line_of(daemon.chat(model))
        report = desk.json("usage", "--by", "key", "--by", "month", "--by", "model", "--key", "al*")
        table = desk.run("usage", "--by", "key", "--by", "model", env={"COLUMNS": "200"}).stdout.splitlines()
        csv_ = desk.run("usage", "--by", "key", "--by", "day", "--by", "model", "--csv", "--model", "mock/*").stdout
        none = desk.run("usage", "--provider", "other", "--key", "alise", "--model", "x*").stdout
        assert none == "No calls of key alise (did you mean alice?) and model x* and provider other in this time.\n"
    assert report["by"] == ["key", "month", "model"]
    assert [(row["key"], row["model"], row["calls"]) for row in report["rows"]] == [
        ("alice", "mock/echo?cost=0.03", 1),
        ("alice", "mock/echo?cost=0.01", 1),
    ]
    assert table[0].split()[:3] == ["Key", "Model", "Calls"]
    assert table[2].split()[:3] == ["alice", "mock/echo?cost=0.03", "1"]
    heading, first, _ = csv_.splitlines()
    assert heading == (
        "key,day,model,calls,input_tokens,output_tokens,cached_input_tokens,reasoning_tokens,cost_usd,sources,"
        "cached_calls,saved_usd"
    )
    assert ",0.030000000000,reported:1,0,0.000000000000" in first
    assert first.startswith("alice,20") and ",mock/echo?cost=0.03,1," in first


def test_usage_counts_from_and_to_the_days_that_are_named(desk: Desk) -> None:
    with called(desk, "stopped"):
        for since, until, calls in [("today", "today", 2), ("7d", "yesterday", 0), ("2020-01-01T00:00", "2d", 0)]:
            assert desk.json("usage", "--since", since, "--until", until)["total"]["calls"] == calls
        empty = desk.run("usage", "--until", "2020-01-01")
        wrong = desk.run("usage", "--since", "soon")
        backwards = desk.run("usage", "--since", "today", "--until", "2d")
        bare = desk.run("usage", "--by", "key", "month")
        nowhere = desk.run("usage", "--tz", "Mars/Olympus")
    assert empty.stdout == "No calls in this time.\n"
    assert wrong.returncode == 2 and "must be a date such as" in wrong.stderr
    assert bare.returncode == 2 and "extra argument (month) (did you mean --by month?)" in bare.stderr
    assert backwards.returncode == 2 and "--until is before --since" in backwards.stderr
    assert nowhere.returncode == 2 and "must be a time zone" in nowhere.stderr


def test_usage_is_compact_on_a_narrow_terminal_and_never_coloured_in_a_file(desk: Desk) -> None:
    with called(desk, "stopped"):
        narrow = desk.run("usage", env={"COLUMNS": "80"}).stdout
    assert narrow.splitlines()[0].split() == ["Day", "Calls", "Input", "Output", "Cost", "(USD)"]
    assert "\x1b" not in narrow


def test_a_name_that_would_steer_a_terminal_is_shown_as_an_escape(desk: Desk) -> None:
    with desk.daemon() as daemon:
        reply = daemon.chat("mock/echo?x=\x1b[31m[red]")  # the mock refuses it, which is a call all the same
        shown = desk.run("usage", "--by", "model").stdout + desk.run("show", reply.request_id).stdout
    assert "\x1b" not in shown
    assert shown.count("mock/echo?x=\\x1b[31m[red]") == 3


def test_a_name_makes_no_line_of_its_own(desk: Desk) -> None:
    with desk.daemon() as daemon:
        reply = daemon.chat("mock/echo?x=\nall is well")
        shown = desk.run("usage", "--by", "key", "--by", "model").stdout + desk.run("usage", "--by", "model").stdout
        shown += desk.run("show", reply.request_id).stdout
    assert "mock/echo?x=\\nall is well" in shown
    assert not [line for line in shown.splitlines() if line.lstrip().startswith("all is well")]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+2", "'=1+2"),
        ("+a", "'+a"),
        ("-a", "'-a"),
        ("@a", "'@a"),
        ("a=1", "a=1"),
        ("", ""),
        ("\r=1", "'\\r=1"),
        ("a\x1b[31m\n\u202eb", "a\\x1b[31m\\n\\u202eb"),
    ],
)
def test_a_formula_in_a_name_reaches_no_spreadsheet(name: str, written: str) -> None:
    assert harmless(name) == written


def test_the_control_socket_is_for_its_owner_and_gone_with_the_daemon(desk: Desk) -> None:
    socket = desk.folder / "state" / "control.sock"
    with desk.daemon():
        assert socket.is_socket() and socket.stat().st_mode & 0o777 == 0o600
    assert not socket.exists()


def test_a_stale_socket_counts_as_no_daemon_and_is_replaced(desk: Desk) -> None:
    with called(desk, "killed"):
        assert (desk.folder / "state" / "control.sock").is_socket()
        assert desk.json("usage")["total"]["calls"] == 2
    with desk.daemon():
        assert desk.json("usage")["total"]["calls"] == 2


def test_a_state_directory_with_a_long_name_has_a_control_socket_too(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    desk = Desk(folder)
    with desk.daemon() as daemon:
        assert daemon.chat("mock/echo?cost=0.03").status == 200
        desk.json("budgets", "adjust", TOTAL, "0.1", "--reason", "only a daemon counts it at once")
        assert {row["spent_usd"] for row in desk.json("budgets")["budgets"]} == {"0.130000000000", "0.030000000000"}
        assert "no_control_socket" not in daemon.output


def test_nothing_is_changed_in_the_files_while_somebody_else_has_them(desk: Desk) -> None:
    with desk.daemon() as daemon:
        (desk.folder / "state" / "control.sock").unlink()
        for order in (("keys", "create", "bob"), ("budgets", "adjust", TOTAL, "1", "--reason", "x")):
            assert f"in use by process {daemon.pid}" in desk.refused(*order)


def test_no_state_at_all_is_no_error(tmp_path: Path) -> None:
    desk = Desk.__new__(Desk)
    desk.folder = tmp_path
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}/none\nproviders: {{mock: {{}}}}\n")
    assert desk.json("usage")["rows"] == []
    assert desk.json("budgets") == {"budgets": []}
    assert desk.json("keys", "list") == {"keys": [], "open": True}
    assert "nothing to copy" in desk.refused("backup", str(tmp_path / "copy.db"))
    assert not (tmp_path / "none").exists()


@however
def test_what_calls_would_have_cost_elsewhere_is_told_and_nothing_is_sent(desk: Desk, how: str) -> None:
    with called(desk, how) as request_id:
        found = desk.json("simulate", "--candidates", "dear", "--strategy", "cost")
        of_nobody = desk.refused("simulate", "--candidates", "dear", "--asked", "nothing-*")
        nowhere = desk.refused("simulate", "--candidates", "dear", "--strategy", "cots")
        text = desk.run("simulate", "--candidates", "dear").stdout
    assert (found["calls"], found["compared"], found["changed"], found["strategy"]) == (2, 2, 2, "cost")
    assert found["was"]["cost_usd"] == "0.080000000000" and found["would_be"]["cost_usd"] > ZERO
    assert {one["model"]: (one["was"], one["would_be"]) for one in found["models"]}["dear"] == (0, 2)
    assert (found["changes"][0]["request_id"], found["changes"][0]["cost_usd"]) == (request_id, "0.050000000000")
    assert "no call" in of_nobody and "there is no strategy 'cots'" in nowhere
    assert text.startswith("2 calls since ") and "$0.08" in text
    assert found["calls"] == desk.json("usage")["total"]["calls"]
