"""`tollkeeper settings` as somebody types it, with a daemon and without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from money_commands import Desk

from proxy.config.load import load

SECRET = "sk-stored-canary-0042"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def said(desk: Desk, *words: str) -> str:
    done = desk.run("settings", *words)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stdout


def walk(desk: Desk) -> None:
    """Set, change, look, go back, take away."""
    gpu = '{kind: openai, base_url: "http://127.0.0.1:9/v1", api_key: sk-stored-canary-0042, free: true}'
    assert said(desk, "set", "providers.gpu1", gpu) == "providers: gpu1 added\n"
    assert said(desk, "set", "models.fast1", "mock/echo", "--reason", "quick") == "models: fast1 added\n"
    assert said(desk, "set", "models.fast1", "gpu1/llama", "--dry-run") == "models: fast1 changed (target)\n"
    assert said(desk, "set", "models.fast1", "gpu1/llama") == "models: fast1 changed (target)\n"
    assert said(desk, "get", "models.fast1") == "gpu1/llama\n...\n"
    assert said(desk, "diff", "models.fast1").splitlines()[3:] == ["-mock/echo", "+gpu1/llama", " ..."]
    rows = said(desk, "list")
    assert "providers.gpu1" in rows and "config.yaml, line" in rows and "…0042" in said(desk, "get", "providers.gpu1")
    assert said(desk, "rollback", "models.fast1", "1") == "models: fast1 changed (target)\n"
    assert [line.split()[3] for line in said(desk, "history", "models.fast1").splitlines()[2:]] == ["3", "2", "1"]
    assert "quick" in said(desk, "history", "models")


def test_settings_beside_a_daemon(desk: Desk) -> None:
    with desk.daemon() as daemon:
        walk(desk)
        assert daemon.chat("fast1").status == 200


def test_settings_without_a_daemon_are_what_the_next_one_has(desk: Desk) -> None:
    walk(desk)
    with desk.daemon() as daemon:
        assert daemon.chat("fast1").status == 200


def test_what_is_exported_passes_the_check_and_comes_back_whole(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "team.yaml"
    said(desk, "set", "providers.gpu1", f'{{kind: openai, base_url: "http://127.0.0.1:9/v1", api_key: {SECRET}}}')
    said(desk, "set", "budgets.team1", "{usd: 5, per: day}")
    said(desk, "set", "tenants.acme", "{credentials: {mock: sk-acme-canary-77}}")  # mock is the file's
    file.write_text(said(desk, "export"))
    file.chmod(0o600)
    assert list(load(file, {}).settings.providers) == ["mock", "gpu1"]  # as `check` does it
    assert said(desk, "import", str(file)) == "nothing has changed\n"
    for entry in ("providers.gpu1", "budgets.team1"):
        said(desk, "set", entry, "{usd: 6, per: day}" if "budget" in entry else "{kind: mock}")
    said(desk, "rollback", "providers.gpu1", "1")
    assert said(desk, "import", str(file)) == "budgets: changed\n"
    assert "usd: 5" in said(desk, "get", "budgets.team1") and "…0042" in said(desk, "get", "providers.gpu1")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("set", "keys.alice", "{}"), "keys.alice stands in {folder}/config.yaml, line "),
        (("set", "budgets.x", "{usd: 5, per: dya}"), "budgets.x.per: must be minute"),
        (("set", "budgets.x", "{usd: 5"), "is not closed"),
        (("set", "tenants.x", "{credentials: {mock: …abcd}}"), "tenants.x.credentials.mock is a secret as it is shown"),
        (
            ("set", "models.x", "mock/echo", "--version", "3"),
            "the change is of version 3 of models.x, which is not there",
        ),
        (("remove", "models.nobody"), "models has no 'nobody'"),
        (("get", "modles.dear"), "no section 'modles' has entries to set (did you mean models?)"),
        (("rollback", "models.dear", "9"), "models.dear had no version 9"),
        (("diff", "models.dear"), "models.dear has no version"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(desk: Desk, words: tuple[str, ...], sentence: str) -> None:
    assert sentence.format(folder=desk.folder) in desk.refused("settings", *words)


def test_a_secret_can_be_stored_before_the_first_start(tmp_path: Path) -> None:
    desk = Desk.__new__(Desk)
    desk.folder = tmp_path
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}/new/state\nproviders: {{mock: {{}}}}\n")
    (tmp_path / "config.yaml").chmod(0o600)
    done = desk.run("settings", "set", "providers.openrouter", '{"api_key": "sk-or-canary"}')
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "state" / "master.key").stat().st_mode & 0o777 == 0o600
