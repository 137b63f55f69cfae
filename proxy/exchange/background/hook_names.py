"""Names as aiohttp's client asks for them. Imported where something is sent: aiohttp costs start-up time."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from proxy.exchange.io.names import Names


class HookNames(AbstractResolver):
    """Of those who are told."""

    def __init__(self) -> None:
        self._names = Names()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All of its addresses. Raises `socket.gaierror`."""
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=of, proto=proto, flags=0)
            for of, _, proto, _, address in await self._names.addresses(host, port)
            if family in (socket.AF_UNSPEC, of)
        ]

    async def close(self) -> None:
        """Nothing is held."""
