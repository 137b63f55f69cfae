"""The kinds of value a field may take. What a validator says is a whole sentence and never holds the value."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from proxy.config.scalars import plain_scalar
from proxy.config.secrets import Concealed, credential
from proxy.config.units import duration_or, duration_seconds, part_percent, percent, ratio, size_bytes, slow, usd
from proxy.policy.retries.retry import FALLBACK_WORDS
from proxy.policy.use_cases.template import VARIABLE_NAME
from proxy.policy.webhooks import hook_key
from proxy.secret import Secret

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_BIND = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@*]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY_HASH = re.compile(r"sha256:[0-9a-fA-F]{64}")
_FRAMING_HEADERS = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te",
     "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
_STATUS = re.compile("[45][0-9]{2}")
_LONGEST_WORD = 256
_WEEK = 7 * 86400
_LONGEST_SOCKET_PATH = 107  # sun_path of Linux, less its NUL


def none_of(kind: type[list[Any] | dict[Any, Any]], description: str) -> Any:
    """A field that has nothing in it by default, made anew for each of the many entries there may be: pydantic would copy
    one default over and over."""
    return Field(default_factory=kind, json_schema_extra={"default": kind()}, description=description)


class Section(BaseModel):
    """A mapping of known fields. A field left empty (null) has its default, as when all below it is commented out."""

    # whole configurations are read, rarely a section by itself
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any) -> Any:
        if value is None:
            return {}
        if not isinstance(value, dict) or None not in value.values():
            return value
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: item for name, item in value.items() if item is not None or name not in optional}


def _unquoted(value: object) -> object:
    """A number or boolean may come from a variable, which only ever holds text."""
    return plain_scalar(value) if isinstance(value, Concealed) else value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("is no usable name: letters, digits, dot, dash and underscore, at most 64")
    return value


def _fallback_cause(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and (text in FALLBACK_WORDS or _STATUS.fullmatch(text)):
        return str(text)
    raise ValueError(f"must be a status such as 429, or one of: {', '.join(FALLBACK_WORDS)}")


def _variable_name(value: str) -> str:
    if not VARIABLE_NAME.fullmatch(value):
        raise ValueError("is no usable name of a variable: letters, digits and underscore, at most 64")
    return value


def _word(value: str) -> str:
    if not value or not value.isprintable() or " " in value or len(value) > _LONGEST_WORD:
        raise ValueError("must be a name without spaces")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name such as proxy.example.org, with :port if it is not the usual one")
    return value.lower()


def _bind_address(value: str) -> str:
    address = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if not _BIND.fullmatch(address):
        raise ValueError("must be an address to listen on, such as 127.0.0.1, ::1 or 0.0.0.0")
    return address


def _origin(value: str) -> str:
    origin = value.lower().rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("must be an origin such as https://app.example.org, without a path")
    return origin


def _socket(value: str) -> str:
    if not value or len(value.encode()) > _LONGEST_SOCKET_PATH:
        raise ValueError(f"must be the path of a socket, at most {_LONGEST_SOCKET_PATH} bytes long")
    return _readable_path(value, "a socket")


def _path(value: str) -> str:
    return _readable_path(value, "a file")


def _directory(value: str) -> str:
    return _readable_path(value, "a directory")


def _readable_path(value: str, what: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError(f"must be the path of {what}")
    if value.startswith("~") and not value.startswith("~/"):
        raise ValueError("must not begin with ~, but as ~/ for your own home; write the whole path")
    return value


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        fits = parts.port != 0 and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        return False
    clean = value.isascii() and value.isprintable() and not set(value) & set(" ?#\\")
    return fits and clean and parts.scheme in ("http", "https") and bool(parts.hostname)


def _base_url(value: str) -> str:
    if not _is_http_url(value):
        raise ValueError("must be an address such as https://host/v1: http or https, nothing after the path")
    if "@" in urlsplit(value).netloc:
        raise ValueError("must not hold a user name or password; the credential is api_key")
    return value.rstrip("/")


def _proxy(value: str) -> str:
    if value != "environment" and not _is_http_url(value):
        raise ValueError("must be the URL of an HTTP proxy, or environment, or null for a direct connection")
    return Concealed(value)


def _headers(value: dict[str, str]) -> dict[str, str]:
    seen: set[str] = set()
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
            raise ValueError("holds a name or value that cannot be an HTTP header (ASCII, no line breaks)")
        if name.lower() in _FRAMING_HEADERS:
            raise ValueError(f"cannot set {name.lower()}: it belongs to the connection, not to the call")
        if name.lower() in seen:
            raise ValueError(f"sets {name.lower()} twice; case makes no difference")
        seen.add(name.lower())
    return {name: Concealed(text) for name, text in value.items()}


def _hook_url(value: object) -> Secret:
    """The address of a webhook may hold a token of its own."""
    if not isinstance(value, str) or not _is_http_url(value.replace("?", "/", 1)):
        raise ValueError("must be an address such as https://host/path: http or https, without # and spaces")
    return Secret(str(value))


def _hook_secret(value: object) -> Secret:
    secret = credential(value)
    hook_key(secret)
    return secret


def _key_hash(value: str) -> str:
    if not _KEY_HASH.fullmatch(value):
        raise ValueError("must be sha256: followed by 64 hexadecimal digits, as `tollkeeper keys create` prints it")
    return value.lower()


def _token_hash(value: str) -> str:
    if not _KEY_HASH.fullmatch(value):
        raise ValueError("must be sha256: followed by 64 hexadecimal digits; `tollkeeper admins create` makes one")
    return value.lower()


def _moment(value: object) -> int:
    """UTC epoch milliseconds; a day begins at midnight, UTC."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("must be a day or a moment such as 2027-02-25 or 2027-02-25T08:00:00Z") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise ValueError("must be a time zone such as Europe/Berlin") from None
    return value


