"""The agents of `make agents`: what each is configured with, how it is told to use a tool, and what it runs in."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.daemon import REPOSITORY
from harness.surroundings import surroundings

SECONDS = 240  # of a run; a tenth is usual
MARKER = "the-tool-ran"
SAID = "and says 42"
_SHELL = f"touch {MARKER}; echo and says $((6 * 7))"
TURNS = 10
# what the tool gives back is the next prompt, until there were enough of them
_AGAIN = f"echo . >>~/turns; if [ $(wc -l <~/turns) -lt {TURNS} ]; then cat ~/next; else {_SHELL}; fi"
# They neither call home nor look for news; whatever tries to all the same finds no way out of this machine.
_ALONE = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
    "DO_NOT_TRACK": "1",
    "TERM": "dumb",
    "CI": "1",
}
_FUNCTION = f"""
def finish(name: str) -> str:
    "Finish the work."
    open(name, "w").close()
    return "{SAID}"
"""


def scripted(tool: str, **arguments: object) -> str:
    """A prompt that has the mock call this tool."""
    return f"mock: call {tool} {json.dumps(arguments)}"


@dataclass(frozen=True)
class Agent:
    """One agent. `kind` is the provider it is led to, `calls` the least number of calls it needs.

    `program` is below the repository; `arguments` follow the last line that `connect` prints, or `command` if none does.
    One that `asks` for the key on standard input has its prompt in the place of the printed Hello, any other reads it
    there.
    """

    kind: str
    endpoint: str
    program: str
    prompt: str
    arguments: Sequence[str] = ()
    command: str = ""
    asks: bool = False
    calls: int = 2
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        return (REPOSITORY / self.program).exists()

    def in_turns(self, home: Path) -> Agent:
        """The same agent with work that takes it so many turns, each with a call of its tool; for one in this home."""
        prompt = self.prompt.replace(_SHELL, _AGAIN)
        (home / "next").write_text(prompt)
        return replace(self, prompt=prompt)

    def in_javascript(self, tool: str) -> Agent:
        """The same work for Codex's newest models, whose tools are called by a program that the model gives to this one."""
        program = f"const ran = await tools.exec_command({{cmd: {json.dumps(_SHELL)}}}); text(ran.output)"
        return replace(self, prompt=scripted(tool, input=program))

    def script(self, printed: str) -> str:
        """The shell lines to run: those printed, or `command`, the last with what the agent is to do."""
        lines = [line for line in [*printed.splitlines(), self.command] if line]
        last = lines[-1].replace("Hello", shlex.quote(self.prompt))
        return "\n".join([*lines[:-1], f"exec {last} {shlex.join(self.arguments)}"])


AGENTS: dict[str, Agent] = {
    "claude-code": Agent(
        kind="anthropic",
        endpoint="messages",
        program=".agents/claude-code/node_modules/.bin/claude",
        prompt=scripted("Bash", command=_SHELL, description="Finish the work"),
        arguments=("-p", "--allowedTools", "Bash"),
        env={
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_AUTOUPDATER": "1",
        },
    ),
    "codex": Agent(
        kind="openai",
        endpoint="responses",
        program=".agents/codex/node_modules/.bin/codex",
        prompt=scripted("exec_command", cmd=_SHELL),
        arguments=("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-"),
    ),
    "cline": Agent(
        kind="openrouter",
        endpoint="chat/completions",
        program=".agents/cline/node_modules/.bin/cline",
        prompt=scripted("run_commands", commands=[_SHELL]),
        arguments=("--auto-approve", "true"),
        env={"CLINE_SESSION_BACKEND_MODE": "local", "CLINE_NO_AUTO_UPDATE": "1"},  # no process of its own stays behind
    ),
    "opencode": Agent(
        kind="openrouter",
        endpoint="chat/completions",
        program=".agents/opencode/node_modules/.bin/opencode",
        prompt=scripted("bash", command=_SHELL, description="Finish the work"),
        command="opencode run",
        env={
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        },
    ),
    "continue": Agent(
        kind="openrouter",
        endpoint="chat/completions",
        program=".agents/continue/node_modules/.bin/cn",
        prompt=scripted("Bash", command=_SHELL),
        command="cn -p --auto --config ~/.continue/config.yaml",
        env={"CONTINUE_TELEMETRY_ENABLED": "0", "CONTINUE_CLI_ENABLE_TELEMETRY": "0", "CONTINUE_CLI_AUTO_UPDATED": "1"},
    ),
    # it edits by what it reads in the answer, which is its only tool; the mock says the prompt again
    "aider": Agent(
        kind="openai",
        endpoint="chat/completions",
        program=".agents/aider/bin/aider",
        prompt=f"{MARKER}\n```\n{SAID}\n```\n",
        arguments=(
            *("--no-git", "--yes-always", "--edit-format", "whole", "--message-file", "/dev/stdin"),
            *("--no-analytics", "--no-check-update", "--no-show-release-notes", "--no-show-model-warnings"),
        ),
        calls=1,
    ),
    "llm": Agent(
        kind="openrouter",
        endpoint="chat/completions",
        program=".venv-clients/bin/llm",
        prompt=scripted("finish", name=MARKER),
        arguments=("--functions", _FUNCTION),
        asks=True,
    ),
}


def run(agent: Agent, parts: Sequence[Mapping[str, str]], home: Path, key: str) -> str:
    """Have the agent, whose file is in its place, work in `home/work` as `connect` printed in `parts`; return all that it
    printed.

    An agent that does not end, or not with 0, fails; it is ended together with what it started.
    """
    work = home / "work"
    work.mkdir()
    script = agent.script("\n".join(part["text"] for part in parts if not part["file"]))
    path = f"{(REPOSITORY / agent.program).parent}:{os.environ['PATH']}"
    env = surroundings(home, PATH=path, TOLLKEEPER_KEY=key, **_ALONE, **agent.env)
    with subprocess.Popen(
        ["sh", "-ec", script],
        cwd=work,
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(f"{key}\n" if agent.asks else agent.prompt, timeout=SECONDS)
        finally:
            _end(process.pid)
    assert process.returncode == 0, printed
    return printed


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # all of it has ended
        os.killpg(group, signal.SIGKILL)
