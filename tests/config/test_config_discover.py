"""Where the file is found, what the environment decides, and what becomes of both."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from proxy.config.discover import NO_PROVIDER, find_config, state_dir, user_config
from proxy.config.load import load
from proxy.config.problems import ConfigProblems
from proxy.policy.values import Alias, Listen, Provider, RetryRules, Route, Timeouts
from proxy.secret import Secret


def test_the_first_place_with_a_file_counts(tmp_path: Path) -> None:
    system = tmp_path / "etc.yaml"
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path)}
    user = tmp_path / "xdg" / "tollkeeper" / "config.yaml"
    assert find_config(None, env, system) is None
    system.touch()
    assert find_config(None, env, system) == system
    user.parent.mkdir(parents=True)
    user.touch()
    assert find_config(None, env, system) == user == user_config(env)
    assert find_config(None, {**env, "TOLLKEEPER_CONFIG": "~/named.yaml"}, system) == tmp_path / "named.yaml"
    assert find_config("given.yaml", {**env, "TOLLKEEPER_CONFIG": "named.yaml"}, system) == Path("given.yaml")


@pytest.mark.parametrize(
    "env", [{"HOME": "/h"}, {"HOME": "/h", "XDG_CONFIG_HOME": ""}, {"HOME": "/h", "XDG_CONFIG_HOME": "rel"}]
)
def test_without_a_usable_xdg_directory_it_is_below_home(env: dict[str, str]) -> None:
    assert user_config(env) == Path("/h/.config/tollkeeper/config.yaml")


def test_without_home_the_system_says_where_home_is() -> None:
    assert user_config({}).is_absolute()


@pytest.mark.parametrize(
    ("explicit", "source", "env", "expected"),
    [
        ("/data", "/etc/tollkeeper/config.yaml", {"STATE_DIRECTORY": "/s"}, "/data"),
        ("~/data", None, {}, "/h/data"),
        ("data", "/srv/c.yaml", {}, "/srv/data"),
        (None, "/etc/tollkeeper/config.yaml", {"STATE_DIRECTORY": "/s"}, "/s"),
        (None, None, {"STATE_DIRECTORY": "/s:/t"}, "/s"),
        (None, "/etc/tollkeeper/config.yaml", {"XDG_STATE_HOME": "/x"}, "/var/lib/tollkeeper"),
        (None, "/srv/c.yaml", {"XDG_STATE_HOME": "/x"}, "/x/tollkeeper"),
        (None, None, {"XDG_STATE_HOME": "/x"}, "/x/tollkeeper"),
        (None, None, {}, "/h/.local/state/tollkeeper"),
    ],
)
def test_the_state_directory_has_its_order(
    explicit: str | None, source: str | None, env: dict[str, str], expected: str
) -> None:
    assert state_dir(explicit, Path(source) if source else None, {"HOME": "/h", **env}) == expected


@pytest.mark.parametrize(
    ("env", "providers"),
    [
        ({}, {}),
        ({"OPENROUTER_API_KEY": ""}, {}),
        ({"OPENROUTER_API_KEY": "a"}, {"openrouter": "a"}),
        ({"OPEN_ROUTER_API_KEY": "b"}, {"openrouter": "b"}),
        ({"OPENROUTER_API_KEY": " \n", "OPEN_ROUTER_API_KEY": "b"}, {"openrouter": "b"}),
        ({"OPEN_ROUTER_API_KEY": "a", "OPENROUTER_API_KEY": "a"}, {"openrouter": "a"}),
        ({"ANTHROPIC_API_KEY": "d", "OPENAI_API_KEY": " c\n", "OPENROUTER_API_KEY": "a"}, {"openrouter": "a", "openai": "c", "anthropic": "d"}),
        ({"OPENAI_BASE_URL": "http://localhost:8655/v1", "OPENAI_API_KEY": "c"}, {"openai": "c"}),
    ],
)  # fmt: skip
def test_keys_of_the_environment_make_providers(env: dict[str, str], providers: dict[str, str]) -> None:
    settings = load(None, env).settings
    found = {name: provider.api_key.reveal() for name, provider in settings.providers.items() if provider.api_key}
    assert list(found.items()) == list(providers.items())
    assert settings.source is None
    assert all("localhost" not in provider.base_url for provider in settings.providers.values())
    assert settings.warnings == (() if providers else (NO_PROVIDER,))


def test_a_provider_of_the_environment_says_so() -> None:
    assert load(None, {"OPEN_ROUTER_API_KEY": "b"}).settings.providers["openrouter"] == Provider(
        name="openrouter",
        kind="openrouter",
        base_url="https://openrouter.ai/api/v1",
        api_key=Secret("b"),
        key_source="environment variable OPEN_ROUTER_API_KEY",
        speaks=frozenset({"chat", "completions", "responses", "messages", "embeddings"}),
    )


def test_the_mock_takes_the_place_of_every_provider(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("providers: {openai: {api_key: x}}\nroutes: [{match: a, provider: openai}]\nmodels: {a: b/c}\n")
    for settings in (load(None, {"OPENAI_API_KEY": "x"}, mock=True).settings, load(file, {}, mock=True).settings):
        (mock,) = settings.providers.values()
        assert (mock.name, mock.kind, mock.base_url, mock.api_key) == ("mock", "mock", "", None)
        assert settings.routes == ()


def test_a_file_without_providers_takes_those_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("routes: [{match: 'a/*', provider: openai}]\n")
    settings = load(file, {"OPENAI_API_KEY": "x"}).settings
    assert list(settings.providers) == ["openai"]
    assert settings.source == str(file)
    file.write_text("providers: {mock: }\n")
    assert list(load(file, {"OPENAI_API_KEY": "x"}).settings.providers) == ["mock"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "c.yaml: there is no such file; `tollkeeper init` writes one to start from"),
        (b"a: 1\nb: \xc3\xa9\xff\n", "c.yaml:2:5: the file is not UTF-8 text from here on"),
        ("a: 1".encode("utf-16"), "c.yaml:1:1: the file is not UTF-8 text from here on"),
        (b"#" * (4 * 2**20 + 1), "c.yaml: the file is larger than 4 MiB; a configuration never is"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    file = tmp_path / "c.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigProblems) as caught:
        load(str(file), {})
    assert str(caught.value) == f"{tmp_path}/{complaint}"


@pytest.mark.parametrize(("name", "reason"), [(".", "Is a directory"), ("a\0b", "not a usable path")])
def test_what_is_no_file_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigProblems, match=f"the file cannot be read \\({reason}\\)"):
        load(tmp_path / name, {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "null", "---\n..."])
def test_an_empty_file_is_taken_for_a_lost_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigProblems, match="c.yaml: the file is empty"):
        load(file, {"HOME": "/h", "OPENAI_API_KEY": "x"})


def test_a_file_that_says_nothing_is_a_whole_configuration(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("{}")
    settings = load(file, {"HOME": "/h", "OPENAI_API_KEY": "x"}).settings
    assert settings.listen == Listen("127.0.0.1", 8655)
    assert settings.admin == Listen("127.0.0.1", 8656)
    assert settings.admin_token is None
    assert settings.state_dir == "/h/.local/state/tollkeeper"
    assert settings.catalogue_refresh == 21600
    assert settings.retries == RetryRules()
    assert settings.max_body == 64 * 2**20
    assert settings.callers == ()
    assert (settings.drain, settings.log_level, settings.log_format) == (30.0, "info", "auto")
    assert (settings.default_model, settings.unknown_models) == (None, "reject")


EVERYTHING = """
listen: {socket: run/data.sock, hosts: [Proxy.Example.org], origins: ["https://App.example.org/"]}
admin: {host: "[::1]", port: 0, token: t}
state_dir: state
providers:
  local:
    kind: openai
    base_url: http://127.0.0.1:11434/v1//
    free: true
    headers: {X-Title: My app}
    timeouts: {connect: 500ms, first_byte: 2m, idle: 1, total: 1h}
    proxy: environment
  anthropic: {api_key: k}
