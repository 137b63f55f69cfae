"""Where the daemon of a configuration is, as commands need it: found without its secrets, whatever else is wrong."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from msgspec import Struct

from proxy.config.discover import find_config
from proxy.config.problems import ConfigProblems
from proxy.observe.holders import user_name

if TYPE_CHECKING:
    from proxy.policy.values import Settings
    from proxy.stores.effective import Effective

_OF_SERVICES = Path("/var/lib/private")  # nobody but root and the service itself can look below it


class Home(Struct, frozen=True):
    """`file` None: the environment decides. `zone` is the machine's."""

    file: Path | None
    state_dir: str
    zone: tzinfo

    def settings(self) -> Settings:
        """The configuration without its secrets, for what no daemon was there to answer.

        Ends the command where it has problems.
        """
        return self.effective().loaded.settings

    def effective(self) -> Effective:
        """The same, with what is stored beside the file."""
        try:
            return self.read()
        except ConfigProblems as problems:
            end_with(problems)

    def read(self) -> Effective:
        """The same. Raises ConfigProblems."""
        from proxy.cli.lean_imports import import_config_lean

        import_config_lean()  # slow all the same
        from proxy.stores.effective import load_effective

        return load_effective(self.file, os.environ, needs_secrets=False)


def config_file(chosen: str | None) -> Path | None:
    """The configuration file, None where there is none. Ends the command where nobody may look for it."""
    try:
        return find_config(chosen, os.environ)
    except ConfigProblems as problems:
        end_with(problems)


def readable_file(chosen: str | None) -> Path | None:
    """The same; another user's file ends the command with whose it is."""
    file = config_file(chosen)
    if file is not None and _is_hidden(file):
        raise not_yours(file, file)
    return file


def home_or_exit(chosen: str | None) -> Home:
    """Where the daemon is, for a configuration that is `chosen` or found. Ends the command where that cannot be read."""
    from proxy.config.locate import locate

    try:
        found = locate(readable_file(chosen), os.environ)
    except ConfigProblems as problems:
        end_with(problems)
    return Home(found.file, found.state_dir, found.zone)


def end_with(problems: ConfigProblems) -> NoReturn:
    """Say every problem; exit status 1."""
    click.echo(str(problems), err=True)
    sys.exit(1)


def not_yours(place: Path, file: Path | None) -> click.ClickException:
    """The one sentence for files of another user's daemon: whose they are, and what to type."""
    owner, me = _owner(place), os.geteuid()
    if me == 0 and _OF_SERVICES in place.resolve().parents:
        return click.ClickException(f"{place} belongs to a service that does not run; type: systemctl start tollkeeper")
    words = [sys.argv[0] if Path(sys.argv[0]).name == "tollkeeper" else "tollkeeper", *sys.argv[1:]]
    if file is not None and not any(word.partition("=")[0] == "--config" for word in words):
        words += ["--config", str(file.absolute())]
    become = ["sudo"] if owner == 0 else ["sudo", "-u", user_name(owner)]
    return click.ClickException(
        f"{place} belongs to the user {user_name(owner)}, and you are {user_name(me)}; type: {shlex.join(become + words)}"
    )


def is_anothers(state_dir: Path) -> bool:
    """Whether work on these files is another user's: root would leave files there that their owner cannot read."""
    try:
        owner = state_dir.stat().st_uid
    except PermissionError:
        return True
    except OSError:  # it is not there, or no place for one: whoever opens it says which
        return False
    me = os.geteuid()
    return owner != me and (me == 0 or not os.access(state_dir, os.R_OK | os.W_OK | os.X_OK))


def refuse_strangers(file: Path | None) -> None:
    """End the command where its state is out of this user's reach; a configuration that is broken is not judged here."""
    from proxy.config.locate import locate

    try:
        state_dir = Path(locate(file, os.environ).state_dir)
    except ConfigProblems:
        return
    if os.geteuid() != 0 and is_anothers(state_dir):
        raise not_yours(state_dir, file)


def refuse_to_serve(folder: str, file: Path | None) -> None:
    """End the command where its state is another user's, or is to be made where this user cannot."""
    state_dir = Path(folder)
    if is_anothers(state_dir):
        refused = not_yours(state_dir, file)
        raise click.ClickException(f"{refused.message}, or name a `state_dir:` of your own")
    above = next(path for path in state_dir.absolute().parents if os.path.exists(path))
    if above.is_dir() and not os.path.exists(state_dir) and not os.access(above, os.W_OK | os.X_OK):
        me, owner = user_name(os.geteuid()), user_name(_owner(above))
        make = shlex.join(["sudo", "install", "-d", "-m", "700", "-o", me, str(state_dir)])
        raise click.ClickException(
            f"{state_dir} cannot be made: {above} belongs to the user {owner}, and you are {me}; type: {make}, or name "
            "a `state_dir:` of your own"
        )


def _is_hidden(file: Path) -> bool:
    """Whether it is there, for all one can see, and not for this user to read."""
    try:
        file.open("rb").close()
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


def _owner(place: Path) -> int:
    """Whose it is, or the nearest folder above it that may be looked at."""
    for path in (place, *place.absolute().parents):
        try:
            return path.stat().st_uid
        except OSError:
            continue
    return 0
