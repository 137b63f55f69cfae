"""Keys made, listed and revoked beside those of the configuration, before a running daemon and on a stopped one's files."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.http import Reply
from money_commands import KEY, Desk

from proxy.config.new_key import budget_term, limit_term, read_new_key


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@contextmanager
def maybe_running(desk: Desk, is_running: bool) -> Iterator[None]:
    """A daemon, or none."""
    if not is_running:
        yield
        return
    with desk.daemon():
        yield


def ask(daemon: Daemon, key: str, model: str = "mock/echo?cost=0.03") -> Reply:
    return daemon.chat(model, [("Authorization", f"Bearer {key}")])


def names(desk: Desk) -> list[str]:
    return [key["name"] for key in desk.json("keys", "list")["keys"]]


either = pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])


@either
def test_a_key_works_from_its_making_to_its_revocation(desk: Desk, is_running: bool) -> None:
    with maybe_running(desk, is_running):
        made = desk.run("keys", "create", "bob", "--budget", "2/day", "--limit", "60/minute", "--limit", "concurrent:8")
        secret = made.stdout.strip()
        assert secret.startswith("sk-tk-") and len(secret) == 49 and secret not in made.stderr
    with desk.daemon() as daemon:
        assert ask(daemon, secret).status == 200
        assert daemon.line_of(ask(daemon, secret))["key"] == "bob"
        alice, bob = desk.json("keys", "list")["keys"]
        assert ask(daemon, KEY).status == 200
        assert "Keys: alice, bob" in daemon.output
        assert desk.run("keys", "revoke", "bob").stdout == "The key bob is revoked.\n"
        assert ask(daemon, secret).status == 401
        assert ask(daemon, KEY).status == 200
        assert secret not in daemon.output
    assert (alice["from"], bob["from"]) == ("configuration", "store")
    assert (bob["limits"], bob["spent_usd"], bob["expired"]) == (["60/minute", "concurrent:8"], "0.060000000000", False)
    assert (bob["budgets"][0]["budget"], bob["budgets"][0]["spent_usd"]) == ("key:bob:day", "0.060000000000")
    assert bob["created_at"] < bob["last_used_at"]
    assert names(desk) == ["alice"]
    for file in (desk.folder / "state").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), f"the secret is in {file}"


def test_a_budget_of_a_new_key_binds_at_once_and_after_a_restart(desk: Desk) -> None:
    with desk.daemon() as daemon:
        secret = desk.json("keys", "create", "bob", "--budget", "0.03/day")["key"]
        assert [ask(daemon, secret).status for _ in range(3)] == [200, 402, 402]
        assert ask(daemon, KEY).status == 200
    with desk.daemon() as daemon:
        assert ask(daemon, secret).status == 402


def test_a_new_key_of_an_old_name_goes_on_where_that_one_stood(desk: Desk) -> None:
    """A name's budget is one budget: making a key anew is no way to spend it twice, restarted or not."""
    with desk.daemon() as daemon:
        secret = desk.json("keys", "create", "bob", "--budget", "0.03/day")["key"]
        assert ask(daemon, secret).status == 200
        desk.run("keys", "revoke", "bob")
    with desk.daemon() as daemon:
        again = desk.json("keys", "create", "bob", "--budget", "0.03/day")["key"]
        assert (ask(daemon, secret).status, ask(daemon, again).status) == (401, 402)


def test_limits_of_a_new_key_bind_at_once(desk: Desk) -> None:
    with desk.daemon() as daemon:
        secret = desk.json("keys", "create", "bob", "--limit", "2/hour")["key"]
        assert [ask(daemon, secret).status for _ in range(3)] == [200, 200, 429]
        explained = desk.json("explain", "mock/echo", "--key", "bob")
    assert explained["verdict"] == "refused with 429 rate_limit_exceeded by key:bob:requests:hour"


