"""Built-in upstreams, each in the place of a mock provider without an address."""

from __future__ import annotations

from contextlib import AsyncExitStack

import msgspec

from proxy.policy.values import Settings


class Mocks:
    """Of one daemon; they end with its `stack`."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._addresses: dict[str, str] = {}

    async def given(self, settings: Settings) -> Settings:
        """The settings, with an upstream of its own for every mock provider without an address."""
        providers = dict(settings.providers)
        for name, provider in providers.items():
            if provider.kind == "mock" and not provider.base_url:
                providers[name] = msgspec.structs.replace(provider, base_url=await self._address(name))
        return msgspec.structs.replace(settings, providers=providers)

    async def _address(self, name: str) -> str:
        if name not in self._addresses:
            from proxy.mock.server import start_mock  # only where it is wanted: it costs start-up time
            from proxy.mock.state import Rules

            mock = await start_mock(rules=Rules(needs_key=False))
            self._stack.push_async_callback(mock.close)
            self._addresses[name] = mock.base_url
        return self._addresses[name]
