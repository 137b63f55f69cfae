"""The database of jobs is locked by another process for a while: nothing that was answered is lost, and all goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from harness.daemon import Daemon
from harness.setting import CLIENT_KEY, config_for
from harness.steps import json_reply, then, wait_at
from harness.upstream import Upstream
from test_jobs_batches import begin, client, ended, lines, results

ANSWER = {
    "id": "gen-1",
    "object": "chat.completion",
    "model": "openai/gpt-4o-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "cost": 0.00001},
}


def test_a_batch_goes_on_once_its_database_is_free_again(upstream: Upstream, tmp_path: Path) -> None:
    config = {**config_for(upstream), "jobs": {"concurrent": 1}}
    with Daemon(config, tmp_path, key=CLIENT_KEY) as daemon:
        gate = upstream.gate()
        upstream.expect(then(wait_at(gate), json_reply(ANSWER)), json_reply(ANSWER), path="/chat/completions")
        user = client(daemon, CLIENT_KEY)
        batch = begin(user, lines(2))
        upstream.wait_for_calls(1)
        database = tmp_path / "state" / "jobs" / "jobs.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            gate.open()
            daemon.wait_for_log(lambda line: line.get("event") == "job_trouble")
            other.execute("ROLLBACK")
        batch = ended(user, batch)
        assert batch.status == "completed" and batch.request_counts is not None
        assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 0)
        assert sorted(results(user, batch.output_file_id)) == ["c0", "c1"]
        assert len(upstream.calls) == 2, "what was answered is not asked again"
        assert daemon.stop() == 0