def _part(value: object) -> float:
    """0 to 1, or a percentage of it."""
    text = str(_unquoted(value)).strip()
    try:
        part = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        part = -1.0
    if isinstance(value, bool) or not 0 <= part <= 1:
        raise ValueError("must be a part such as 2% or 0.02, from 0 to 1")
    return part


def _percent_number(value: object) -> object:
    """A number, with or without its sign."""
    return plain_scalar(Concealed(value.removesuffix("%").strip())) if isinstance(value, str) else value


def _schema(*types: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(types)} if len(types) > 1 else types[0])


_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "number", "minimum": 0}

Flag = Annotated[bool, BeforeValidator(_unquoted)]
Count = Annotated[int, Field(gt=0, le=10**15), BeforeValidator(_unquoted)]
Uid = Annotated[int, Field(ge=0, le=2**32 - 2), BeforeValidator(_unquoted)]
Length = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_unquoted)]
Attempts = Annotated[int, Field(ge=1, le=10), BeforeValidator(_unquoted)]
Port = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_unquoted)]
Share = Annotated[Decimal, BeforeValidator(ratio), _schema({"type": "number", "exclusiveMinimum": 0, "maximum": 1})]
Size = Annotated[int, BeforeValidator(size_bytes), _schema(_TEXT, {"type": "integer", "minimum": 1})]
Seconds = Annotated[float, Field(le=_WEEK), BeforeValidator(duration_seconds), _schema(_TEXT, _NUMBER)]
Timeout = Annotated[float, Field(gt=0, le=_WEEK), BeforeValidator(duration_seconds), _schema(_TEXT, _NUMBER)]
SecondsOrNever = Annotated[float | None, BeforeValidator(duration_or("never", 1.0)), _schema(_TEXT, _NUMBER)]
SecondsOrForever = Annotated[float | None, BeforeValidator(duration_or("forever", 60.0)), _schema(_TEXT, _NUMBER)]
Weight = Annotated[float, Field(ge=0, le=1000), BeforeValidator(_unquoted)]
Priority = Annotated[int, Field(ge=0, le=1000), BeforeValidator(_unquoted)]
Money = Annotated[float, Field(gt=0, le=10**6), BeforeValidator(_unquoted)]
Part = Annotated[float, BeforeValidator(_part), _schema({**_TEXT, "pattern": "%$"}, {"type": "number"})]
Uptime = Part
Slow = Annotated[float | str, BeforeValidator(slow), _schema(_TEXT, _NUMBER)]
Percent = Annotated[str, BeforeValidator(percent), _schema({**_TEXT, "pattern": "%$"})]
PartPercent = Annotated[str, BeforeValidator(part_percent), _schema({**_TEXT, "pattern": "%$"})]
PercentNumber = Annotated[float, Field(ge=0, le=100), BeforeValidator(_percent_number), _schema(_TEXT, _NUMBER)]
Ratio = Annotated[float, Field(ge=1, le=1000), BeforeValidator(_unquoted)]
Step = Annotated[float, Field(gt=0), BeforeValidator(duration_seconds), _schema(_TEXT, _NUMBER)]
Usd = Annotated[Decimal, Field(gt=0), BeforeValidator(usd), _schema(_TEXT, _NUMBER)]
Cap = Annotated[Decimal, Field(ge=0), BeforeValidator(usd), _schema(_TEXT, _NUMBER)]
UsdPerMillion = Annotated[Decimal, Field(ge=0), BeforeValidator(usd), _schema(_TEXT, _NUMBER)]
Credential = Annotated[Secret, PlainValidator(credential), WithJsonSchema(_TEXT)]
HookUrl = Annotated[Secret, PlainValidator(_hook_url), WithJsonSchema(_TEXT)]
HookSecret = Annotated[Secret, PlainValidator(_hook_secret), WithJsonSchema(_TEXT)]
Name = Annotated[str, AfterValidator(_name)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
FallbackCause = Annotated[
    str,
    BeforeValidator(_fallback_cause),
    _schema({"type": "integer", "minimum": 400, "maximum": 599}, {"enum": list(FALLBACK_WORDS)}),
]
Word = Annotated[str, AfterValidator(_word)]
BindAddress = Annotated[str, AfterValidator(_bind_address)]
Host = Annotated[str, AfterValidator(_host)]
Origin = Annotated[str, AfterValidator(_origin)]
SocketPath = Annotated[str, AfterValidator(_socket)]
FilePath = Annotated[str, AfterValidator(_path)]
DirectoryPath = Annotated[str, AfterValidator(_directory)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
ProxyUrl = Annotated[str, AfterValidator(_proxy)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
TokenHash = Annotated[str, AfterValidator(_token_hash)]
EpochMs = Annotated[int, PlainValidator(_moment), WithJsonSchema(_TEXT)]
KeyHash = Annotated[str, AfterValidator(_key_hash)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
