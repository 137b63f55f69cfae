"""A proxy that runs, whichever it is."""

from __future__ import annotations

from typing import NamedTuple

from bench.payloads import SMALL_ALIAS, STREAM_ALIAS, Door, small_request
from bench.processes import Process


class Contender(NamedTuple):
    """A running proxy, and how its calls enter: `whole` for JSON replies, `stream` for streams and large bodies."""

    process: Process
    whole: Door
    stream: Door
    cold_seconds: float


def doors(port: int, stream_port: int | None = None) -> tuple[Door, Door]:
    """The doors of a proxy that needs to be told nothing."""
    return Door(port, SMALL_ALIAS), Door(stream_port or port, STREAM_ALIAS)


def answering(process: Process, whole: Door, stream: Door, most_seconds: float = 15) -> Contender:
    """Wait for the first answer; end the process where none comes. Raises `BenchError`."""
    try:
        cold_seconds = process.wait_until_answering(whole.port, small_request(whole), most_seconds)
    except BaseException:
        process.end()
        raise
    return Contender(process, whole, stream, cold_seconds)
