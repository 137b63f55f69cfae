"""Holds as calls take them."""

from __future__ import annotations

from proxy.policy.money.books import Books, Charge


def take(books: Books, hold_id: str, scopes: tuple[str, ...], key: str, amount: int, now: float) -> tuple[Charge, ...]:
    """Hold `amount` in every budget of these scopes, in the same step as a verdict that it fits."""
    budget_set = books.budget_set(scopes, key, now)
    books.hold(hold_id, budget_set, amount)
    return budget_set.charges
