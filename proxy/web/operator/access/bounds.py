"""What an admin of a tenant sees and changes: that tenant's rows and those of its children, as if there were no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from proxy.errors import ModelNotFound
from proxy.policy.money.budgets import Budget, key_of, tenant_of
from proxy.policy.names.access import allowed_models, may_use
from proxy.policy.names.resolution import Names
from proxy.policy.tenants import Tenants, children, lineage
from proxy.policy.values import Caller
from proxy.stores.keyset import KeySet
from proxy.web.faults import RoleNotSufficient


class Bounds(Struct, frozen=True):
    """`tenants` are those whose rows count, the admin's own first; None: everybody's. `keys` are theirs."""

    tenants: tuple[str, ...] | None = None
    keys: frozenset[str] = frozenset()

    def has(self, tenant: str | None) -> bool:
        """Whether a row of this tenant ("" and None are nobody's) counts."""
        return self.tenants is None or tenant in self.tenants

    def has_key(self, name: str) -> bool:
        """Whether this is one of their keys."""
        return self.tenants is None or name in self.keys

    def has_budget(self, budget: Budget) -> bool:
        """Whether it is one of their keys', of one of their keys, or of one of them."""
        if self.tenants is None:
            return True
        key, tenant = key_of(budget.scope), tenant_of(budget.scope)
        if key is None and budget.each in ("key", "session"):
            key = budget.of.partition("/")[0]
        return key in self.keys or tenant in self.tenants

    def refuse_own(self, budget: Budget) -> None:
        """What bounds an admin's tenant they do not correct themselves. Raises `RoleNotSufficient`."""
        if self.tenants and tenant_of(budget.scope) == self.tenants[0]:
            raise RoleNotSufficient(
                f"The budget {budget.id} bounds the tenant {self.tenants[0]} itself; an admin of no tenant corrects it."
            )

    def home(self, tenant: str | None) -> str | None:
        """Whose a new key is, where the order names this tenant. Raises `RoleNotSufficient` for one that is not theirs."""
        if self.tenants is None or tenant in self.tenants:
            return tenant
        if tenant is None:
            return self.tenants[0]
        raise self.stray()

    def refuse_user(self, uid: object) -> None:
        """Users of this machine are nobody's of a tenant. Raises `RoleNotSufficient`."""
        if self.tenants is not None and uid is not None:
            raise RoleNotSufficient("Which user of this machine a key is says an admin of no tenant.")

    def stray(self) -> RoleNotSufficient:
        """For an order that names a tenant which is not theirs, or none."""
        assert self.tenants is not None
        return RoleNotSufficient(f"An admin of the tenant {self.tenants[0]} makes keys of: {', '.join(self.tenants)}.")

    def models(self, names: Names, tenants: Tenants) -> frozenset[str]:
        """The names that one of them may use."""
        return frozenset(name for user in self._users(tenants) for name in allowed_models(user, names))

    def may_use(self, name: str, names: Names, tenants: Tenants, at: str | None = None) -> bool:
        """Whether one of them may use this name, `at` that provider where it is given."""
        return any(_may_use(user, names, name, at) for user in self._users(tenants))

    def _users(self, tenants: Tenants) -> Iterator[Caller]:
        """For each of them somebody who may what all of it may; of everybody, everybody."""
        for tenant in ("",) if self.tenants is None else self.tenants:
            line = lineage(tenants, tenant) if tenant else ()
            yield Caller("", also=tuple(one.models for one in line if one.models))

    def has_model(self, name: str, names: Names, keys: KeySet) -> bool:
        """Whether this name is theirs alone: what all who use it do shows nothing of anybody else."""
        if self.tenants is None:
            return True
        users = [caller.name for caller in keys.each if _may_use(caller, names, name)]
        return not keys.is_open and bool(users) and self.keys.issuperset(users)


def _may_use(caller: Caller, names: Names, name: str, at: str | None = None) -> bool:
    try:
        return may_use(caller, names, name, at)
    except ModelNotFound:
        return False


def bounds_of(tenant: str | None, tenants: Tenants, callers: Iterable[Caller]) -> Bounds:
    """Those of an admin of a tenant; None: of everybody's."""
    if tenant is None:
        return Bounds()
    known = (tenant, *children(tenants, tenant))
    return Bounds(known, frozenset(caller.name for caller in callers if caller.tenant in known))
