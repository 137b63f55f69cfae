"""What no single field can know: addresses against keys, routes against providers, key against key.

The checks read the tree, not the models, so that they speak even while something else is wrong.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from proxy.config.document import Tree
from proxy.config.problems import Path, suggestion
from proxy.config.scalars import plain_scalar
from proxy.config.secrets import Concealed
from proxy.policy.names.pools import BUILT_IN

OPEN_TO_STRANGERS = (
    "other machines can reach this address, and without keys anybody there could spend your money; "
    "add an entry under keys:, or listen on 127.0.0.1"
)

Finding = tuple[Path, str]
Section = Mapping[str, Any]


def cross_findings(tree: Section, provider_names: tuple[str, ...]) -> Iterator[Finding]:
    """Yield every path and sentence; `provider_names` include those the environment made."""
    for check in _CHECKS:
        yield from check(tree)
    for index, route in enumerate(_list(tree.get("routes"))):
        name = _section(route).get("provider")
        if isinstance(name, str) and name and name not in provider_names:
            known = suggestion(name, provider_names) or f"; known are: {', '.join(provider_names) or 'none'}"
            yield ("routes", index, "provider"), f"names no provider of this configuration{known}"
    for path in _credentials(tree):
        if path[-1] not in provider_names:
            yield path, f"is for no provider of this configuration{suggestion(str(path[-1]), provider_names)}"


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _open_to_strangers(tree: Section) -> Iterator[Finding]:
    if not _on_loopback(_section(tree.get("listen"))) and not _section(tree.get("keys")):
        yield ("listen", "host"), OPEN_TO_STRANGERS


def _open_with_keys(tree: Section) -> Iterator[Finding]:
    if _plain(tree.get("open")) is True and _section(tree.get("keys")):
        yield ("open",), "says that no keys are wanted, and there are some under keys:; one of the two must go"


def _admin_without_token(tree: Section) -> Iterator[Finding]:
    admin = _section(tree.get("admin"))
    if not _on_loopback(admin) and admin.get("token") is None and not _section(tree.get("admins")):
        sentence = "other machines can reach this address; set admin.token or admins, or listen on 127.0.0.1"
        yield ("admin", "host"), sentence


def _same_address(tree: Section) -> Iterator[Finding]:
    data, admin = _address(tree, "listen"), _address(tree, "admin")
    if data and data == admin:
        written = (path for path in _ADDRESS_FIELDS if path[1] in _section(tree.get(path[0])))
        yield next(written), "listen and admin cannot have the same address"


def _own_address_as_provider(tree: Section) -> Iterator[Finding]:
    own = [address for address in (_address(tree, "listen"), _address(tree, "admin")) if address]
    for name, provider in _section(tree.get("providers")).items():
        address = _url_address(_section(provider).get("base_url"))
        if address and any(_reaches(address, host, port) for host, port in own):
            yield ("providers", name, "base_url"), "is our own address: calls would go round in circles"


def _same_secret(tree: Section) -> Iterator[Finding]:
    first: dict[str, str] = {}
    entries = [("keys", name, "key", entry) for name, entry in _section(tree.get("keys")).items()]
    entries += [("admins", name, "token", entry) for name, entry in _section(tree.get("admins")).items()]
    for part, name, field, entry in entries:
        section = _section(entry)
        secret, digest = section.get(field), section.get(f"{field}_hash")
        if isinstance(secret, str) and secret:
            digest = f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
        if not isinstance(digest, str) or not digest:
            continue
        place = name if part == "keys" else f"{part}.{name}"
        other = first.setdefault(digest.lower(), place)
        if other != place:
            path = (part, name, field if secret else f"{field}_hash")
            yield path, f"is the same secret as that of {other}; every {field} needs its own"


def _credentials(tree: Section) -> Iterator[Path]:
    """Where a tenant has a key of its own, or the file of one; the last step is the provider."""
    for name, tenant in _section(tree.get("tenants")).items():
        for field in ("credentials", "credential_files"):
            for provider in _section(_section(tenant).get(field)):
                yield "tenants", name, field, provider


def _whose_tenant_is_none(tree: Section) -> Iterator[Finding]:
    tenants = _section(tree.get("tenants"))
    groups = _section(_section(_section(tree.get("auth")).get("oidc")).get("groups"))
    bound: list[tuple[Path, Section]] = [((part,), _section(tree.get(part))) for part in ("keys", "admins")]
    for place, entries in [*bound, (("auth", "oidc", "groups"), groups)]:
        for name, entry in entries.items():
            tenant = _section(entry).get("tenant")
            if isinstance(tenant, str) and tenant not in tenants:
                sentence = f"names no tenant of this configuration{suggestion(tenant, tenants)}"
                yield (*place, name, "tenant"), sentence


def _family(tree: Section) -> Iterator[Finding]:
    """One level of parents: a parent is a tenant without one."""
    tenants = _section(tree.get("tenants"))
    for name, tenant in tenants.items():
        parent = _section(tenant).get("parent")
        if not isinstance(parent, str):
            continue
        path = ("tenants", name, "parent")
        if parent == name:
            yield path, "is the tenant itself"
        elif parent not in tenants:
            yield path, f"names no tenant of this configuration{suggestion(parent, tenants)}"
        elif _section(tenants[parent]).get("parent") is not None:
            yield path, f"is {parent}, which has a parent itself; tenants have one level of parents"


def _same_user(tree: Section) -> Iterator[Finding]:
    first: dict[Any, str] = {}
    for name, key in _section(tree.get("keys")).items():
        uid = _plain(_section(key).get("uid"))
        if uid is not None and (other := first.setdefault(str(uid), name)) != name:
            yield ("keys", name, "uid"), f"is the same user as that of {other}; every user is one key"


def _one_experiment_each(tree: Section) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for name, experiment in _section(tree.get("experiments")).items():
        model = _section(experiment).get("model")
        if isinstance(model, str) and (other := first.setdefault(model, name)) != name:
            yield ("experiments", name, "model"), f"has an experiment already, {other}; a name has one at a time"


def _told_of_rules(tree: Section) -> Iterator[Finding]:
    """Rules name who is told; a mailbox wants a server."""
    told = [_section(one) for one in _list(tree.get("alerts"))]
    names = [one["name"] for one in told if isinstance(one.get("name"), str)]
    for name, rule in _section(tree.get("alert_rules")).items():
        for index, wanted in enumerate(_list(_section(rule).get("to"))):
            if isinstance(wanted, str) and wanted not in names:
                near = suggestion(wanted, names) or f"; known are: {', '.join(names) or 'none'}"
                yield ("alert_rules", name, "to", index), f"is the name of nothing under alerts{near}"
    for index, one in enumerate(told):
        if one.get("mail") is not None and tree.get("smtp") is None:
            yield ("alerts", index, "mail"), "is a mailbox, and smtp names no server to send mail by"


def _on_loopback(section: Section) -> bool:
    host = section.get("host")
    return section.get("socket") is not None or not isinstance(host, str) or not host or is_loopback(host)


def _address(tree: Section, name: str) -> tuple[str, int] | None:
    """Return host and port as configured or by default; None for a socket or a port nobody knows yet."""
    from proxy.config.models import AdminSection, ListenSection  # only where a configuration is read

    section = _section(tree.get(name))
    default = (AdminSection if name == "admin" else ListenSection)()
    host = section.get("host") or default.host
    port = _plain(section.get("port"))
    port = default.port if port is None else port
    if section.get("socket") is not None or not isinstance(host, str) or not isinstance(port, int) or not port:
        return None
    return host.strip("[]").lower(), port


def _url_address(url: Tree) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        port = parts.port if parts else None
    except ValueError:
        return None
    return (parts.hostname, port) if parts and parts.hostname and port else None


def _reaches(address: tuple[str, int], host: str, port: int) -> bool:
    if address[1] != port:
        return False
    everywhere = host in ("0.0.0.0", "::")
    return address[0] == host or (is_loopback(address[0]) and (everywhere or is_loopback(host)))


def _plain(value: Any) -> Any:
    return plain_scalar(value) if isinstance(value, Concealed) else value


def _section(value: Any) -> Section:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _unknown_strategy(tree: Section) -> Iterator[Finding]:
    known = [*_section(tree.get("strategies")), *BUILT_IN]
    for name, model in _section(tree.get("models")).items():
        strategy = _section(model).get("strategy")
        if isinstance(strategy, str) and strategy and strategy not in known:
            near = suggestion(strategy, known) or "; there is: " + ", ".join(known)
            yield ("models", name, "strategy"), f"names no strategy{near}"


_ADDRESS_FIELDS = (("admin", "port"), ("admin", "host"), ("listen", "port"), ("listen", "host"))
_CHECKS: tuple[Callable[[Section], Iterator[Finding]], ...] = (
    _open_to_strangers,
    _open_with_keys,
    _admin_without_token,
    _same_address,
    _own_address_as_provider,
    _same_secret,
    _whose_tenant_is_none,
    _family,
    _same_user,
    _one_experiment_each,
    _unknown_strategy,
    _told_of_rules,
)
