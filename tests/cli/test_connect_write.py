"""`connect --write` puts a client's file where the client looks for it, and loses nothing of what is there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import REPOSITORY
from harness.surroundings import surroundings

from proxy.cli.client_file import place_of
from proxy.cli.merging import merged
from proxy.cli.snippets import Choice, Part, Situation, read_clients, render

CLIENTS = read_clients()
HERE = Situation("http://127.0.0.1:1", Choice("m"), is_open=True)


def ours(client: str) -> Part:
    return render(CLIENTS[client], HERE)[0]


PROVIDER = ours("codex").text.partition("\n\n")[2]
MODELS = """models:
  - name: Tollkeeper
    provider: openai
    model: "m"
    apiBase: "http://127.0.0.1:1/v1"
    apiKey: anything
"""
LLM = ours("llm").text
HEAD = "name: Mine\nversion: 2.0.0\nschema: v1\n"

MERGED = [
    # settings that are there change in their place, others come first, a table of ours comes last
    (
        "codex",
        """# mine
model = "old"  # liked
[[tools]]
a = 1
[[tools]]
a = 2
""",
        f"""model_provider = "tollkeeper"
# mine
model = "m"
[[tools]]
a = 1
[[tools]]
a = 2

{PROVIDER}""",
    ),
    # of a table of ours, what is not set by us stays
    (
        "codex",
        """model = "m"
model_provider = "tollkeeper"
[model_providers.tollkeeper]
query_params = {a = "b"}
base_url = "http://old"
[profiles.x]
model = "kept\"""",
        """model = "m"
model_provider = "tollkeeper"
[model_providers.tollkeeper]
name = "Tollkeeper"
env_key = "TOLLKEEPER_KEY"
wire_api = "responses"
supports_websockets = false
query_params = {a = "b"}
base_url = "http://127.0.0.1:1/v1"
[profiles.x]
model = "kept"
""",
    ),
    (
        "opencode",
        """{"theme": "\u00e9", "provider": {"a": {"b": [1]}, "tollkeeper": {"options": {"baseURL": "old", "timeout": 9}}}}""",
        """{
  "theme": "\u00e9",
  "provider": {
    "a": {
      "b": [
        1
      ]
    },
    "tollkeeper": {
      "options": {
        "baseURL": "http://127.0.0.1:1/v1",
        "timeout": 9,
        "apiKey": "anything"
      },
      "npm": "@ai-sdk/openai-compatible",
      "name": "Tollkeeper",
      "models": {
        "m": {}
      }
    }
  },
  "$schema": "https://opencode.ai/config.json",
  "model": "tollkeeper/m"
}
""",
    ),
    ("llm", "# all\n- model_id: a\n  x: 1", f"# all\n- model_id: a\n  x: 1\n{LLM}"),
    # the item of our name goes, the comments of others stay
    (
        "llm",
        "- model_id: a\n# ours\n- model_id: tollkeeper\n  x: 1\n\n# of c\n- model_id: c\n\n# end\n",
        f"- model_id: a\n# ours\n\n# of c\n- model_id: c\n{LLM}\n# end\n",
    ),
    ("continue", HEAD, HEAD + MODELS),
    (
        "continue",
        f"{HEAD}models:\n- name: a\n  roles:\n  - chat\n\n# what else\nrules: [x]\n",
        f"{HEAD}models:\n- name: a\n  roles:\n  - chat\n"
        + "".join(f"{line[2:]}\n" for line in MODELS.splitlines()[1:])
        + "\n# what else\nrules: [x]\n",
    ),
]


@pytest.mark.parametrize(("client", "old", "new"), MERGED)
def test_what_else_is_in_a_file_stays(client: str, old: str, new: str) -> None:
    part = ours(client)
    assert merged(part.language, old, part.text) == new
    assert merged(part.language, new, part.text) == new, "a second time changes nothing"


@pytest.mark.parametrize(
    ("client", "old"),
    [
        ("codex", "model = "),
        ("codex", "model_providers = {}\n"),
        ("codex", 'model_providers.tollkeeper.name = "x"\n'),
        ("codex", 'model = """\nx"""\n'),
        ("codex", 'a = """\nmodel = "x"\n"""\n'),
        ("opencode", '{"theme": "dark", // liked\n"x": 1}'),
        ("opencode", "[1]"),
        ("opencode", '{"provider": "other"}'),
        ("opencode", '{"provider": ' + "[" * 100_000),
        ("llm", "[]\n"),
        ("llm", "# nothing yet\n"),
        ("llm", "a: b\n"),
        ("llm", "- model_id: a\n---\n- model_id: b\n"),
        ("llm", "- a\n-\n  model_id: tollkeeper\n"),
        ("continue", "name: Mine\n"),
        ("continue", f"{HEAD}models: []\n"),
        ("continue", f"{HEAD}models:\n"),
        ("continue", "- a\n"),
        ("continue", "a: [\n"),
    ],
)
def test_what_is_not_certain_is_not_done(client: str, old: str) -> None:
    part = ours(client)
    assert merged(part.language, old, part.text) is None


