"""What may be meant otherwise than it is written is said, and none of it is shown."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.config.load import load, load_text

ODD = [
    (
        "providers: {openai: {api_key: $OPENAI_API_KEY}}",
        "providers.openai.api_key begins with $ and is taken as it stands",
    ),
    ("keys: {a: {key: $A}}\nproviders: {mock: }", "keys.a.key begins with $"),
    ("models: {m: {target: a/b, fallbacks: [$B]}}\nproviders: {mock: }", "models.m.fallbacks[0] begins with $"),
    (
        "providers: {openai: {api_key: '\"sk-canary\"'}}",
        "the key of provider openai (providers.openai.api_key in FILE) stands in quotes",
    ),
    (
        "providers: {openai: {api_key: '${QUOTED}'}}",
        "the key of provider openai (environment variable QUOTED) stands in quotes",
    ),
    ("keys: {a: {key: \"'sk-canary'\"}}\nproviders: {mock: }", "the key keys.a stands in quotes"),
    (
        "budget_alerts: [80%]\nalerts: [{url: 'http://x', secret: '${QUOTED}'}]\nproviders: {mock: }",
        "the key alerts[0].secret stands in quotes",
    ),
    (
        "budgets: [{usd: 1, per: day}]\nalerts: [{url: 'http://x', secret: s}]\nproviders: {mock: }",
        "alerts names webhooks, and no budget has anything to tell them: add budget_alerts: [80%, 95%]",
    ),
    ("admin: {token: '${QUOTED}'}\nproviders: {mock: }", "the key admin.token stands in quotes"),
    ("providers: {ollama: {kind: openai, base_url: 'http://127.0.0.1:11434'}}", "below /v1: http://127.0.0.1:11434/v1"),
    ("providers: {vllm: {kind: openai, base_url: 'http://gpu:8000/'}}", "below /v1: http://gpu:8000/v1"),
    ("providers: {lm: {kind: openai, base_url: 'http://[::1]:1234'}}", "below /v1: http://[::1]:1234/v1"),
    ("providers: {lm: {kind: openai, base_url: 'https://host.docker.internal'}}", "https://host.docker.internal/v1"),
    (
        "providers: {openai: {api_key: k, base_url: 'https://api.openai.com/v1/chat/completions'}}",
        "ends in the path of an endpoint, which every call adds: https://api.openai.com/v1",
    ),
    ("providers: {anthropic: {api_key: k, base_url: 'https://x/v1/messages/'}}", "which every call adds: https://x/v1"),
    (
        "ledger: {keep: 400}\nproviders: {mock: }",
        "ledger.keep is a number without a unit, which counts seconds: write it as days",
    ),
    ("max_body: 64\nproviders: {mock: }", "max_body is a number without a unit, which counts bytes"),
    ("jobs: {keep: 86400.5}\nproviders: {mock: }", "jobs.keep is a number without a unit"),
]
PLAIN = [
    "budgets: [{usd: 1, per: day, alerts: [50%]}]\nalerts: [{url: 'http://x', secret: s}]\nproviders: {mock: }",
    "providers: {openai: {api_key: '${KEY}'}}",
    "providers: {openai: {api_key: 'a$b'}}",
    "providers: {openai: {api_key: '${DOLLAR}'}}",
    "providers: {openai: {api_key: '\"'}}",
    "providers: {a: {kind: openai, base_url: 'http://127.0.0.1:11434/v1'}}",
    "providers: {a: {kind: openai, base_url: 'http://127.0.0.1:11434/api'}}",
    "providers: {a: {kind: openai, base_url: 'https://api.perplexity.ai'}}",
    "providers: {a: {kind: anthropic, base_url: 'http://127.0.0.1:1'}}",
    "ledger: {keep: 400d}\njobs: {keep: forever}\nproviders: {mock: }",
    "ledger: {keep: forever}\nproviders: {mock: }",
    "max_body: 65536\nmax_body_total: 1MiB\nproviders: {mock: }",
]
ENV = {"QUOTED": '"sk-canary"', "KEY": "sk-canary", "DOLLAR": "$HOME"}


def warnings(folder: Path, text: str) -> list[str]:
    file = folder / "config.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return [line.replace(str(file), "FILE") for line in load(file, ENV).settings.warnings]


@pytest.mark.parametrize(("text", "sentence"), ODD)
def test_what_is_odd_is_said_in_one_sentence_that_shows_nothing(tmp_path: Path, text: str, sentence: str) -> None:
    (said,) = warnings(tmp_path, text)
    assert sentence in said
    assert "canary" not in said and "$OPENAI" not in said


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_as_usual_is_not(tmp_path: Path, text: str) -> None:
    assert [line for line in warnings(tmp_path, text) if "has no key" not in line] == []


@pytest.mark.parametrize(
    ("named", "why"), [("nowhere.pem", "there is no such file"), ("empty.pem", "no PEM certificates")]
)
def test_authorities_that_cannot_be_believed_are_a_warning_that_names_the_variable(
    tmp_path: Path, named: str, why: str
) -> None:
    (tmp_path / "empty.pem").touch()
    place = str(tmp_path / named)
    (said,) = load_text("providers: {mock: }", None, {"SSL_CERT_FILE": place}).settings.warnings
    assert said.startswith(f"SSL_CERT_FILE is {place}: ") and why in said
    assert load_text("providers: {mock: }", None, {"SSL_CERT_FILE": ""}).settings.warnings == ()


def test_a_bundle_of_authorities_one_of_which_is_cut_is_told(tmp_path: Path) -> None:
    assert shutil.which("openssl"), "openssl is not on the PATH; install the Debian package `openssl`"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout key -out cert"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    certificate = (tmp_path / "cert").read_text()
    lines = certificate.splitlines(keepends=True)
    bundle = tmp_path / "bundle.pem"

    def said() -> tuple[str, ...]:
        return load_text("providers: {mock: }", None, {"SSL_CERT_FILE": str(bundle)}).settings.warnings

    for whole in (certificate * 3, f"of whom\n{certificate}", certificate.replace("\n", "\r\n"), certificate.rstrip()):
        bundle.write_text(whole)
        assert said() == ()
    for cut in ("".join(lines[:5] + lines[-1:]), "".join(lines[:-2]), "".join(lines[:3] + lines[4:])):
        bundle.write_text(certificate + cut)
        assert "no PEM certificates" in said()[0]
