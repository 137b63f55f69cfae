"""What answers the admin port, loaded by the first request there: many daemons never have one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from proxy.web.operator import admin
from proxy.web.operator.admin_auth import AdminAuth
from proxy.web.operator.orders import Orders

if TYPE_CHECKING:
    from proxy.web.operator.admin import Admin, Page


class AdminPort:
    """Takes what `Admin` takes."""

    def __init__(self, auth: AdminAuth, problems: Callable[[], list[str]], metrics: Page, orders: Orders) -> None:
        self.auth = auth
        self._needs = auth, problems, metrics, orders
        self._admin: Admin | None = None

    async def answer(self, request: BaseRequest) -> StreamResponse:
        """One request."""
        if self._admin is None:
            kind = await asyncio.to_thread(lambda: admin.Admin)
            self._admin = self._admin or kind(*self._needs)  # another request may have waited as well
        return await self._admin.answer(request)
