"""The example, the schema and the documentation know every field there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from proxy.config.load import load, load_text
from proxy.config.models import Config
from proxy.config.schema import schema_text
from proxy.policy.names.vendors import vendor_of

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"
ENV = {
    "OPENROUTER_API_KEY": "a",
    "ANTHROPIC_API_KEY": "b",
    "ALICE_KEY": "c",
    "TOLLKEEPER_ADMIN_TOKEN": "d",
    "ALERT_SECRET": "e",
    "SMTP_PASSWORD": "g",
    "ACME_KEY": "f",
}


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from parts(argument)


def fields(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    for given, field in model.model_fields.items():
        name = field.alias or given
        yield prefix + name
        kinds = [part for part in parts(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        outer = str(field.annotation)
        step = ".NAME." if outer.startswith("dict") else "[]." if outer.startswith("list") else "."
        for kind in kinds:
            yield from fields(kind, prefix + name + step)


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield every path of a YAML value as documentation spells it."""
    if isinstance(value, dict):
        for name, item in value.items():
            entries = (
                "providers.",
                "models.",
                "model_switches.",
                "strategies.",
                "keys.",
                "tenants.",
                "models.NAME.variables.",
                "experiments.",
                "features.",
                "alert_rules.",
            )
            is_entry = prefix in entries
            yield from paths(item, prefix + ("NAME" if is_entry else name) + ".")
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, prefix.removesuffix(".") + "[].")
    yield prefix.removesuffix(".")


def test_the_example_loads_without_a_warning() -> None:
    settings = load(EXAMPLE, ENV).settings
    assert list(settings.providers) == ["openrouter", "local", "anthropic"]
    assert settings.warnings == ()


def test_the_example_shows_every_field_in_its_place() -> None:
    text = EXAMPLE.read_text()
    shown = set(paths(yaml.safe_load(text)))
    commented = {
        "listen.socket": "  # socket:",
        "admin.socket": "  # socket:",
        "admin.token": "  # token:",
        "state_dir": "# state_dir:",
        "master_key_file": "# master_key_file:",
        "providers.NAME.api_key_file": "    # api_key_file:",
        "keys.NAME.key_hash": "    # key_hash:",
        "tenants.NAME.credential_files": "    # credential_files:",
        "keys.NAME.uid": "    # uid:",
        "auth.url": "  # url:",
        "auth.oidc": "  # oidc:",
        "auth.oidc.issuer": "  #   issuer:",
        "auth.oidc.client_id": "  #   client_id:",
        "auth.oidc.client_secret": "  #   client_secret:",
        "auth.oidc.scopes": "  #   scopes:",
        "auth.oidc.groups_claim": "  #   groups_claim:",
        "auth.oidc.groups": "  #   groups:",
        "auth.oidc.groups.NAME.role": "  #     acme: {role:",
        "auth.oidc.groups.NAME.tenant": "tenant: acme}",
        "auth.oidc.ca_file": "  #   ca_file:",
        "admins": "# admins:",
        "admins.NAME.role": "#     role:",
        "admins.NAME.token": "#     token:",
        "admins.NAME.token_hash": "#     # token_hash:",
        "admins.NAME.tenant": "#     tenant:",
        "admins.NAME.expires": "#     expires:",
    }
    of_everything = {field for field in fields() if field.startswith("limits[].") or field == "budgets[].tz"}
    of_everything |= {
        field
        for field in fields()
        if field.startswith(("tenants.NAME.limits[].", "tenants.NAME.budgets[].", "providers.NAME.limits[]."))
    }
    assert set(fields()) - shown - of_everything == set(commented)
    assert all(line in text for line in commented.values())


def test_every_line_of_the_example_may_be_uncommented() -> None:
    text = re.sub(r"^( *)# (token|state_dir):", r"\1\2:", EXAMPLE.read_text(), flags=re.MULTILINE)
    settings = load_text(text, Path("c.yaml"), ENV).settings
    assert settings.admin_token is not None
    assert settings.state_dir.endswith("/.local/state/tollkeeper")


