"""What the data port answers by itself of pictures: results that wait to be fetched, and what some would cost."""

from __future__ import annotations

import re
import time

import msgspec

from proxy.errors import InvalidJson, NothingThere
from proxy.exchange.client import Client
from proxy.policy.money.account import Standing
from proxy.policy.money.budgets import Subject
from proxy.policy.money.credits import with_credits
from proxy.policy.tenants import own_scopes, owner_of
from proxy.policy.values import Plan
from proxy.web.client.heads import Asked, body_of
from proxy.web.client.parts import Own, Parts
from proxy.web.pictures import Lists, estimate

_RESULT = re.compile(r"/tollkeeper/results/(req_[0-9a-f]+)(?:/([0-9]{1,3}))?")


class KeptResults:
    """`GET /tollkeeper/results/ID` and `…/ID/N`: a reply whose client had left, and a picture by its address."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def answer(self, asked: Asked, client: Client) -> bool:
        """For who asked for it, as long as it is kept. Raises `NothingThere`, `CredentialUnreadable`."""
        found = _RESULT.fullmatch(asked.head.path) if asked.head.method in ("GET", "HEAD") else None
        name = "" if found is None else ".".join(filter(None, found.groups()))
        kept = self._parts.exchange.spoken_apis.results.find(name, owner_of(asked.caller)) if name else None
        if kept is None:
            raise NothingThere("There is no such result of this key; it may have expired, or not be there yet.")
        own = client.own_headers()
        length, private = ("Content-Length", str(kept.size)), ("Cache-Control", "private, no-store")
        client.begin(200, [("Content-Type", kept.media_type), length, private, *own])
        for chunk in kept.chunks if client.sends_bodies else ():
            client.say(chunk)
            await client.room()
        client.end()
        return True


class Estimates:
    """`POST /tollkeeper/images/estimate`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def answer(self, asked: Asked, client: Client) -> bool:
        """What pictures would cost, and what it would leave of the caller's budgets. Raises `CallerError`s."""
        if asked.head.method != "POST":
            return False
        exchange, caller, now = self._parts.exchange, asked.caller, time.time()
        books, scopes = exchange.admission.accounting.books, own_scopes(asked.caller)

        def standings(plan: Plan) -> list[Standing]:
            target = plan.targets[0]
            names = (plan.label, target.model, f"{target.provider}/{target.model}")
            under = books.under(scopes, Subject(caller.name, target.provider, names)) if books.has_narrowed else scopes
            return list(books.standings(under, now))

        lists = Lists(self._parts.names, exchange.admission.prices, exchange.providers)
        found = estimate(await self._read(asked), lists, caller, standings)
        headers = [("Content-Type", "application/json"), *client.own_headers()]
        client.whole(200, headers, msgspec.json.encode(with_credits(found, exchange.credits)))
        return True

    async def _read(self, asked: Asked) -> object:
        body = await body_of(asked, self._parts.max_body)
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise InvalidJson("The body cannot be read as JSON.") from None


def answers_of_pictures(parts: Parts) -> dict[str, Own]:
    """Who answers, by the paths of ours."""
    return {"tollkeeper/results": KeptResults(parts), "tollkeeper/images/estimate": Estimates(parts)}
