"""Every fenced block of README and docs is what it says: commands print it, files are taken, replies have it.

`make examples` writes what has changed into the pages. A block in no rule here fails the first test.
"""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from example_blocks import BLOCKS, ROOT, Block, plain, shows
from example_scenes import KEYS, Scene, home, in_the_open, running, said, with_keys
from harness.mock import Mock
from harness.surroundings import PATIENCE_SECONDS, surroundings

from proxy.cli.start_lines import start_lines
from proxy.config.load import load, load_text

WRITES = "WRITE_EXAMPLES" in os.environ

# pages, or blocks by how they begin, that another test proves or none can, and why
ELSEWHERE = {
    "docs/alerts.md": "what a webhook is sent, and what Alertmanager takes: tests/observe/test_alerts_page.py",
    "docs/clients.md": "held against what `connect` prints and run by the clients: tests/cli/test_connect*.py",
    "docs/install.md": "for the machine's administrator; tests/test_systemd.py runs what it installs, test_docker.py reads it",
    "docs/caching.md": "tests/examples/test_caching_page.py",
    "docs/use-cases.md": "one daemon with all its entries: tests/examples/test_use_cases_page.py",
    "docs/architecture.md": "the layers, which tests/test_architecture.py holds the code to",
    "docs/performance.md": "measures for minutes: tests/test_bench.py",
    "make ": "run by whoever tests this",
    "pipx install": "installs; tests/test_install.py looks into the wheel",
    "$ tollkeeper serve --mock": "the lines are those of the code: tests/test_docs.py",
    "$ tollkeeper usage\nError": "as another user: tests/cli/test_second_terminal.py",
    "$ tollkeeper tail": "a moment of traffic; its columns: tests/cli/test_tail_top.py",
    "$ tollkeeper top": "a moment of traffic; its sections: tests/cli/test_tail_top.py",
    "$ tollkeeper doctor": "of one machine; its lines: tests/doctor",
    "$ tollkeeper models sync": "of one moment; its lines: tests/money/test_model_news.py",
    "$ tollkeeper mock": "runs until it is stopped: tests/mock/test_mock_command.py",
    "tollkeeper mock": "runs until it is stopped: tests/mock/test_mock_command.py",
    "tollkeeper simulate": "of calls that were made: tests/cli/test_money_commands.py",
    '{"at": "2026': "of one moment; their members: tests/examples/test_analytics_page.py",
    '{"days"': "days of somebody's bill; its members: tests/examples/test_analytics_page.py",
    "$ tollkeeper savings": "of somebody's month; its lines: tests/cli/test_savings_command.py",
    "$ tollkeeper what-if": "of somebody's month; its lines: tests/cli/test_savings_command.py",
    '{"since": "2026-10-28': "of somebody's month; its members: tests/examples/test_analytics_page.py",
    "tollkeeper reconcile": "asks providers for bills: tests/money/test_money_reconciled.py",
    "python -m bench.routing": "tables of others, which are not here: tests/test_bench_routing.py",
    "(table x 20": "a formula: tests/policy/test_routing_evidence.py",
    '{"since"': "a week of somebody's calls; its members: tests/daemon/test_analytics.py",
    "$ tollkeeper models diff": "versions that changes made: tests/daemon/test_use_cases.py",
    "$ tollkeeper connect": "tests/cli/test_connect.py",
    "eval ": "completion in real shells: tests/cli/test_completion.py",
    "export OPENROUTER_API_KEY": "speaks to OpenRouter itself",
    "ANTHROPIC_BASE_URL": "Claude Code at work: tests/agents",
    "sudo ": "root's; tests/test_systemd.py runs the doctor as it says",
    "jq ": "reads a log of your own",
}
"""Reasons, each for whatever has its page or begins so."""


def reason(block: Block) -> str | None:
    return ELSEWHERE.get(block.page) or next(
        (why for start, why in ELSEWHERE.items() if block.body.startswith(start)), None
    )


def is_transcript(block: Block) -> bool:
    return block.body.startswith("$ ") and reason(block) is None


def starting(*starts: str) -> Callable[[Block], bool]:
    return lambda block: block.body.startswith(starts) and reason(block) is None


