"""Stub."""

from __future__ import annotations

from bench.measure import Bench


def run(bench: Bench) -> object:
    return None