def test_the_example_shows_the_defaults() -> None:
    shown = load(EXAMPLE, ENV).config
    default = Config()
    for name in ("listen", "admin", "default_model", "unknown_models", "catalogue", "retries", "max_body", "limits"):
        assert getattr(shown, name) == getattr(default, name)
    for name in ("budget_policy", "journal", "ledger", "metrics", "shutdown", "log", "state_dir"):
        assert getattr(shown, name) == getattr(default, name)
    assert shown.providers["openrouter"].timeouts == shown.providers["local"].timeouts


def test_every_field_is_documented_in_a_row_of_its_own() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "configuration.md").read_text(), flags=re.MULTILINE)
    documented = [row for row in rows if row[0].islower()]
    assert documented == list(dict.fromkeys(documented))
    assert set(documented) == set(fields())


def test_every_field_says_what_it_is_for() -> None:
    schema = Config.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    objects = [*sections, *(part for section in sections for part in section.get("anyOf", []))]
    described = [
        field.get("description", field.get("$ref")) for part in objects for field in part.get("properties", {}).values()
    ]
    assert len(described) > 60
    assert all(described)


def test_the_schema_in_the_repository_is_the_one_the_models_make() -> None:
    emitted = subprocess.run(
        [sys.executable, "-m", "proxy.config.schema"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert emitted.stdout == schema_text() == (ROOT / "config.schema.json").read_text()


def test_editors_find_the_schema() -> None:
    first = EXAMPLE.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./config.schema.json"
    schema = json.loads((ROOT / "config.schema.json").read_text())
    assert schema["additionalProperties"] is False
    assert "required" not in schema["$defs"]["ProviderSection"]
    assert schema["$defs"]["ModelSection"]["anyOf"][0]["type"] == "string"


@pytest.mark.parametrize("name", ["yaml", "pydantic"])
def test_pure_layers_do_not_need_the_configuration(name: str) -> None:
    program = f"import sys, proxy.policy.values, proxy.presets; sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def base_urls() -> list[tuple[str, str]]:
    page = (ROOT / "docs" / "configuration.md").read_text().partition("#### Base URLs")[2].partition("### Models")[0]
    return re.findall(r"^\| ([^|]+) \| `(https?://[^`]+)` \|", page, re.MULTILINE)


@pytest.mark.parametrize(("host", "base_url"), base_urls())
def test_the_base_urls_of_the_docs_are_taken_without_a_warning_and_known(
    tmp_path: Path, host: str, base_url: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"providers: {{entry: {{kind: openai, base_url: '{base_url}', api_key: '${{KEY}}'}}}}\n")
    settings = load(file, {"KEY": "sk-x"}).settings
    assert settings.warnings == ()
    assert (vendor_of(settings.providers["entry"]) is not None) is not base_url.startswith("http://127.0.0.1"), host


@pytest.mark.parametrize(
    ("said", "asks"), [("", False), ("stream_options: true", True), ("stream_options: false", False)]
)
def test_mistral_is_not_asked_for_the_usage_of_streams_which_it_refuses(tmp_path: Path, said: str, asks: bool) -> None:
    """A server of another's that is called so may need it."""
    file = tmp_path / "config.yaml"
    at = [("their", "https://api.mistral.ai/v1"), ("mistral", "http://127.0.0.1:1/v1")]
    entries = [f"{name}: {{kind: openai, base_url: '{url}', {said}}}" for name, url in at]
    file.write_text(f"providers: {{{', '.join(entries)}}}\n")
    providers = load(file, {}).settings.providers
    assert (providers["their"].stream_options, providers["mistral"].stream_options) == (asks, "false" not in said)


def test_there_are_base_urls_of_twelve_hosts_and_four_servers_of_ones_own() -> None:
    assert len(base_urls()) == 16


def test_a_budget_has_the_thresholds_of_all_unless_it_names_its_own() -> None:
    budgets = """
        - {usd: 1, per: day}
        - {usd: 1, per: week, alerts: [62.5%, 50%, 050.0%]}
        - {usd: 1, per: month, alerts: []}
        - {usd: 1, per: hour, shadow: true}
        - {usd: 1, per: total, shadow: true, alerts: [150%]}
    """
    money = load_text(f"budget_alerts: [95%, 80%]\nbudgets:{budgets}", Path("c.yaml"), ENV).settings.money
    found = {budget.per: budget.alerts for budget in money.budgets}
    assert found == {"day": (8000, 9500), "week": (5000, 6250), "month": (), "hour": (), "total": (15000,)}