def of_language(language: str) -> Callable[[Block], bool]:
    return lambda block: block.language == language and reason(block) is None


RULES: dict[str, Callable[[Block], bool]] = {
    "elsewhere": lambda block: reason(block) is not None,
    "transcript": is_transcript,
    "configuration": of_language("yaml"),
    "python": of_language("python"),
    "unit": starting("[Service]", "[Socket]"),
    "scrape": lambda block: block.page == "docs/monitoring.md" and block.body.startswith(("rule_files", "    auth")),
    "start": starting("Configuration: "),
    "shell": starting("tollkeeper init", "curl ", "tollkeeper import"),
    "log": starting('{"request_id"', '{"calls"'),
    "bill": starting('{"rows"'),
    "error": starting('{"error"', '{"type": "error"'),
    "headers": starting("x-tollkeeper-"),
    "told": starting("litellm.yaml:"),
}


def chosen(rule: str) -> list[Block]:
    return [block for block in BLOCKS if RULES[rule](block)]


def each(rule: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", chosen(rule), ids=str)


def test_every_block_has_one_rule() -> None:
    missed = {str(block): [name for name, fits in RULES.items() if fits(block)] for block in BLOCKS}
    assert {block: rules for block, rules in missed.items() if len(rules) != 1} == {}


def test_every_reason_is_needed() -> None:
    starts = {start for block in BLOCKS for start in ELSEWHERE if block.page == start or block.body.startswith(start)}
    assert starts == ELSEWHERE.keys()


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with Mock() as started:
        yield started


class Scenes:
    """Homes and daemons by name, each made when it is first wanted; a page with commands has a daemon of its own."""

    def __init__(self, stack: ExitStack, folders: pytest.TempPathFactory, mock: Mock) -> None:
        self._stack, self._folders, self._mock = stack, folders, mock
        self._made: dict[str, Scene] = {}

    def __getitem__(self, name: str) -> Scene:
        if name not in self._made:
            self._made[name] = self._make(name.partition(" ")[0])
        return self._made[name]

    def _make(self, kind: str) -> Scene:
        folder = self._folders.mktemp("example")
        if kind == "running":
            return self._stack.enter_context(running(folder))
        if kind == "open":
            return self._stack.enter_context(in_the_open(folder, self._mock))
        return {"empty": home, "keys": with_keys}[kind](folder) if kind != "openrouter" else home(folder, **KEYS)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, mock: Mock) -> Iterator[Scenes]:
    with ExitStack() as stack:
        yield Scenes(stack, tmp_path_factory, mock)


# where a command is typed that is not one beside the daemon of its page
PLACES = {
    "tollkeeper init": "empty",
    "tollkeeper demo": "empty",
    "tollkeeper completion": "empty",
    "tollkeeper check": "openrouter",
    "tollkeeper models": "openrouter",
    "tollkeeper images": "openrouter docs/images.md",
    "tollkeeper route": "openrouter docs/routing.md",
    "tollkeeper import": "openrouter",
    "tollkeeper experiments": "running experiments",
    "tollkeeper alerts": "running alerts",
    "curl http://127.0.0.1:8655": "open",
}


def before(command: str, scene: Scene) -> None:
    """What has to have happened."""
    if command == "tollkeeper reload":
        scene.change(models={"gpt-4o-mini": "mock/echo"})
    if command in ("tollkeeper experiments list", "tollkeeper explain smart --key alice --session s1"):
        arms = [{"target": f"mock/echo?cost={usd}", "share": 50} for usd in ("0.002", "0.001")]
        scene.change(models={"smart": "mock/echo"}, experiments={"newer": {"model": "smart", "arms": arms}})
        scene.run("tollkeeper reload")
        assert scene.daemon is not None
        for n in range(50):
            assert said(scene.daemon, "smart", session_id=f"s{n}").status == 200
        until = time.monotonic() + PATIENCE_SECONDS
        while sum(arm["calls"] for arm in scene.daemon.asked("/experiments/newer")["arms"]) < 50:
            assert time.monotonic() < until, "calls are counted a moment later"
    if command.startswith("tollkeeper alerts"):
        rule = {"metric": "cost_usd", "above": 5, "over": "1h", "lasts": "10m", "each": "key"}
        scene.change(alert_rules={"dear": rule})
        scene.run("tollkeeper reload")
        assert scene.daemon is not None
        until = time.monotonic() + PATIENCE_SECONDS
        while not scene.daemon.asked("/alerts/rules/dear")["watched"]:
            assert time.monotonic() < until, "rules are looked at a moment later"
    if command.endswith("/reload"):
        scene.change(keys={**scene.sections("keys"), "bob": {"key": "sk-b"}})