def test_a_start_with_keys_that_are_bounded_loads_nothing_to_check_their_bounds_with(desk: Desk) -> None:
    """A copy of the daemon has done that; what it read binds."""
    secret = desk.json("keys", "create", "bob", "--limit", "2/hour", "--budget", "5/day")["key"]
    with desk.daemon() as daemon:
        assert "/pydantic_core/" not in Path(f"/proc/{daemon.pid}/maps").read_text()
        assert [ask(daemon, secret).status for _ in range(3)] == [200, 200, 429]
        budgets = desk.json("budgets")["budgets"]
    assert [one["cap_usd"] for one in budgets if one["scope"] == "key:bob"] == ["5.000000000000"]


def test_a_new_key_may_use_the_models_it_was_made_for(desk: Desk) -> None:
    with desk.daemon() as daemon:
        secret = desk.json("keys", "create", "bob", "--models", "mock/slow*, mock/json*")["key"]
        assert ask(daemon, secret, "mock/echo").status == 404
        assert ask(daemon, KEY, "mock/echo").status == 200


@either
def test_a_key_is_told_where_its_time_went_as_long_as_that_is_wanted(desk: Desk, is_running: bool) -> None:
    with maybe_running(desk, is_running):
        secret = desk.json("keys", "create", "bob", "--timing")["key"]
        assert [key["timing"] for key in desk.json("keys", "list")["keys"]] == [False, True]
    with desk.daemon() as daemon:
        assert "total;dur=" in (ask(daemon, secret).header("server-timing") or "")
        desk.run("keys", "update", "bob", "--models", "all")
        assert ask(daemon, secret).header("server-timing")
    with maybe_running(desk, is_running):
        assert desk.json("keys", "update", "bob", "--no-timing")["changed"] == ["timing"]
    with desk.daemon() as daemon:
        assert ask(daemon, secret).header("server-timing") is None


