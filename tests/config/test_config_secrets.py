"""Variables are filled in, keys are read from files, and none of it is ever shown."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.check import check
from proxy.config.load import Loaded, load
from proxy.config.problems import ConfigProblems
from proxy.config.secrets import Concealed, read_key_file
from proxy.secret import Secret

CANARY = "sk-canary-3f9a"


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def loaded(folder: Path, text: str, **env: str) -> Loaded:
    return load(write(folder, text), env)


@pytest.mark.parametrize(
    ("written", "env", "expected"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}/${B}", {"A": "x", "B": "y"}, "x/y"),
        ("${A:-z}", {"A": "x"}, "x"),
        ("${A:-z}", {}, "z"),
        ("${A:-z}", {"A": ""}, "z"),
        ("${A:-}x", {}, "x"),
        ("a-$${A}", {}, "a-${A}"),
        ("$A", {"A": "x"}, "$A"),
        ("a$", {}, "a$"),
        ("${A}", {"A": "${B}"}, "${B}"),
    ],
)
def test_a_variable_is_filled_in_once(tmp_path: Path, written: str, env: dict[str, str], expected: str) -> None:
    settings = loaded(
        tmp_path, f"models:\n  a: '{written}'\n  b:\n    target: c\n    fallbacks: ['{written}']", **env
    ).settings
    assert settings.aliases["a"].target == expected
    assert settings.aliases["b"].fallbacks == (expected,)


def test_numbers_and_booleans_may_come_from_variables(tmp_path: Path) -> None:
    text = (
        "listen: {port: '${PORT}'}\nmax_body: ${BODY}\nshutdown: {drain: '${DRAIN}'}\n"
        "metrics: {gen_ai: '${GEN}'}\nbudgets: [{usd: '${USD}', per: '${PER}', share: '${SHARE}'}]\n"
    )
    values = {"PORT": "80", "BODY": "1MiB", "DRAIN": "5", "GEN": "true", "USD": "0.10", "PER": "day", "SHARE": "0.5"}
    config = loaded(tmp_path, text, **values).config
    assert (config.listen.port, config.max_body, config.shutdown.drain, config.metrics.gen_ai) == (80, 2**20, 5.0, True)
    (budget,) = config.budgets
    assert (str(budget.usd), budget.per, str(budget.share)) == ("0.10", "day", "0.5")


def test_a_key_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    key = loaded(tmp_path, "providers: {openai: {api_key: '${K}'}}", K="0012").settings.providers["openai"].api_key
    assert key is not None
    assert key.reveal() == "0012"


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("${K}", "environment variable K"),
        ("${K}${L}", "environment variable K and L"),
        ("${M:-plain}", "providers.openai.api_key in FILE"),
        ("plain", "providers.openai.api_key in FILE"),
    ],
)
def test_where_a_key_comes_from_is_said_in_words(tmp_path: Path, written: str, source: str) -> None:
    settings = loaded(tmp_path, f"providers: {{openai: {{api_key: '{written}'}}}}", K="k", L="l").settings
    assert settings.providers["openai"].key_source == source.replace("FILE", str(tmp_path / "config.yaml"))


@pytest.mark.parametrize("content", [CANARY, CANARY + "\n", CANARY + "\r\n", "\ufeff" + CANARY])
def test_a_key_file_is_read_without_its_line_break(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_bytes(content.encode())
    provider = loaded(tmp_path, "providers: {openai: {api_key_file: key}}").settings.providers["openai"]
    assert provider.api_key is not None
    assert provider.api_key.reveal() == CANARY
    assert provider.key_source == f"file {tmp_path / 'key'}"


@pytest.mark.parametrize("written", ["openai-key", "${CREDENTIALS_DIRECTORY}/openai-key"])
def test_a_credential_of_systemd_is_a_key_file(tmp_path: Path, written: str) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "openai-key").write_text(CANARY)
    (tmp_path / "openai-key").write_text("the file beside the configuration comes second")
    text = f"providers:\n  openai:\n    api_key_file: {written}"
    provider = loaded(tmp_path, text, CREDENTIALS_DIRECTORY=str(credentials)).settings.providers["openai"]
    assert provider.api_key is not None
    assert provider.api_key.reveal() == CANARY


def test_a_key_file_may_be_in_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)
    text = "providers: {openai: {api_key_file: ~/key}}"
    provider = loaded(tmp_path, text, HOME=str(tmp_path)).settings.providers["openai"]
    assert provider.key_source == f"file {tmp_path / 'key'}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no such file"),
        (b"", "the key in this file is empty"),
        (b"\n", "the key in this file is empty"),
        (b"a\nb\n", "the key in this file holds a space, a line break or a character outside ASCII; a key cannot"),
        (b"\xff\xfe", "the file does not hold text"),
        (b"x" * 70_000, "the file is larger than 64 KiB; a key never is"),
    ],
)
def test_a_key_file_without_a_key_is_a_problem(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValueError, match="^" + sentence.split(";")[0]):
        read_key_file(tmp_path / "key")


def test_only_a_regular_file_holds_a_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this is not a regular file"):
        read_key_file(tmp_path)


def test_a_key_file_with_an_impossible_path_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the file cannot be read"):
        read_key_file(tmp_path / ("x" * 300))


def test_two_sources_of_one_key_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)
    with pytest.raises(ConfigProblems, match="api_key and api_key_file are both given; keep one"):
        loaded(tmp_path, f"providers: {{openai: {{api_key: {CANARY}, api_key_file: key}}}}")


SECRETS = """
admin: {{token: {0}1}}
providers:
  openai:
    api_key: {0}2
    headers: {{Authorization: Bearer {0}3, X-Token: {0}4}}
    proxy: http://user:{0}5@proxy.example.org
  local: {{kind: openai, base_url: "http://x/v1", api_key_file: key}}
