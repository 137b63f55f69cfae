"""`POST /tollkeeper/compare`: the calls are made, their pieces told as they come, and the table at the end."""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from proxy.compare.asking import Comparison, read_comparison
from proxy.compare.cells import Cell, CellConnection, begin_chat
from proxy.compare.verdict import Verdict, agreed, answer_in, question
from proxy.exchange.client import STREAM_HEADERS, Client
from proxy.policy.values import Caller
from proxy.stores.feedback import Feedback
from proxy.web.client.api import Api
from proxy.web.client.heads import Asked, body_of

_JSON = ("Content-Type", "application/json")
Keep = Callable[[list[Feedback]], Awaitable[object]]


class Result(Struct, frozen=True):
    """All cells; `models` says which column is which model, `verdict` what the judge found, null without one."""

    cells: list[Cell]
    models: dict[str, str]
    verdict: Verdict | None


class CompareSurface:
    """`keep` writes down what a judge found: evidence for whoever chooses models."""

    def __init__(self, api: Api, keep: Keep) -> None:
        self._api = api
        self._keep = keep

    async def answer(self, asked: Asked, client: Client) -> bool:
        """Answer a comparison; False for any other method. Raises `ProxyError`s."""
        if asked.head.method != "POST":
            return False
        body = await body_of(asked, self._api.parts.max_body)
        await _Round(self._api, asked.caller, read_comparison(body), client).run(self._keep)
        return True


class _Round:
    """One comparison under way."""

    def __init__(self, api: Api, caller: Caller, comparison: Comparison, client: Client) -> None:
        self._api = api
        self._caller = caller
        self._asked = comparison
        self._client = client
        self._connections: list[CellConnection] = []
        models = list(comparison.models)
        if comparison.is_blind:
            random.shuffle(models)
        self._models = dict(zip(string.ascii_uppercase, models, strict=False))

    async def run(self, keep: Keep) -> None:
        """Make the calls, one of each column at a time; tell what comes as it comes. They end with whoever asked for them."""
        try:
            await self._run(keep)
        except asyncio.CancelledError:
            for connection in self._connections:
                connection.leave()
            raise

    async def _run(self, keep: Keep) -> None:
        client = self._client
        client.record.phase = "streaming"
        if self._asked.streams:
            own = client.own_headers(is_whole=False)
            client.begin(200, [("Content-Type", "text/event-stream"), *STREAM_HEADERS, *own])
            client.watch()
        cells: list[Cell] = []
        for run in range(1, self._asked.repeat + 1):
            connections = {column: self._begin(column, model, run) for column, model in self._models.items()}
            cells += [await self._ended(column, connections[column], run) for column in connections]
        verdict = await self._judged(cells) if self._asked.judge is not None else None
        if verdict is not None and verdict.winner is not None:
            await keep([_evidence(cell, verdict, self._caller.name) for cell in cells if cell.run == 1])
        self._finish(Result(cells, self._models, verdict))

    def _begin(self, column: str, model: str, run: int) -> CellConnection:
        def said(text: str) -> None:
            self._tell({"column": column, "run": run, "text": text})

        return self._call(model, self._asked.body, said)

    def _call(self, model: str, body: dict[str, Any], said: Callable[[str], None] = lambda _: None) -> CellConnection:
        connection = begin_chat(self._api, self._caller, model, body, said)
        self._connections.append(connection)
        return connection

    def _tell(self, news: dict[str, Any]) -> None:
        if self._asked.streams:
            self._client.say(b"data: " + msgspec.json.encode(news) + b"\n\n")

    async def _ended(self, column: str, connection: CellConnection, run: int) -> Cell:
        record = await connection.over
        model = None if self._asked.is_blind else self._models[column]
        cell = connection.cell(column, model, run, record)
        self._tell({"cell": cell})
        return cell

    async def _judged(self, cells: list[Cell]) -> Verdict:
        """Ask twice, the second time with the replies the other way round."""
        replies = [(cell.column, cell.text) for cell in cells if cell.run == 1 and cell.error is None]
        judge, letters = self._asked.judge or "", [letter for letter, _ in replies]
        found, ids, why = [], [], ""
        for shown in (replies, replies[::-1]) if len(replies) > 1 else ():
            connection = self._call(judge, question(self._asked.prompt, shown))
            record = await connection.over
            best, reason = answer_in("".join(connection.text), letters)
            found.append(best)
            ids.append(record.request_id)
            why = why or reason
        winner = agreed(*found) if found else None
        return Verdict(judge, winner, why, ids)

    def _finish(self, result: Result) -> None:
        client = self._client
        client.record.phase = "done"
        if self._asked.streams:
            client.say(b"data: " + msgspec.json.encode({"result": result}) + b"\n\ndata: [DONE]\n\n")
            client.end()
        else:
            client.whole(200, [_JSON, *client.own_headers()], msgspec.json.encode(result))


def _evidence(cell: Cell, verdict: Verdict, key: str) -> Feedback:
    """The best has 1, the others -1; nobody has anything where none was better."""
    is_best = cell.column == verdict.winner
    score = 0 if verdict.winner == "tie" else 1000 if is_best else -1000
    return Feedback(cell.request_id, key, score, "compare")
