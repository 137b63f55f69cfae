"""`POST /tollkeeper/feedback`: what somebody thinks of a reply to a call of their own key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from proxy.errors import InvalidValue, NothingThere
from proxy.exchange.client import Client
from proxy.policy.values import Caller
from proxy.stores.feedback import Feedback
from proxy.stores.journal.records import Row
from proxy.web.client.heads import Asked, body_of
from proxy.web.reading import in_words

_SMALL_BODY = 64 * 1024


class _Given(Struct):
    request_id: Annotated[str, Meta(min_length=1, max_length=100)]
    score: bool | Annotated[float, Meta(ge=-1, le=1)]
    label: Annotated[str, Meta(pattern=r"^[\w .:/-]{0,64}$")] = ""


class FeedbackSurface:
    """`find` brings the ledger up to date and has the rows of a call; `keep` writes down."""

    def __init__(
        self, find: Callable[[str], Awaitable[list[Row]]], keep: Callable[[list[Feedback]], Awaitable[object]]
    ) -> None:
        self._find = find
        self._keep = keep

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Keep a score; False for any other method. Raises `ProxyError`s."""
        if asked.head.method != "POST":
            return False
        given = _read(await body_of(asked, _SMALL_BODY))
        rows = [row for row in await self._find(given.request_id) if _is_of(row, asked.caller)]
        if not rows:
            raise NothingThere(
                "No call of this key has this id; x-tollkeeper-request-id of a reply names its call.",
                param="request_id",
            )
        score = (1000 if given.score else -1000) if isinstance(given.score, bool) else round(given.score * 1000)
        await self._keep([Feedback(given.request_id, asked.caller.name, score, given.label)])
        told = {"request_id": given.request_id, "score": score / 1000, "label": given.label}
        headers = [("Content-Type", "application/json"), *client.own_headers()]
        client.record.phase = "done"
        client.whole(200, headers, msgspec.json.encode(told))
        return True


def _is_of(row: Row, caller: Caller) -> bool:
    """Whether it is an answered call of this key's."""
    return (row.key, row.tenant) == (caller.name, caller.tenant) and (row.provider != "" or row.source == "cached")


def _read(body: bytes) -> _Given:
    try:
        return msgspec.json.decode(body, type=_Given)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue(
            f'Feedback is {{"request_id": "…", "score": -1 to 1 or true or false, "label": "…"}}: {in_words(error, _Given)}.'
        ) from None