routes: [{match: "anthropic/*", provider: anthropic}]
models:
  short: openai/gpt-4o
  long: {target: a/b, fallbacks: [c/d], defaults: {temperature: 0.80, stop: ["é"], n: 1, x: null, big: 1e3}}
default_model: short
unknown_models: pass
catalogue: {refresh: never}
retries: {attempts: 5, first_wait: 250ms, longest_wait: 1m}
max_body: 1MiB
keys:
  alice: {key: abc, models: ["openai/*"]}
  bob: {key_hash: "sha256:00000000000000000000000000000000000000000000000000000000000000FF"}
shutdown: {drain: 2m}
log: {level: debug, format: json}
"""


def test_every_value_arrives_where_the_daemon_looks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(EVERYTHING)
    file.chmod(0o600)
    settings = load(file, {}).settings
    assert settings.listen == Listen(
        "127.0.0.1", 8655, f"{tmp_path}/run/data.sock", ("proxy.example.org",), ("https://app.example.org",)
    )
    assert settings.admin == Listen("::1", 0)
    assert settings.admin_token == Secret("t")
    assert settings.state_dir == f"{tmp_path}/state"
    assert settings.providers == {
        "local": Provider(
            name="local",
            kind="openai",
            base_url="http://127.0.0.1:11434/v1",
            headers=(("X-Title", "My app"),),
            timeouts=Timeouts(0.5, 120.0, 1.0, 3600.0),
            free=True,
            proxy="environment",
        ),
        "anthropic": Provider(
            name="anthropic",
            kind="anthropic",
            base_url="https://api.anthropic.com/v1",
            api_key=Secret("k"),
            key_source=f"providers.anthropic.api_key in {file}",
            speaks=frozenset({"messages", "chat"}),
            batches=True,
        ),
    }
    assert settings.routes == (Route("anthropic/*", "anthropic"),)
    assert settings.aliases["short"] == Alias("openai/gpt-4o")
    defaults = (("temperature", b"0.8"), ("stop", '["é"]'.encode()), ("n", b"1"), ("x", b"null"), ("big", b"1000.0"))
    assert settings.aliases["long"] == Alias("a/b", ("c/d",), defaults)
    assert (settings.default_model, settings.unknown_models, settings.catalogue_refresh) == ("short", "pass", None)
    assert settings.retries == RetryRules(5, 0.25, 60.0)
    assert settings.max_body == 2**20
    alice, bob = settings.callers
    assert (alice.name, alice.models) == ("alice", ("openai/*",))
    assert alice.key_sha256.hex().startswith("ba7816bf")
    assert (bob.models, bob.key_sha256) == ((), bytes(31) + b"\xff")
    assert (settings.drain, settings.log_level, settings.log_format) == (120.0, "debug", "json")
    assert settings.warnings == ()


def test_money_stays_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "models: {a: {target: b, price: {input: 0.10, output: 1e-3}}}\n"
        "budgets: [{usd: 0.3, per: day, tz: Europe/Berlin}, {usd: 50, per: total, share: 0.5}]\n"
        "limits: [{tokens: 5, per: hour}, {concurrent: 8}]\n"
        "budget_policy: {unpriced: allow, wait: 500ms}\njournal: {fsync: always, max_bytes: 1GiB}\nledger: {keep: 400d}\n"
    )
    config = load(file, {"OPENAI_API_KEY": "x"}).config
    price = config.models["a"].price
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (Decimal("0.10"), Decimal("0.001"), None)
    assert [(budget.usd, budget.per, budget.tz, budget.share) for budget in config.budgets] == [
        (Decimal("0.3"), "day", "Europe/Berlin", Decimal(1)),
        (Decimal(50), "total", None, Decimal("0.5")),
    ]
    assert [(limit.tokens, limit.concurrent, limit.per) for limit in config.limits] == [
        (5, None, "hour"),
        (None, 8, None),
    ]
    assert (config.budget_policy.unpriced, config.budget_policy.wait) == ("allow", 0.5)
    assert (config.journal.fsync, config.journal.max_bytes, config.ledger.keep) == ("always", 2**30, 400 * 86400.0)


@pytest.mark.parametrize(
    ("providers", "warned"),
    [
        ("openai: ", True),
        ("openrouter: ", True),
        ("mock: ", False),
        ("openai: {base_url: 'http://localhost:1/v1'}", False),
        ("openai: {headers: {Authorization: Bearer x}}", False),
    ],
)
def test_a_provider_that_wants_a_key_and_has_none_draws_a_warning(tmp_path: Path, providers: str, warned: bool) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"providers:\n  {providers}\n")
    file.chmod(0o600)
    warnings = load(file, {}).settings.warnings
    assert [warning.endswith("wants one: set api_key or api_key_file") for warning in warnings] == [True] * warned
