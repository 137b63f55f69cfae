"""`${NAME}` from the environment, keys from files; what came that way is never shown.

A text with a variable in it becomes `Concealed`, whatever the field: nobody can tell a secret
from a model name that was filled in.
"""

from __future__ import annotations

import re
import ssl
from binascii import a2b_base64
from collections.abc import Mapping
from pathlib import Path as FilePath

from msgspec import Struct, field

from proxy.config.document import Document, Tree
from proxy.config.problems import Path, Problem, suggestion
from proxy.secret import Secret

LARGEST_KEY_FILE = 64 * 1024

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{", re.ASCII)
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s")


class Concealed(str):
    """Text that came from the environment or may hold a credential: usable, but masked by repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show that there is text, never which."""
        return "Concealed(***)"


class Filled(Struct):
    """A tree with its variables filled in.

    `variables` says which names made up the text at a path; a text that used a default is not among
    them, for it stands in the file itself.
    """

    tree: dict[str, Tree]
    variables: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def fill_in(document: Document, env: Mapping[str, str]) -> Filled:
    """Replace `${NAME}` and `${NAME:-default}` in every text of the document; `$${` stands for a plain `${`."""
    filled = Filled({})
    filling = _Filling(document, env, filled)
    filled.tree = {name: filling.value(value, (name,)) for name, value in document.tree.items()}
    return filled


class _Filling:
    """One walk over a document."""

    def __init__(self, document: Document, env: Mapping[str, str], filled: Filled) -> None:
        """Read variables from `env`, write into `filled`."""
        self._document = document
        self._env = env
        self._filled = filled

    def value(self, value: Tree, path: Path) -> Tree:
        """Return `value` with everything below it filled in."""
        if isinstance(value, dict):
            return {name: self.value(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, path)
        return value

    def _text(self, text: str, path: Path) -> Concealed:
        names: list[str] = []
        whole = ""
        end = 0
        for match in _VARIABLE.finditer(text):
            whole += text[end : match.start()]
            end = match.end()
            whole += "${" if match[0] == "$${" else self._variable(match, path, names)
        if "" not in names and names:
            self._filled.variables[path] = tuple(names)
        return Concealed(whole + text[end:])

    def _variable(self, match: re.Match[str], path: Path, names: list[str]) -> str:
        name, default = match[1], match[2]
        if name is None:
            self._report(path, "a ${…} that is neither ${NAME} nor ${NAME:-default}; write $${ for a plain ${")
            return ""
        value = self._env.get(name)
        if default is not None and not value:
            names.append("")  # the text stands in the file after all
            return str(default)
        names.append(name)
        if value is None:
            near = suggestion(name, self._env)
            self._report(path, f"the environment variable {name} is not set{near}")
            return match[0]  # for readers that need no secrets
        elif is_broken(value):
            self._report(path, f"the environment variable {name} does not hold readable text")
            return ""
        return value

    def _report(self, path: Path, sentence: str) -> None:
        self._filled.problems.append(self._document.problem(path, sentence))


def is_broken(value: str) -> bool:
    """Whether a variable holds bytes that are no text, which Python keeps as halves of surrogate pairs."""
    return not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)


def credential(value: object) -> Secret:
    """Wrap a key; it must be fit to travel in a header."""
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004 - pydantic collects ValueErrors only
    text = str(value).strip()  # files with Windows line ends leave some behind it
    if not text:
        raise ValueError("is empty")
    if text.lower().startswith("bearer "):
        raise ValueError("begins with Bearer, which is put before it where it is sent; leave that out")
    if not _SENDABLE.fullmatch(text):
        raise ValueError("holds a space, a line break or a character outside ASCII; a key cannot")
    return Secret(text)


def unreadable_authorities(path: FilePath) -> str | None:
    """Why a file is none of PEM certificates; None where it is one."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except FileNotFoundError:
        return "there is no such file"
    except (ssl.SSLError, ValueError):
        return "the file holds no PEM certificates (they begin with -----BEGIN CERTIFICATE-----)"
    except OSError as error:
        return f"the file cannot be read ({error.strerror or type(error).__name__})"
    return None


def is_whole_bundle(path: FilePath) -> bool:
    """Whether a file is PEM certificates, each as long as it says: all that can be told without decoding their keys, which
    takes OpenSSL a tenth of a start for those of a whole system."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    found = _CERTIFICATE.findall(text)
    try:
        return bool(found) and len(found) == text.count(b"-----BEGIN") and all(map(_is_whole, map(a2b_base64, found)))
    except ValueError:
        return False


def _is_whole(der: bytes) -> bool:
    """Whether it is an ASN.1 sequence of the length it tells in two bytes, as that of every certificate is."""
    return der[:2] == b"\x30\x82" and int.from_bytes(der[2:4], "big") == len(der) - 4


def read_key_file(path: FilePath) -> Secret:
    """Read a key from its file, without the line break at its end; ValueError holds a sentence."""
    try:
        if not path.is_file():
            raise ValueError("there is no such file" if not path.exists() else "this is not a regular file")
        with path.open("rb") as file:
            content = file.read(LARGEST_KEY_FILE + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror or type(error).__name__})") from None
    if len(content) > LARGEST_KEY_FILE:
        raise ValueError("the file is larger than 64 KiB; a key never is")
    try:
        return credential(content.decode("utf-8-sig").rstrip("\r\n"))
    except UnicodeDecodeError:
        raise ValueError("the file does not hold text") from None
    except ValueError as error:
        raise ValueError(f"the key in this file {error}") from None