@pytest.mark.timeout(900)  # thirty commands, one after the other
@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in chosen("transcript")))
def test_transcripts_are_what_is_printed(page: str, scenes: Scenes) -> None:
    """In their order: what a page makes early is there later."""
    stale = []
    for block in chosen("transcript"):
        if block.page == page and not shows(block.body, fresh := typed(block, scenes)):
            stale.append(f"{block} shows\n{block.body}\nand now it is\n{fresh}")
            if WRITES:
                file = ROOT / page
                file.write_text(file.read_text().replace(block.body, fresh))
    assert WRITES or not stale, "\n".join(stale)


def typed(block: Block, scenes: Scenes) -> str:
    """The same commands with what is printed now."""
    fresh = ""
    for command, _ in block.commands:
        place = next((name for start, name in PLACES.items() if command.startswith(start)), f"running {block.page}")
        before(command, scenes[place])
        fresh += f"$ {command}\n{scenes[place].run(command)}"
    return fresh


@each("shell")
def test_a_line_to_type_works(block: Block, scenes: Scenes) -> None:
    place = f"openrouter {block.page}"
    if block.body.startswith("curl "):
        place = "running" if ":8656" in block.body else "open"
    lines = re.sub(r"^tollkeeper serve$", "", block.body, flags=re.MULTILINE)  # which runs until it is stopped
    printed = scenes[place].run(
        f"set -e -o pipefail\n{lines.replace('litellm config', 'litellm litellm')}\necho all is well"
    )
    assert printed.endswith("all is well\n") and '"error"' not in printed, printed


