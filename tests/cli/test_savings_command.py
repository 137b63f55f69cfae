"""What would have cost less, as it is asked of a ledger: by command, and over HTTP."""

from __future__ import annotations

import json
import shlex
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness.http import Connection, Reply, request_bytes
from harness.ledger import apply
from money_commands import Desk
from msgspec.structs import replace

from proxy.policy.analysis.savings import Advice
from proxy.stores.database import connect
from proxy.stores.journal.records import Row, Settled
from proxy.stores.journal.segments import Position
from proxy.web.operator.spending.savings import _row as _row_of

CALLS = 1000
AT_MS = int(time.time() * 1000) - 3_600_000
MEMBERS = {
    "providers": {"openrouter": {"api_key": "sk-or-canary", "base_url": "http://127.0.0.1:9/api/v1"}},
    "catalogue": {"refresh": "never"},
    "models": {},
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A thousand calls of gpt-4o, each of 4,000 tokens in, none of them cached, and 100 out: $11 at its price."""
    return filled(tmp_path_factory.mktemp("spent"), MEMBERS)


def filled(
    folder: Path, members: dict[str, Any], cost_pusd: int = 11 * 10**9, tenant: str = "", offered: str = ""
) -> Desk:
    desk = Desk(folder, **members)
    rows = [_row(number, cost_pusd, "responses" if number % 4 == 0 else "chat/completions") for number in range(CALLS)]
    used = [Settled(replace(row, tenant=tenant), (), offered, ("look",) if offered else ()) for row in rows]
    with closing(connect(desk.folder / "state" / "ledger.db")) as driver:
        driver.execute("BEGIN IMMEDIATE")
        with driver:
            apply(driver, [(Position(1, number + 1), record) for number, record in enumerate(used)])
    return desk


def _row(number: int, cost_pusd: int, endpoint: str) -> Row:
    return Row(
        f"req_{number}.1", f"req_{number}", 1, AT_MS + number, key="alice", endpoint=endpoint,
        asked="openai/gpt-4o", model="openai/gpt-4o", provider="openrouter", upstream_model="openai/gpt-4o", status=200,
        outcome="200", input_tokens=4000, output_tokens=100, cost_pusd=cost_pusd, source="reported", counts_call=True,
        hold_pusd=60 * 10**9 + number,
    )  # fmt: skip


def test_another_models_price_is_put_to_what_was_used(desk: Desk) -> None:
    found = desk.json("what-if", "--model", "openai/gpt-4o-mini", "--since", "7d")
    assert (found["was_usd"], found["would_be_usd"]) == ("11.000000000000", "0.660000000000")
    assert [(row["model"], row["provider"], row["calls"]) for row in found["rows"]] == [
        ("openai/gpt-4o", "openrouter", CALLS)
    ]
    assert desk.json("what-if", "--model", "openai/gpt-4o-mini", "--only", "claude-*", "--since", "7d")["rows"] == []
    text = desk.run("what-if", "--model", "openai/gpt-4o-mini", "--since", "7d").stdout
    assert "At openai/gpt-4o-mini" in text and "$0.66" in text
    assert "no price is known of" in desk.refused("what-if", "--model", "nobody/nothing")


def test_what_would_have_cost_less_is_told_and_tried_by_the_command_it_names(desk: Desk) -> None:
    found = desk.json("savings", "--since", "7d")
    assert found["spent_usd"] == "11.000000000000"
    told = {one["kind"]: one for one in found["savings"]}
    assert set(told) == {"cheaper_model", "prompt_cache", "maximum"}
    assert told["maximum"]["saves_usd"] == "0.000000000000"
    assert "holds $0.06 of its budgets" in told["maximum"]["why"] and "than 100 tokens" in told["maximum"]["why"]
    assert told["prompt_cache"]["saves_usd"] == "2.500000000000"  # half of four million tokens, at $1.25 less
    text = desk.run("savings", "--since", "7d").stdout
    assert text.startswith("$11.00 were spent on calls of text since ") and "try: tollkeeper settings set" in text
    how = shlex.split(told["cheaper_model"]["how"])
    done = desk.run(*how[1:])
    assert done.returncode == 0, done.stderr
    (experiment,) = desk.json("experiments", "list")["experiments"]
    assert f"experiments.{experiment['name']}" in how and experiment["arms"][0]["target"] == "openai/gpt-4o"


def test_calls_as_long_as_one_before_are_told_of_with_what_they_cost(tmp_path: Path) -> None:
    desk = Desk(tmp_path, **MEMBERS)
    often = [
        replace(_row(number, 11 * 10**9, "messages"), hold_pusd=10**9, at_ms=AT_MS + number) for number in range(40)
    ]
    hours = [replace(_row(number, 10**9, "messages"), at_ms=AT_MS - number * 4_000_000) for number in range(40, 80)]
    rows = [*often, *(replace(row, hold_pusd=7) for row in hours)]
    with closing(connect(desk.folder / "state" / "ledger.db")) as driver:
        driver.execute("BEGIN IMMEDIATE")
        with driver:
            apply(driver, [(Position(1, number + 1), Settled(row, ())) for number, row in enumerate(rows)])
    (told,) = [one for one in desk.json("savings", "--since", "30d")["savings"] if one["kind"] == "repeats"]
    assert (told["saves_usd"], told["confidence"]) == ("0.429000000000", "low")  # all of the forty but the first
    assert told["why"].startswith("39 of the newest 80 calls were as long") and "`cache: true`" in told["how"]


def test_tools_that_are_never_called_are_named_with_what_they_cost(tmp_path: Path) -> None:
    desk = filled(tmp_path, MEMBERS, offered='{"look":400,"run":300,"mcp__a__b":100}')
    (told,) = [one for one in desk.json("savings", "--since", "7d")["savings"] if one["kind"] == "unused_tools"]
    assert (told["saves_usd"], told["confidence"], told["to"]) == ("1.000000000000", "medium", None)
    text = desk.run("savings", "--since", "7d").stdout
    assert "$1.00  unused tools: openai/gpt-4o at openrouter (medium)" in text
    told_of = "run ($0.75: 300 tokens in each of 1,000 calls), mcp__a__b ($0.25: 100 tokens in each of 1,000 calls)"
    assert f"never called: {told_of}; the provider's cache had 0%" in text
    assert "try: leave them out of `tools`" in text and "look" not in text


def test_the_daemon_says_the_same(desk: Desk) -> None:
    with desk.daemon() as daemon:
        assert daemon.asked("/savings?since=7d")["spent_usd"] == "11.000000000000"
        assert daemon.asked("/what-if?model=openai/gpt-4o-mini&since=7d")["would_be_usd"] == "0.660000000000"
    assert desk.json("savings", "--since", "2100-01-01")["savings"] == []


def test_an_admin_of_a_tenant_is_told_of_its_own_calls_and_of_models_it_may_use(tmp_path: Path) -> None:
    lists = {"acme": ["openai/*"], "mini": ["openai/gpt-4o", "openai/gpt-4o-mini"], "globex": []}
    tenants = {name: {"models": models} for name, models in lists.items()}
    admins = {
        name: {"token": f"admin-{name}", "role": "viewer" if name == "globex" else "analyst", "tenant": name}
        for name in lists
    }
    admin = {"port": 0, "token": "admin-everybody"}
    tools = '{"look":400,"run":400}'
    desk = filled(
        tmp_path, {**MEMBERS, "tenants": tenants, "admins": admins, "admin": admin}, tenant="mini", offered=tools
    )

    def seen(path: str, name: str) -> Reply:
        with Connection(daemon.admin_port) as connection:
            headers = [("Authorization", f"Bearer admin-{name}")]
            connection.send(request_bytes("GET", path, headers, None, f"127.0.0.1:{daemon.admin_port}"))
            return connection.read_reply("GET")

    with desk.daemon() as daemon:
        whole, own = (seen("/savings?since=7d", name).json for name in ("everybody", "mini"))
        assert whole["spent_usd"] == own["spent_usd"] == "11.000000000000"
        assert {one["to"] for one in own["savings"]} == {None, "openai/gpt-4o-mini"}
        assert [one["saves_usd"] for one in own["savings"] if one["kind"] == "unused_tools"] == ["1.000000000000"]
        assert {one["to"] for one in whole["savings"]} > {None}
        (row,) = [one for one in own["savings"] if one["to"]]
        assert row["how"].startswith("ask whoever runs this for an experiment: tollkeeper settings set experiments.")
        other = seen("/savings?since=7d", "acme").json
        assert (other["spent_usd"], other["savings"]) == ("0.000000000000", [])
        assert seen("/what-if?model=openai/gpt-4o-mini&since=7d", "mini").json["would_be_usd"] == "0.660000000000"
        assert seen("/what-if?model=anthropic/claude-3.5-haiku", "mini").status == 404
        assert seen("/savings", "globex").error["code"] == "role_not_sufficient"


def test_a_name_that_a_client_chose_is_quoted_in_the_command() -> None:
    name = "x'; touch /tmp/pwned; '"
    row = _row_of(Advice("cheaper_model", name, "here", "maker/small", 1, "low", "why"))
    *words, value = shlex.split(row.how)
    assert words == ["tollkeeper", "settings", "set", "experiments.pwned-to-small"]
    assert json.loads(value)["model"] == name


def test_another_provider_of_the_same_model_is_told_where_it_costs_less(tmp_path: Path) -> None:
    providers = {**MEMBERS["providers"], "openai": {"api_key": "sk-oa-canary", "base_url": "http://127.0.0.1:9/v1"}}
    desk = filled(tmp_path, {**MEMBERS, "providers": providers}, cost_pusd=12 * 10**9)
    (told,) = [one for one in desk.json("savings")["savings"] if one["kind"] == "cheaper_provider"]
    assert (told["to"], told["saves_usd"], told["confidence"]) == ("openai/gpt-4o", "1.000000000000", "high")
    assert told["how"] == "send calls with the header `x-tollkeeper-route: openai`"
