"""Plays every recorded exchange through a real daemon, three calls at a time, and judges what came of each."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from genai_prices import Usage, calc_price
from harness.daemon import Daemon
from harness.http import Connection, Ended, Reply
from traffic.player import MARK, Player
from traffic.recorded import ENTRIES, Exchange
from traffic.truth import SELLERS

AT_A_TIME = 3
KEY = "sk-replay-client"
UPSTREAM_KEY = "sk-replay-upstream"
OWN_PRICE = {"input": 0.25, "output": 0.75, "cached_input": 0.05}
WAIT_SECONDS = 60.0
Row = dict[str, Any]


@dataclass
class Played:
    """One exchange after its replay. `rows`: its attempts in the ledger; `line`: its line in the log."""

    exchange: Exchange
    reply: Reply
    heard: Any
    with_key: bool
    rows: list[Row] = field(default_factory=list)
    line: dict[str, Any] = field(default_factory=dict)


def config_for(player: Player, exchanges: list[Exchange], *, with_key: bool) -> dict[str, Any]:
    """Each host as an entry of its kind; models that genai-prices does not know get a price of the operator's."""
    patient = {"connect": 10, "first_byte": WAIT_SECONDS, "idle": WAIT_SECONDS, "total": 300}
    providers = {
        name: {
            "kind": name if name in ("openai", "anthropic", "openrouter") else "openai",
            "base_url": f"{player.url}/{name}/v1",
            "api_key": UPSTREAM_KEY,
            "timeouts": patient,
        }
        for name in ["openrouter", *sorted(set(ENTRIES.values()) - {"openrouter"})]
    }
    budgets = [{"usd": 100_000, "per": "total"}]
    return {
        "providers": providers,
        "routes": [{"match": f"{name}/*", "provider": name} for name in SELLERS if name != "openrouter"],
        "models": {name_of(exchange): _priced(exchange) for exchange in exchanges if needs_price(exchange)},
        "catalogue": {"refresh": "never"},
        "retries": {"attempts": 1},
        **({"keys": {"replay": {"key": KEY, "budgets": budgets}}} if with_key else {}),
    }


def needs_price(exchange: Exchange) -> bool:
    """Whether only an operator knows the model's price: it is at a server of no list, or in nobody's list."""
    return exchange.asked is not None and not is_known(exchange)


def is_known(exchange: Exchange) -> bool:
    """Whether genai-prices has the model at that vendor."""
    try:
        calc_price(Usage(input_tokens=1), exchange.asked or "", provider_id=SELLERS[exchange.entry or ""])
    except LookupError:
        return False
    return True


def name_of(exchange: Exchange) -> str:
    """What a client calls the model: the entry, and the provider's own name."""
    return f"{exchange.entry}/{exchange.asked}"


def _priced(exchange: Exchange) -> dict[str, Any]:
    return {"target": name_of(exchange), "price": OWN_PRICE}


def play(exchanges: list[Exchange], folder: Path, *, with_key: bool, seed: int) -> list[Played]:
    """Play all of them through one daemon; the ledger is read once it has stopped."""
    with Player(exchanges, seed) as player:
        config = config_for(player, exchanges, with_key=with_key)
        with Daemon(config, folder, key=KEY if with_key else None) as daemon:
            replies = _ask_all(daemon, exchanges)
            assert daemon.stop() == 0, daemon.output
        lines = {line.get("request_id"): line for line in daemon.log_lines()}
        played = [Played(exchange, replies[n], player.heard.get(n), with_key) for n, exchange in enumerate(exchanges)]
    ledger = _ledger(folder / "state" / "ledger.db")
    for one in played:
        one.rows = ledger.get(one.reply.request_id, [])
        one.line = lines[one.reply.request_id]
    return played


class _Client:
    """One client of several: takes the next exchange in turn, keeps its connection as long as the daemon does."""

    def __init__(self, daemon: Daemon, waiting: Iterator[tuple[int, Exchange]], turn: threading.Lock) -> None:
        self.replies: dict[int, Reply] = {}
        self.failure: BaseException | None = None
        self._daemon = daemon
        self._waiting = waiting
        self._turn = turn
        self._connection: Connection | None = None
        self.thread = threading.Thread(target=self._run, name="client")

    def _run(self) -> None:
        try:
            while (taken := self._take()) is not None:
                number, exchange = taken
                self.replies[number] = self._ask(_request(self._daemon, number, exchange), exchange.method)
        except BaseException as error:
            self.failure = error
        finally:
            self._leave()

    def _take(self) -> tuple[int, Exchange] | None:
        with self._turn:
            return next(self._waiting, None)

    def _ask(self, request: bytes, method: str) -> Reply:
        if self._connection is not None:
            try:
                return self._exchange(self._connection, request, method)
            except (Ended, ConnectionError):
                self._leave()
        self._connection = self._daemon.connect()
        self._connection.set_timeout(WAIT_SECONDS)
        return self._exchange(self._connection, request, method)

    def _exchange(self, connection: Connection, request: bytes, method: str) -> Reply:
        connection.send(request)
        reply = connection.read_reply(method)
        if not reply.complete or (reply.header("connection") or "").lower() == "close":
            self._leave()
        return reply

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.leave()
        self._connection = None


def _ask_all(daemon: Daemon, exchanges: list[Exchange]) -> dict[int, Reply]:
    waiting, turn = iter(enumerate(exchanges)), threading.Lock()
    clients = [_Client(daemon, waiting, turn) for _ in range(AT_A_TIME)]
    for client in clients:
        client.thread.start()
    for client in clients:
        client.thread.join()
    assert not (failures := [client.failure for client in clients if client.failure]), failures
    return {number: reply for client in clients for number, reply in client.replies.items()}


def _request(daemon: Daemon, number: int, exchange: Exchange) -> bytes:
    headers = [*exchange.request_headers, (MARK, str(number))]
    body = exchange.request_for(name_of(exchange)) if exchange.model is not None else exchange.request
    return daemon.request(
        exchange.method, exchange.target, headers, body if body or exchange.method == "POST" else None
    )


def _ledger(path: Path) -> Mapping[str, list[Row]]:
    """Every attempt in the ledger, by its call."""
    found: dict[str, list[Row]] = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        ledger.row_factory = sqlite3.Row
        for row in ledger.execute("SELECT * FROM attempts ORDER BY attempt"):
            found.setdefault(row["request_id"], []).append(dict(row))
    return found


def usd(pusd: int) -> Decimal:
    """USD of an amount in the ledger."""
    return Decimal(pusd).scaleb(-12)