@each("configuration")
def test_a_configuration_is_taken(block: Block, tmp_path: Path) -> None:
    if block.body.startswith("model_list:"):
        return  # LiteLLM's: `import litellm` is run with it
    variables = {name: f"sk-{name}" for name in re.findall(r"\$\{(\w+)\}", block.body)}
    (tmp_path / "openrouter-key").write_text("sk-or")
    (tmp_path / "tollkeeper.openrouter").write_text("sk-or")
    load_text(block.body, tmp_path / "config.yaml", {**variables, "CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_what_the_page_on_litellm_shows_is_what_is_written_and_told(scenes: Scenes) -> None:
    printed = scenes["openrouter"].run("tollkeeper import litellm litellm.yaml 2>told; cat told >&2")
    told = (scenes["openrouter"].folder / "told").read_text()
    bodies = [block.body for block in BLOCKS if block.page == "docs/litellm.md"]
    assert told in bodies and printed.removesuffix(told) in bodies


@each("python")
def test_a_program_runs(block: Block, scenes: Scenes, mock: Mock, tmp_path: Path) -> None:
    daemon = scenes["open"].daemon
    assert daemon is not None
    program = block.body.replace("127.0.0.1:8655", f"127.0.0.1:{daemon.port}").replace(
        "http://127.0.0.1:8657", mock.root
    )
    ast.parse(program)
    failing = "mock/error" in program
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, env=surroundings(tmp_path), capture_output=True, text=True,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert (done.returncode == 0) is not failing, done.stderr
    if failing:
        assert "RateLimitError" in done.stderr
    if "stream=True" in program and "images" not in program:
        assert done.stdout == "Good morning"


@each("unit")
def test_a_unit_is_one(block: Block) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.body)
    known = {
        "LoadCredential",
        "LoadCredentialEncrypted",
        "IPAddressDeny",
        "IPAddressAllow",
        "TimeoutStopSec",
        "ListenStream",
    }
    assert all(set(unit[section]) <= known for section in unit.sections())


@each("scrape")
def test_what_prometheus_is_given_is_in_the_shipped_file(block: Block) -> None:
    shipped = (ROOT / "prometheus" / "prometheus.yml").read_text().replace("# ", "")
    assert yaml.safe_load(block.body)
    for line in block.body.splitlines():
        assert line.strip().removeprefix("- ").partition("[")[0].strip() in shipped, line


STARTS = {
    "docs/quickstart.md": ("", {}),
    "docs/configuration.md": ("", {
        "OPENROUTER_APP_NAME": "My app", "OPENROUTER_DEFAULT_MODEL": "openai/gpt-4o", "OPENROUTER_MAX_RETRIES": "5",
        "DEFAULT_AI_MODEL": "gpt-4o-mini",
    }),
    "docs/operations.md": (
        'providers: {openrouter: {api_key: "${OPENROUTER_API_KEY}"}, local: {kind: openai, base_url: "http://127.0.0.1:11434/v1"}}\n'
        'keys: {alice: {key: "${ALICE_KEY}"}}\n', {"ALICE_KEY": KEYS["ALICE_KEY"]},
    ),
}  # fmt: skip


@each("start")
def test_the_start_lines_are_the_ones_printed(block: Block) -> None:
    text, more = STARTS[block.page]
    env = {"OPENROUTER_API_KEY": KEYS["OPENROUTER_API_KEY"], **more}
    file = Path("/home/alice/.config/tollkeeper/config.yaml")
    settings = (load_text(text, file, env) if text else load(None, env)).settings
    printed = list(start_lines(settings, "http://127.0.0.1:8655/v1", "http://127.0.0.1:8656"))
    shown = block.body.splitlines()
    assert shown == printed[: len(shown)]
    assert shown[-1].startswith("Listening on ") or printed[len(shown)].startswith("Keys: ")


@each("log")
def test_a_line_of_the_log_has_these_members(block: Block, scenes: Scenes, tmp_path: Path) -> None:
    with running(tmp_path) as scene:
        assert scene.daemon is not None and scene.daemon.stop() == 0
        written = {line["event"]: line for line in scene.daemon.log_lines()}
    for line in block.body.splitlines() if block.body.startswith('{"calls"') else [block.body.replace("\n", "")]:
        shown = json.loads(line)
        assert list(shown) == list(written[shown["event"]]), shown["event"]


@each("bill")
def test_the_bill_has_these_members(block: Block, mock: Mock, scenes: Scenes) -> None:
    daemon = scenes["open"].daemon
    assert daemon is not None
    daemon.chat("openrouter/openai/gpt-4o-mini")
    assert list(json.loads(block.body)["rows"][0]) == list(mock.bill()[-1])


@each("error")
def test_an_error_is_the_one_that_is_sent(block: Block, scenes: Scenes) -> None:
    daemon = scenes["open"].daemon
    assert daemon is not None
    twice, broken = b'{"model": "a", "model": "b"}', b"{"
    reply = (
        daemon.post("/v1/messages", broken)
        if '"type": "error"' in block.body
        else daemon.post("/v1/chat/completions", twice)
    )
    assert shows(block.body, reply.body.decode())


@each("headers")
def test_the_headers_are_those_of_the_reply(block: Block, scenes: Scenes) -> None:
    daemon = scenes["open"].daemon
    assert daemon is not None
    headers = dict(daemon.chat("gpt-4o-mini").headers)
    assert [line for line in block.body.splitlines() if line not in [f"{k}: {v}" for k, v in headers.items()]] == []


def test_what_is_told_of_litellm_has_its_own_test() -> None:
    assert [block.page for block in chosen("told")] == ["docs/litellm.md"]


@pytest.mark.parametrize(
    ("expected", "printed", "fits"),
    [
        ("a  b ──\n c", "a b\n─ c", True),
        ("at 2026-11-21T06:21:03.830Z", "at 2027-01-02T06:21Z", True),
        ("cost 0.31", "cost 0.32", False),
        ("one … three", "one two three", True),
        ("one …", "two three", False),
        ("req_dfd3ac90e835c0674f1a00ac", "req_000000000000000000000000", True),
        ("127.0.0.1:8655", "127.0.0.1:41807", True),
    ],
)
def test_the_measure_of_examples_sees_what_matters(expected: str, printed: str, fits: bool) -> None:
    assert shows(expected, printed) is fits
    assert plain(expected) == plain(plain(expected))