@pytest.mark.parametrize(
    ("client", "env", "place"),
    [
        ("codex", {}, "HOME/.codex/config.toml"),
        ("codex", {"CODEX_HOME": ""}, "HOME/.codex/config.toml"),
        ("codex", {"CODEX_HOME": "/elsewhere"}, "/elsewhere/config.toml"),
        ("opencode", {}, "HOME/.config/opencode/opencode.json"),
        ("opencode", {"XDG_CONFIG_HOME": "/x"}, "/x/opencode/opencode.json"),
        ("continue", {}, "HOME/.continue/config.yaml"),
        ("continue", {"CONTINUE_GLOBAL_DIR": "/x"}, "/x/config.yaml"),
        ("llm", {"LLM_USER_PATH": "/x"}, "/x/extra-openai-models.yaml"),
    ],
)
def test_it_goes_where_the_client_looks(client: str, env: dict[str, str], place: str) -> None:
    assert str(place_of(ours(client), env)) == place.replace("HOME", str(Path.home().resolve()))


class Seat:
    """Somebody at a keyboard with a home of their own; `connect` is what they type."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.codex = home / ".codex" / "config.toml"
        self.config = home / "tollkeeper.yaml"
        self.config.write_text("state_dir: ./state\nproviders: {mock: }\n")

    def connect(self, *words: str, says: str | None = None) -> subprocess.CompletedProcess[str]:
        """What comes of it; `says` is typed at a terminal, else standard input is none."""
        command = [sys.executable, "-m", "proxy", "connect", *words, "--config", str(self.config)]
        keyboard, terminal = pty.openpty()
        try:
            os.write(keyboard, f"{says or ''}\n".encode())
            return subprocess.run(
                command,
                cwd=self.home,
                env=surroundings(self.home, PYTHONPATH=str(REPOSITORY)),
                stdin=subprocess.DEVNULL if says is None else terminal,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            os.close(keyboard)
            os.close(terminal)

    def files(self) -> set[str]:
        return {path.name for path in self.codex.parent.iterdir()}


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    home = tmp_path / "home"
    home.mkdir()
    return Seat(home)


@pytest.mark.parametrize("client", ["codex", "opencode", "continue", "llm"])
def test_a_file_that_says_so_already_stays_as_it_is_laid_out(client: str) -> None:
    part = ours(client)
    assert merged(part.language, part.text, part.text) == part.text


def test_a_file_that_is_not_there_is_written_without_a_question(seat: Seat) -> None:
    done = seat.connect("codex", "--write")
    assert (done.returncode, done.stdout) == (0, "export TOLLKEEPER_KEY=anything\ncodex\n"), done
    assert done.stderr.startswith(f"Wrote {seat.codex.resolve()}.\n")
    assert seat.codex.read_text() == seat.connect("codex").stdout
    again = seat.connect("codex", "--write")
    assert (again.returncode, "says so already" in again.stderr, seat.files()) == (0, True, {"config.toml"})


def test_an_existing_file_is_changed_only_if_its_owner_says_so(seat: Seat) -> None:
    seat.codex.parent.mkdir()
    seat.codex.write_text('approval = "never"\n')
    seat.codex.chmod(0o640)
    for says, told in ((None, "add --yes"), ("", "nothing was written"), ("n", "nothing was written")):
        done = seat.connect("codex", "--write", says=says)
        assert (done.returncode, done.stdout, told in done.stderr) == (1, "", True), done
        assert (seat.codex.read_text(), seat.files()) == ('approval = "never"\n', {"config.toml"})

    done = seat.connect("codex", "--write", says="y")
    assert done.returncode == 0, done
    assert '+model_provider = "tollkeeper"\n' in done.stderr
    assert "approval" not in done.stderr
    written = tomllib.loads(seat.codex.read_text())
    assert (written["approval"], written["model_provider"]) == ("never", "tollkeeper")
    assert seat.codex.stat().st_mode & 0o777 == 0o640
    assert (seat.codex.parent / "config.toml.before-tollkeeper").read_text() == 'approval = "never"\n'


def test_what_cannot_be_kept_in_a_file_is_kept_beside_it(seat: Seat) -> None:
    seat.codex.parent.mkdir()
    for number, content in enumerate([b"not = toml =", b"\xff\xfe", b"[a]\na = nan\n"]):
        seat.codex.write_bytes(content)
        refused = seat.connect("codex", "--write")
        assert (refused.returncode, "to replace all of it" in refused.stderr) == (1, True), refused
        assert seat.connect("codex", "--write", "--yes").returncode == 0
        assert seat.codex.read_text() == seat.connect("codex").stdout
        saved = f"config.toml.before-tollkeeper{f'-{number + 1}' if number else ''}"
        assert (seat.codex.parent / saved).read_bytes() == content


def test_a_link_stays_one(seat: Seat) -> None:
    real = seat.home / "dotfiles" / "codex.toml"
    real.parent.mkdir()
    real.write_text("[a]\nb = 1\n")
    seat.codex.parent.mkdir()
    seat.codex.symlink_to(real)
    assert seat.connect("codex", "--write", "--yes").returncode == 0
    assert seat.codex.is_symlink()
    assert tomllib.loads(real.read_text())["a"] == {"b": 1}


def test_what_is_in_the_way_is_a_sentence(seat: Seat) -> None:
    seat.codex.parent.write_text("a file where the folder is to be")
    done = seat.connect("codex", "--write")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {seat.codex.resolve()} cannot be written: Not a directory; nothing was changed\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--write",), "--write wants a CLIENT"), (("curl", "--write"), "curl has no file to write")],
)
def test_there_must_be_a_file_to_write(seat: Seat, words: tuple[str, ...], told: str) -> None:
    done = seat.connect(*words)
    assert (done.returncode, done.stdout, told in done.stderr) == (2, "", True), done
