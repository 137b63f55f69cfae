"""What `serve` says when it listens, and what `check` says of it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.policy.values import Settings

MOST_NAMES = 20  # of keys, in the line that names them
_NAMES_OF = {
    "openai": "OpenAI's (gpt-4o, openai/gpt-4o) go",
    "anthropic": "Anthropic's (claude-sonnet-4-5, anthropic/claude-sonnet-4.5)",
}


def start_lines(settings: Settings, url: str, admin_url: str, *, is_open: bool = True) -> list[str]:
    """What was decided at start: where from, which names go where, who may ask, how to try it."""
    lines = [f"Configuration: {settings.source or 'none; providers from the environment'}"]
    lines += [f"Warning: {warning}" for warning in settings.warnings]
    for provider in settings.providers.values():
        where = provider.base_url or "built in"
        lines.append(f"Provider {provider.name} ({provider.kind}): {where}; {provider.key_source}")
    lines += _names_lines(settings) + environment_lines(settings)
    keys = _some([caller.name for caller in settings.callers])
    nobody = "Keys: none; open to everybody on this machine" if is_open else "Keys: none left; nobody may call"
    lines.append(f"Keys: {keys}" if keys else nobody)
    lines += [f"Admin on {admin_url}", f"Listening on {url}"]
    if all(provider.kind == "mock" for provider in settings.providers.values()) and not url.startswith("unix:"):
        lines += _snippets(url, is_open=is_open)
    return lines


def _names_lines(settings: Settings) -> list[str]:
    """Which models' names go where, in a line, where the environment made the providers."""
    providers = [provider for provider in settings.providers.values() if provider.kind != "mock"]
    if not providers or settings.routes or "providers" in settings.written:
        return []
    own = [f"{_NAMES_OF[each.kind]} to {each.name}" for each in providers if each.kind in _NAMES_OF]
    through = next((each.name for each in providers if each.kind == "openrouter"), None)
    if through is None:
        return [f"Names: {'; '.join(own)}" if len(own) > 1 else f"Names: all go to {providers[0].name}"]
    unasked = [each.name for each in providers if each.name != through]
    unless = f"; none to {' or '.join(unasked)} without an entry under routes: that sends it there" if unasked else ""
    return [f"Names: all go to {through} (openai/gpt-4o, gpt-4o, claude-sonnet-4-5 and so on){unless}"]


def _some(names: list[str]) -> str:
    """The first of them, and how many there are besides."""
    rest = len(names) - MOST_NAMES
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:MOST_NAMES])} and {rest:,} more"


def environment_lines(settings: Settings) -> list[str]:
    """What variables say beside the file, a line each, and which of them say nothing after all."""
    told = [f"Setting {one.setting}: {one.value}; environment variable {one.variable}" for one in settings.environment]
    return told + [f"Not used: {sentence}" for sentence in settings.unused]


def _snippets(url: str, *, is_open: bool) -> list[str]:
    """What works as it stands, in another terminal; a key is read from the environment."""
    import shlex  # zsh takes the brackets of IPv6 for a pattern

    model, key = "mock/echo", '"anything"' if is_open else 'os.environ["TOLLKEEPER_KEY"]'
    header = "" if is_open else ' -H "Authorization: Bearer $TOLLKEEPER_KEY"'
    return [
        "",
        "No provider key was found or wanted: the built-in mock answers, free and offline. Try it:",
        "",
        *([] if is_open else ["  export TOLLKEEPER_KEY=…      # a key; `tollkeeper keys create NAME` makes one", ""]),
        f"  curl {shlex.quote(f'{url}/chat/completions')} -H 'Content-Type: application/json'{header} \\",
        f'    -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}\'',
        "",
        f"  {'' if is_open else 'import os; '}from openai import OpenAI",
        f'  client = OpenAI(base_url="{url}", api_key={key})',
        f'  print(client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello"}}]))',
        "",
    ]