keys:
  alice: {{key: {0}6}}
alerts: [{{url: "https://hooks.example.org/{0}7", secret: "{0}8"}}]
"""


@pytest.mark.parametrize("form", ["inline", "variable"])
def test_nothing_that_was_loaded_shows_a_secret(tmp_path: Path, form: str) -> None:
    (tmp_path / "key").write_text(CANARY)
    env = {f"CANARY{number}": f"{CANARY}{number}" for number in range(1, 9)}
    text = SECRETS.format(CANARY)
    if form == "variable":
        for name, value in env.items():
            text = text.replace(value, f"${{{name}}}")
        text = text.replace("{token: ${CANARY1}}", "{token: '${CANARY1}'}").replace(
            "{key: ${CANARY6}}", "{key: '${CANARY6}'}"
        )
        text = text.replace("Bearer ${CANARY3}", "'Bearer ${CANARY3}'").replace(
            "X-Token: ${CANARY4}", "X-Token: '${CANARY4}'"
        )
    file = write(tmp_path, text)
    result = load(file, env)
    assert CANARY not in f"{result!r}{result}{result.config!r}{result.config}{result.settings!r}"
    assert dict(result.settings.providers["openai"].headers)["X-Token"] == f"{CANARY}4"
    assert result.settings.providers["openai"].proxy == f"http://user:{CANARY}5@proxy.example.org"
    for options in ([], ["--json"]):
        output = CliRunner(env={**env, "XDG_CONFIG_HOME": str(tmp_path)}).invoke(check, [str(file), *options])
        assert output.exit_code == 0
        assert CANARY not in output.output


@pytest.mark.parametrize(
    "text",
    [
        "listen: CANARY",
        "listen: [CANARY]",
        "listen: {port: CANARY, host: 'CANARY X', socket: 5, hosts: ['CANARY X'], origins: [CANARY]}",
        "providers: {openai: {kind: CANARY}}",
        "providers: {openai: CANARY}",
        "providers: {openai: {api_key: 'CANARY X'}}",
        "providers: {openai: {api_key: [CANARY]}}",
        "providers: {openai: {base_url: CANARY, free: CANARY, timeouts: CANARY, headers: CANARY}}",
        "providers: {openai: {base_url: 'https://user:CANARY@x/v1'}}",
        "providers: {openai: {base_url: 'https://x/v1?key=CANARY'}}",
        "providers: {openai: {proxy: 'CANARY'}}",
        'providers: {openai: {headers: {X: "CANARY\\n"}}}',
        "providers: {openai: {api_key_file: CANARY}}",
        "providers: {openai: {api_key: CANARY",
        "providers: {openai: {api_key: *CANARY}}",
        "providers: {openai: {api_key: !CANARY x}}",
        "providers: {openai: {api_key: !CANARY! x}}",
        "providers: {openai: {api_key: &CANARY}}}",
        'providers: {openai: {api_key: "CANARY\\q"}}',
        "providers: {openai: {api_key: @CANARY}}",
        "providers:\n  openai:\n    api_key: CANARY\n   CANARY",
        "routes: [{match: 'CANARY X', provider: CANARY}]",
        "models: {a: 'CANARY X', b: [CANARY], c: {target: x, price: CANARY}}",
        "keys: {alice: {key: 'CANARY X'}, bob: {key_hash: CANARY}, carol: {key: CANARY, key_hash: CANARY}}",
        "keys: {alice: {key: CANARY}, bob: {key: CANARY}}",
        "budgets: [{usd: CANARY, per: CANARY, tz: CANARY, share: CANARY}, CANARY]",
        "limits: [{requests: CANARY, per: CANARY}]",
        "max_body: CANARY\ncatalogue: {refresh: CANARY}\nunknown_models: CANARY\nlog: {level: CANARY}",
        "admin: {token: 'CANARY X'}",
        "alerts: [{url: CANARY, secret: 'CANARY X'}, {url: 'https://x/#CANARY', secret: [CANARY]}]",
        "budget_alerts: [CANARY]",
        "CANARY",
        "- CANARY",
        "state_dir: ${NOWHERE}CANARY",
        "state_dir: ${A B}CANARY",
    ],
)
@pytest.mark.parametrize("filled", [False, True])
def test_no_problem_quotes_a_value(tmp_path: Path, text: str, filled: bool) -> None:
    values = {"SECRET": CANARY}
    file = write(tmp_path, text.replace("CANARY", "${SECRET}" if filled else CANARY))
    with pytest.raises(ConfigProblems) as caught:
        load(file, values)
    error = caught.value
    assert CANARY not in f"{error}{error!r}{error.problems}{error.args}{error.__context__!r}{error.__cause__!r}"
    output = CliRunner(env={**values, "XDG_CONFIG_HOME": str(tmp_path)}).invoke(check, [str(file)])
    assert output.exit_code == 1
    assert CANARY not in output.output


@pytest.mark.parametrize(
    ("text", "mode", "warns"),
    [
        ("keys: {a: {key: plain}}", 0o600, False),
        ("keys: {a: {key: plain}}", 0o644, True),
        ("keys: {a: {key: plain}}", 0o640, True),
        ("keys: {a: {key: '${K}'}}", 0o644, False),
        ("keys: {a: {key: '${NO:-plain}'}}", 0o644, True),
        ("keys: {a: {key_hash: 'sha256:" + "a" * 64 + "'}}", 0o644, False),
        ("providers: {openai: {api_key: plain}}", 0o644, True),
        ("providers: {openai: {headers: {authorization: plain}}}", 0o644, True),
        ("providers: {openai: {headers: {X-Title: plain}, api_key: '${K}'}}", 0o644, False),
        ("providers: {openai: {api_key: '${K}', proxy: 'http://u:p@x'}}", 0o644, True),
        ("providers: {openai: {api_key: '${K}', proxy: 'http://x'}}", 0o644, False),
        ("admin: {token: plain}", 0o644, True),
        ("budget_alerts: [80%]\nalerts: [{url: 'http://x', secret: plain}]", 0o644, True),
        ("budget_alerts: [80%]\nalerts: [{url: 'http://x', secret: '${K}'}]", 0o644, False),
    ],
)
def test_secrets_in_a_file_others_can_read_draw_a_warning(tmp_path: Path, text: str, mode: int, warns: bool) -> None:
    file = write(tmp_path, text, mode)
    warnings = load(file, {"K": "k", "OPENAI_API_KEY": "x"}).settings.warnings
    expected = f"{file} holds secrets and others can read it (mode {mode:04o}): chmod 600 {file}, or use ${{NAME}}"
    assert list(warnings) == [expected] * warns


def test_text_from_a_variable_is_masked_but_usable() -> None:
    text = Concealed(CANARY)
    assert repr(text) == "Concealed(***)"
    assert f"{text}" == CANARY
    assert pickle.loads(pickle.dumps(text)) == CANARY
    assert os.fspath(Path(text)) == CANARY


def test_a_file_of_authorities_that_is_none_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    (tmp_path / "folder").mkdir()
    file = tmp_path / "c.yaml"
    names = {"lost": "lost.pem", "other": "key.pem", "empty": "/dev/null", "folder": "folder"}
    file.write_text("providers:\n" + "".join(f"  {n}: {{kind: openai, ca_file: {f}}}\n" for n, f in names.items()))
    with pytest.raises(ConfigProblems) as caught:
        load(file, {})
    none = "the file holds no PEM certificates (they begin with -----BEGIN CERTIFICATE-----)"
    assert [str(problem).partition(": ")[2] for problem in caught.value.problems] == [
        "providers.lost.ca_file: there is no such file",
        f"providers.other.ca_file: {none}",
        f"providers.empty.ca_file: {none}",
        "providers.folder.ca_file: the file cannot be read (Is a directory)",
    ]
    assert load(file, {}, needs_secrets=False).settings.providers["lost"].ca_file == f"{tmp_path}/lost.pem"


@pytest.mark.parametrize("value", ["sk-x\n", " sk-x", "sk-x\r\n", "\tsk-x "])
def test_white_space_around_a_key_is_no_part_of_it(tmp_path: Path, value: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("providers: {openai: {api_key: '${KEY}'}}\n")
    assert load(file, {"KEY": value}).settings.providers["openai"].api_key == Secret("sk-x")
    assert load(None, {"OPENAI_API_KEY": value}).settings.providers["openai"].api_key == Secret("sk-x")


def test_a_key_with_bearer_before_it_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="OPENAI_API_KEY: begins with Bearer, which is put before it") as caught:
        load(None, {"OPENAI_API_KEY": "Bearer sk-canary"})
    assert "canary" not in str(caught.value)
