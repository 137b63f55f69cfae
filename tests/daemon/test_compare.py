"""Comparisons and feedback: calls of the key that asks, what is told of them, and whose calls may be scored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import REPOSITORY, Daemon
from harness.http import Reply
from harness.surroundings import PATIENCE_SECONDS, surroundings

KEYS = {
    "alice": {"key": "sk-alice-canary", "budgets": [{"usd": 1, "per": "total"}], "models": ["mock/*"]},
    "bob": {"key": "sk-bob-canary"},
    "carol": {"key": "sk-carol-canary", "cache": {"when": "always"}, "coalesce": True},
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = {"providers": {"mock": {}}, "keys": KEYS, "shutdown": {"drain": 1}}
    with Daemon(config, tmp_path_factory.mktemp("compare"), key="sk-alice-canary") as running:
        yield running
        assert running.stop() == 0, running.output


def compared(daemon: Daemon, **members: Any) -> Reply:
    return daemon.post(
        "/tollkeeper/compare", {"models": ["mock/echo", "mock/slow?ttft=0.05"], "prompt": "Hello there", **members}
    )


def test_what_a_comparison_cannot_be_is_told_in_words(daemon: Daemon) -> None:
    for wrong, sentence in (
        ({"models": []}, "'models' must be a list of at least 1."),
        ({"repeat": 11}, "'repeat' must be a whole number of at most 10."),
    ):
        reply = compared(daemon, **wrong)
        assert (reply.status, reply.error["message"]) == (400, f"The comparison cannot be read: {sentence}")


def test_each_column_is_a_measured_call_of_the_key(daemon: Daemon) -> None:
    reply = compared(daemon, repeat=2, max_tokens=50)
    assert reply.status == 200, reply.body
    cells = reply.json["cells"]
    assert [(cell["column"], cell["model"], cell["run"]) for cell in cells] == [
        ("A", "mock/echo", 1), ("B", "mock/slow?ttft=0.05", 1), ("A", "mock/echo", 2), ("B", "mock/slow?ttft=0.05", 2),
    ]  # fmt: skip
    for cell in cells:
        assert (cell["status"], cell["text"], cell["error"], cell["cost_source"]) == (
            200,
            "Hello there",
            None,
            "reported",
        )
        assert cell["first_token_ms"] <= cell["total_ms"] and cell["output_tokens"] == 2
        line = daemon.wait_for_log(lambda line, found=cell: line.get("request_id") == found["request_id"])  # type: ignore[misc]
        assert (line["key"], line["cost_usd"]) == ("alice", cell["cost_usd"])
    assert reply.json["verdict"] is None


def test_each_column_is_asked_however_often_it_was_before(daemon: Daemon) -> None:
    body = {"models": ["mock/echo"], "prompt": "Hello again", "repeat": 2}
    for _ in range(2):
        reply = daemon.post("/tollkeeper/compare", body, [("Authorization", "Bearer sk-carol-canary")])
        assert {cell["cost_source"] for cell in reply.json["cells"]} == {"reported"}


def test_pieces_come_as_they_are_said_and_names_only_at_the_end(daemon: Daemon) -> None:
    reply = compared(daemon, stream=True, blind=True)
    events = [json.loads(line[6:]) for line in reply.body.decode().split("\n") if line.startswith("data: {")]
    said = "".join(event["text"] for event in events if event.get("column") == "A")
    assert said == "Hello there"
    assert {event["cell"]["model"] for event in events if "cell" in event} == {None}
    assert set(events[-1]["result"]["models"].values()) == {"mock/echo", "mock/slow?ttft=0.05"}
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_its_calls_end_with_whoever_asked_for_them(daemon: Daemon) -> None:
    body = json.dumps({"models": ["mock/echo", "mock/hang?after=headers"], "prompt": "Go on", "stream": True}).encode()
    with daemon.connect() as connection:
        connection.send(daemon.request("POST", "/tollkeeper/compare", [], body))
        connection.read_head()  # comes with what the first one says; the other says nothing for ever
    daemon.wait_for_log(lambda line: line.get("endpoint") == "tollkeeper/compare" and bool(line["client_left"]))
    (call,) = daemon.asked("/calls")["calls"]
    assert (call["model"], call["client_left"]) == ("mock/hang?after=headers", True)


def test_a_column_that_fails_is_told_in_its_cell(daemon: Daemon) -> None:
    reply = compared(daemon, models=["mock/echo", "mock/error?status=400", "openai/gpt-4o"])
    errors = [(cell["status"], cell["error"]) for cell in reply.json["cells"]]
    assert errors[0] == (200, None) and errors[1][0] == 400 and errors[1][1]
    assert errors[2] == (404, "model_not_found"), "what the key may not use, it may not compare"


def test_a_judge_is_asked_twice_and_what_cannot_be_read_is_no_verdict(daemon: Daemon) -> None:
    verdict = compared(daemon, judge="mock/echo").json["verdict"]
    assert (verdict["winner"], len(verdict["request_ids"])) == (None, 2)


@pytest.mark.parametrize(
    "body",
    [{"models": []}, {"models": ["a"] * 9}, {"prompt": None}, {"messages": []}, {"repeat": 0}, {"models": "mock/echo"}],
)
def test_what_is_no_comparison_is_refused(daemon: Daemon, body: dict[str, Any]) -> None:
    reply = compared(daemon, **body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_value")


def scored(daemon: Daemon, key: str = "alice", **members: Any) -> Reply:
    headers = [("Authorization", f"Bearer {KEYS[key]['key']}")]
    return daemon.post("/tollkeeper/feedback", members, headers)


def test_feedback_is_kept_with_the_call_of_ones_own_key(daemon: Daemon) -> None:
    identity = daemon.chat("mock/echo").request_id
    assert scored(daemon, request_id=identity, score=True).json == {"request_id": identity, "score": 1.0, "label": ""}
    assert scored(daemon, request_id=identity, score=-0.25, label="tone").status == 200
    assert scored(daemon, request_id=identity, score=0.5, label="tone").status == 200
    theirs = scored(daemon, "bob", request_id=identity, score=-1)
    unknown = scored(daemon, request_id="req_0", score=1)
    assert {(reply.status, reply.error["code"]) for reply in (theirs, unknown)} == {(404, "not_found")}
    assert scored(daemon, request_id=identity, score=2).status == 400
    assert scored(daemon, request_id=identity, score=1, label="x" * 65).status == 400
    opinions = daemon.asked(f"/calls/{identity}")["feedback"]
    assert sorted((one["label"], one["score"]) for one in opinions) == [("", 1.0), ("tone", 0.5)]


@pytest.mark.parametrize(("models", "code"), [("mock/echo", 0), ("mock/echo,mock/empty?x=1", 1)])
def test_the_exit_status_is_for_pipelines(daemon: Daemon, tmp_path: Path, models: str, code: int) -> None:
    (tmp_path / "prompts.txt").write_text("One.\n\nTwo.\n")
    command = [
        sys.executable,
        "-m",
        "proxy",
        "compare",
        "--file",
        str(tmp_path / "prompts.txt"),
        "--models",
        models,
        "--json",
    ]
    env = surroundings(daemon.folder, TOLLKEEPER_KEY="sk-alice-canary")
    done = subprocess.run(
        [*command, "--config", str(daemon.folder / "config.yaml")], check=False, cwd=REPOSITORY, env=env,
        capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert [json.loads(line)["cells"][0]["text"] for line in done.stdout.splitlines()] == ["One.", "Two."]