def test_a_key_has_its_own_word_on_what_translations_lose(tmp_path: Path) -> None:
    desk = Desk(tmp_path, providers={"mock": {"speaks": ["chat"]}}, tenants={"acme": {}})
    with desk.daemon() as daemon:
        secret = desk.json("keys", "create", "bob", "--lossy", "reject")["key"]

        def said() -> tuple[int, str]:
            body = {"model": "mock/echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
            search = [{"type": "web_search_20250305", "name": "web_search"}]
            reply = daemon.post("/v1/messages", {**body, "tools": search}, [("x-api-key", secret)])
            return reply.status, reply.header("x-tollkeeper-adjusted") or ""

        assert said() == (400, "")
        assert [key["lossy"] for key in desk.json("keys", "list")["keys"]] == [None, "reject"]
        for word, adjusted in (
            ("allow", "protocol=messages>chat"),
            ("default", "protocol=messages>chat, dropped=tools.web_search"),
        ):
            assert desk.json("keys", "update", "bob", "--lossy", word)["changed"] == ["lossy"]
            assert said() == (200, adjusted)
        for tenant in ("acme", "none"):
            assert desk.json("keys", "update", "bob", "--tenant", tenant)["changed"] == ["tenant"]
        assert desk.json("keys", "list")["keys"][1]["tenant"] is None


def test_a_key_has_its_own_word_on_what_is_kept_and_shared(desk: Desk) -> None:
    with desk.daemon() as daemon:
        secret = desk.json("keys", "create", "bob", "--coalesce", "on", "--cache", "1h")["key"]

        def caches() -> list[str | None]:
            body = {"model": "mock/echo", "seed": 1, "messages": [{"role": "user", "content": "hi"}]}
            head = [("Authorization", f"Bearer {secret}")]
            replies = [daemon.post("/v1/chat/completions", body, head) for _ in range(2)]
            return [reply.header("x-tollkeeper-cache") for reply in replies]

        assert caches() == ["miss", "hit"]
        told = desk.json("keys", "list")["keys"][1]
        kept = {"ttl": 3600.0, "when": "deterministic", "max_bytes": 256 * 2**20}
        assert (told["coalesce"], told["cache"]) == (True, kept)
        assert desk.json("keys", "update", "bob", "--cache", "off")["changed"] == ["cache"]
        assert caches() == [None, None]
        defaults = "--cache", "default", "--coalesce", "default"
        assert desk.json("keys", "update", "bob", *defaults)["changed"] == ["cache", "coalesce"]
        told = desk.json("keys", "list")["keys"][1]
        assert (told["coalesce"], told["cache"]) == (None, None)
    refused = desk.run("keys", "update", "bob", "--cache", "soon")
    assert refused.returncode == 2 and "cache.ttl" in refused.stderr


def test_a_key_that_has_ended_is_refused_like_an_unknown_one(desk: Desk) -> None:
    with desk.daemon() as daemon:
        ended = desk.json("keys", "create", "brief", "--expires", "1ms")["key"]
        lasting = desk.json("keys", "create", "bob", "--expires", "30d")["key"]
        refused, unknown = ask(daemon, ended), ask(daemon, "sk-tk-unknown")
        assert (refused.status, refused.json) == (unknown.status, unknown.json)
        assert ask(daemon, lasting).status == 200
        _, brief, _ = desk.json("keys", "list")["keys"]
        assert brief["expired"] is True
        assert "expired" in desk.run("keys", "list").stdout


def test_the_first_key_ends_open_mode_for_good(tmp_path: Path) -> None:
    desk = Desk(tmp_path, keys={})
    with desk.daemon() as daemon:
        assert ask(daemon, "anything").status == 200
        assert "There is no key; everybody" in desk.run("keys", "list").stdout
        made = desk.run("keys", "create", "bob")
        assert "from now on every call needs one" in made.stderr
        assert ask(daemon, "anything").status == 401
        assert ask(daemon, made.stdout.strip()).status == 200
        assert "from now on" not in desk.run("keys", "create", "carol").stderr
        for name in ("bob", "carol"):
            desk.run("keys", "revoke", name)
        assert ask(daemon, "anything").status == 401
    with desk.daemon() as daemon:
        assert ask(daemon, "anything").status == 401
        assert "Keys: none left; nobody may call" in daemon.output
    (desk.folder / "state" / "ledger.db").write_bytes(b"no database at all" * 100)
    with desk.daemon() as daemon:
        assert ask(daemon, "anything").status == 401


@either
def test_a_name_of_the_configuration_is_taken(desk: Desk, is_running: bool) -> None:
    with maybe_running(desk, is_running):
        assert "the configuration has a key named 'alice'" in desk.refused("keys", "create", "alice")
        assert "'alice' stands in the configuration" in desk.refused("keys", "revoke", "alice")
        assert "'alice' stands in the configuration" in desk.refused("keys", "update", "alice", "--models", "all")
        assert "'alice' stands in the configuration" in desk.refused("keys", "rotate", "alice")
        for order in (("revoke",), ("update", "--models", "all"), ("rotate",)):
            assert "no key named 'nobody' in the store" in desk.refused("keys", order[0], "nobody", *order[1:])
        desk.run("keys", "create", "bob")
        assert "a key named 'bob' already" in desk.refused("keys", "create", "bob")


@either
def test_a_key_gets_other_terms_and_keeps_its_secret_and_what_it_spent(desk: Desk, is_running: bool) -> None:
    secret = desk.json("keys", "create", "bob", "--budget", "5/day", "--limit", "9/hour", "--models", "mock/echo*")[
        "key"
    ]
    with desk.daemon() as daemon:
        assert ask(daemon, secret).status == 200
    with maybe_running(desk, is_running):
        told = desk.run(
            "keys", "update", "bob", "--budget", "0.03/day", "--limit", "none", "--models", "mock/*", "--expires", "30d"
        )
        assert told.stdout == "Changed for the key bob: budgets, when it ends, limits, models.\n", told.stderr
        _, bob = desk.json("keys", "list")["keys"]
    assert (bob["limits"], bob["models"], bob["budgets"][0]["cap_usd"]) == ([], ["mock/*"], "0.030000000000")
    assert (bob["spent_usd"], bob["budgets"][0]["spent_usd"]) == ("0.030000000000", "0.030000000000")
    assert bob["expires_at"] is not None
    with desk.daemon() as daemon:
        assert ask(daemon, secret, "mock/slow?cost=0.03").status == 402
        desk.run("keys", "update", "bob", "--budget", "none", "--expires", "never", "--models", "all")
        assert ask(daemon, secret, "mock/slow?cost=0.03").status == 200
        _, bob = desk.json("keys", "list")["keys"]
    assert (bob["budgets"], bob["expires_at"], bob["models"]) == ([], None, [])


@either
def test_another_name_lifts_no_cap(desk: Desk, is_running: bool) -> None:
    secret = desk.json("keys", "create", "bob", "--budget", "0.03/day", "--budget", "9/month")["key"]
    desk.run("keys", "create", "carol")
    with desk.daemon() as daemon:
        assert ask(daemon, secret).status == 200
    with maybe_running(desk, is_running):
        assert "named 'carol' already" in desk.refused("keys", "update", "bob", "--name", "carol")
        assert "a key named 'alice' already" in desk.refused("keys", "update", "bob", "--name", "alice")
        told = desk.run("keys", "update", "bob", "--name", "bobby").stdout
    assert told == (
        "The key bob is now bobby.\nkey:bobby:day goes on with what bob has spent.\n"
        "key:bobby:month goes on with what bob has spent.\n"
    )
    with desk.daemon() as daemon:
        assert ask(daemon, secret).status == 402
        assert [b["spent_usd"] for b in desk.json("keys", "list")["keys"][1]["budgets"]] == ["0.030000000000"] * 2
    assert names(desk) == ["alice", "bobby", "carol"]


@either
def test_a_new_secret_leaves_the_old_one_as_long_as_was_said(desk: Desk, is_running: bool) -> None:
    old = desk.json("keys", "create", "bob", "--budget", "5/day", "--limit", "3/day")["key"]
    with maybe_running(desk, is_running):
        done = desk.run("keys", "rotate", "bob", "--grace", "24h")
        new = done.stdout.strip()
        assert new.startswith("sk-tk-") and new != old and "The one it had goes on until 20" in done.stderr
        _, bob = desk.json("keys", "list")["keys"]
        assert bob["old_secret_until"] is not None and bob["expires_at"] is None
        assert "(old secret: 20" in desk.run("keys", "list", env={"COLUMNS": "200"}).stdout
    with desk.daemon() as daemon:
        assert [ask(daemon, secret).status for secret in (old, new, old, new)] == [200, 200, 200, 429]
        assert "Keys: alice, bob\n" in daemon.output + "\n"
        newest = desk.run("keys", "rotate", "bob").stdout.strip()
        assert [ask(daemon, secret).status for secret in (old, new)] == [401, 401]
        assert ask(daemon, newest).status == 429
        desk.json("keys", "rotate", "bob", "--grace", "1h")
        desk.run("keys", "revoke", "bob")
        assert ask(daemon, newest).status == 401
    assert names(desk) == ["alice"]


def test_an_update_of_nothing_and_an_odd_grace_are_usage_errors(desk: Desk) -> None:
    for words in (("update", "bob"), ("update", "bob", "--budget", "5"), ("rotate", "bob", "--grace", "soon")):
        done = desk.run("keys", *words)
        assert (done.returncode, done.stdout) == (2, ""), done
    done = desk.run("keys", "rotate", "alicia")
    assert (done.returncode, "no key named 'alicia' in the store (did you mean alice?)" in done.stderr) == (1, True)


def test_on_a_clash_the_configuration_wins_and_says_so(desk: Desk) -> None:
    stored = desk.json("keys", "create", "bob")["key"]
    desk.config["keys"] = {**desk.config["keys"], "bob": {"key": "sk-bob-canary"}}
    with desk.daemon() as daemon:
        line = daemon.wait_for_log(lambda line: line.get("event") == "key_shadowed")
        assert "'bob'" in line["reason"]
        assert (ask(daemon, stored).status, ask(daemon, "sk-bob-canary").status) == (401, 200)
        assert [key["from"] for key in desk.json("keys", "list")["keys"]] == ["configuration", "configuration"]


def test_when_a_key_was_last_used_outlives_the_daemon(desk: Desk) -> None:
    secret = desk.json("keys", "create", "bob")["key"]
    assert desk.json("keys", "list")["keys"][1]["last_used_at"] is None
    with desk.daemon() as daemon:
        assert ask(daemon, secret).status == 200
    assert desk.json("keys", "list")["keys"][1]["last_used_at"].endswith("Z")


def test_only_a_keyed_hash_is_stored_and_its_key_lies_elsewhere(desk: Desk) -> None:
    made = desk.json("keys", "create", "bob", "--budget", "5/day")
    state, digest = desk.folder / "state", hashlib.sha256(made["key"].encode())
    with closing(sqlite3.connect(state / "ledger.db")) as ledger:
        ((kept, budgets),) = ledger.execute("SELECT key_hmac, budgets FROM keys")
    assert kept == hmac.digest((state / "hash.key").read_bytes(), digest.digest(), "sha256")
    assert made["key_hash"] == f"sha256:{digest.hexdigest()}"
    assert stat.S_IMODE((state / "hash.key").stat().st_mode) == 0o600
    with desk.daemon() as daemon:
        for no_secret in (kept.hex(), digest.hexdigest(), made["key_hash"]):
            assert ask(daemon, no_secret).status == 401
    assert budgets == '[{"usd":"5","per":"day"}]'


TERMS: list[tuple[Any, str, dict[str, object]]] = [
    (budget_term, "5/day", {"usd": "5", "per": "day"}),
    (budget_term, "$0.25/total", {"usd": "0.25", "per": "total"}),
    (limit_term, "60/minute", {"requests": 60, "per": "minute"}),
    (limit_term, "tokens:100000/hour", {"tokens": 100000, "per": "hour"}),
    (limit_term, "concurrent:8", {"concurrent": 8}),
    (budget_term, "shadow:$5/day", {"usd": "5", "per": "day", "shadow": True}),
    (limit_term, " shadow:tokens:9/day", {"tokens": 9, "per": "day", "shadow": True}),
]


@pytest.mark.parametrize(("read", "text", "term"), TERMS)
def test_terms_are_read_as_the_configuration_has_them(read: Any, text: str, term: dict[str, object]) -> None:
    assert read(text) == term


@pytest.mark.parametrize(
    ("read", "text"), [(budget_term, "5"), (limit_term, "x/minute"), (limit_term, "sixty"), (limit_term, "shadow")]
)
def test_what_is_no_term_is_said_to_be_none(read: Any, text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        read(text)


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({}, "name: is missing"),
        ({"name": "not a name"}, "name: is no usable name"),
        (
            {"name": "bob", "budgets": [{"usd": "5", "per": "fortnight"}]},
            "budgets.0.per: must be minute, hour, day, week, month or total",
        ),
        ({"name": "bob", "budgets": [{"usd": "-1", "per": "day"}]}, "budgets.0.usd: must be at least 0"),
        ({"name": "bob", "limits": [{"concurrent": 8, "per": "day"}]}, "limits.0: per does not go with concurrent"),
        ({"name": "bob", "limits": [{"requests": 8}]}, "limits.0: per is missing"),
        ({"name": "bob", "secret": "mine"}, "secret: "),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_its_place(tree: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        read_new_key(tree)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--budget", "5"), "must be"),
        (("--limit", "many"), "must be"),
        (("--expires", "later"), "must be"),
        (("--expires", "0"), "--expires must be longer than nothing"),
        (("--budget", "x/day"), "must be"),
        (("--models", ""), "'--models': is empty; leave it out, or is a variable not set?"),
        (("--models", " , "), "'--models': is empty"),
        (("--tenant", ""), "'--tenant': is empty"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_before_anything_is_done(
    tmp_path: Path, arguments: tuple[str, str], sentence: str
) -> None:
    desk = Desk.__new__(Desk)
    desk.folder = tmp_path
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}/none\nproviders: {{mock: {{}}}}\n")
    done = desk.run("keys", "create", "bob", *arguments)
    assert (done.returncode, done.stdout) == (2, "") and sentence in done.stderr
    assert not (tmp_path / "none").exists()
