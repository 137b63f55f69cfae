"""The picture of `tollkeeper top` in README and docs: what a terminal shows of a daemon at work.

`make examples` draws it anew. The numbers on it are of one moment; everything else has to be what is shown now.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import pytest
from example_blocks import ROOT
from harness.daemon import Daemon
from harness.tmux import Tmux, needs_tmux
from rich.console import Console
from rich.text import Text

PICTURE = ROOT / "docs" / "pictures" / "top.svg"
COLUMNS, LINES = 100, 24
SHOWN = 5  # calls under way for which there is room
SECRETS = {name: f"sk-{name}-canary" for name in ("alice", "bob", "nightly")}
CONFIG = {
    "providers": {"mock": {}},
    "models": {
        "gpt-4o": {"target": "mock/slow?ttft=0.2&interval=0.2&tokens=2000", "price": {"input": 2.5, "output": 10}},
        "claude-sonnet": {"target": "mock/slow?ttft=0.4&interval=0.1&tokens=2000", "price": {"input": 3, "output": 15}},
        "o3": "mock/echo?cost=0.11",
    },
    "keys": {name: {"key": secret, "budgets": [{"usd": 0.5, "per": "day"}]} for name, secret in SECRETS.items()},
    "budgets": [{"usd": 20, "per": "month"}],
    "shutdown": {"drain": 1},
}


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with calls that have ended, and more of them under way."""
    with Daemon(CONFIG, tmp_path, key=SECRETS["alice"]) as daemon, ExitStack() as stack:
        for name, secret in SECRETS.items():
            as_name = [("Authorization", f"Bearer {secret}")]
            assert daemon.chat("o3", as_name).status == 200
            for model in ("gpt-4o", "claude-sonnet"):
                call = stack.enter_context(daemon.open_chat(model, as_name, stream=True))
                assert call.read_head().status == 200, name
        yield daemon


def shown(daemon: Daemon) -> str:
    """The screen of `tollkeeper top`, with its colours, once it has seen a token of every call."""
    with Tmux(COLUMNS, LINES) as terminal:
        terminal.run(f"{sys.executable} -m proxy top --config {daemon.folder / 'config.yaml'}")
        terminal.wait(lambda screen: len(re.findall(r"streaming +[1-9]", screen)) == SHOWN)
        coloured = terminal.screen(colours=True)
        terminal.press("q")
        return coloured


def drawn(screen: str) -> str:
    """As an SVG that loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(screen.rstrip("\n")), no_wrap=True, crop=True)
    svg = console.export_svg(title="tollkeeper top", unique_id="top")
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def lines_of(svg: str) -> list[str]:
    """How its lines begin, without numbers."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        rows.setdefault(float(text.get("y", "0")), []).append((float(text.get("x", "0")), text.text or ""))
    found = ["".join(piece for _, piece in sorted(row)) for _, row in sorted(rows.items())]
    return [" ".join(re.findall(r"[^\W\d_]{2,}", line)[:2]) for line in found]


@needs_tmux
def test_the_picture_of_top_is_what_a_terminal_shows(busy: Daemon) -> None:
    fresh = drawn(shown(busy))
    assert "canary" not in fresh and "http" not in fresh.replace("http://www.w3.org", "").replace(
        "https://www.textualize", ""
    )
    if "WRITE_EXAMPLES" in os.environ:
        PICTURE.write_text(fresh)
    assert lines_of(PICTURE.read_text()) == lines_of(fresh)


def test_the_pages_show_it() -> None:
    assert "(docs/pictures/top.svg)" in (ROOT / "README.md").read_text()
    assert "(pictures/top.svg)" in (ROOT / "docs" / "commands.md").read_text()
