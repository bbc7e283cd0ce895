"""A server in the test's own event loop, on a real socket: the test can turn its clock, look into
its services and break its database.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from uvicorn import Server

from authward import Authward
from authward.core.audit import Client
from authward.server import uvicorn_config
from authward.testing import TurnableClock
from tests.cheap import make_hashing_cheap
from tests.serving import (
    PASSWORD,
    REFRESH,
    SECRET,
    Account,
    NoCookies,
    account_of,
    new_email,
    refresh_headers,
)

OPERATOR = Client("operator")


@dataclass
class Here:
    """A served Authward, its address, and a client of it that keeps no cookies."""

    auth: Authward
    url: str
    client: httpx2.AsyncClient
    clock: TurnableClock

    @property
    def services(self) -> Any:
        return self.auth.services

    async def send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        return await self.client.request(method, path, **request)

    async def raw(self, *lines: str) -> bytes:
        """What comes back for a request head that no client library would write."""
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        writer.write(head.encode("latin-1"))
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def register(self, email: str | None = None, role: str = "user") -> Account:
        """Somebody new, signed in, with a role."""
        email = email or new_email()
        body = {"email": email, "password": PASSWORD, "name": "Ada"}
        account = account_of(await self.send("POST", "/api/auth/register", json=body), email)
        if role != "user":
            await self.services.users.set_role(None, account.id, role, OPERATOR)
            account = await self.login(email)
        return account

    async def login(self, email: str, password: str = PASSWORD) -> Account:
        return account_of(await self.try_login(email, password), email)

    async def try_login(self, email: str, password: str = PASSWORD) -> httpx2.Response:
        body = {"email": email, "password": password}
        return await self.send("POST", "/api/auth/login", json=body)

    async def refresh(self, account: Account, cookie: str | None = None) -> httpx2.Response:
        return await self.send("POST", REFRESH, headers=refresh_headers(account, cookie))

    async def profile(self, account: Account) -> httpx2.Response:
        return await self.send("GET", "/api/profile", headers=account.bearer)

    async def told(self) -> list[Any]:
        """All audit events, oldest first, with what is pending."""
        await self.services.refusals.flush(all_of_it=True)
        return [row.event for row in reversed(await self.services.store.audit.latest(10_000))]


Serve = Callable[..., Awaitable[Here]]


@asynccontextmanager
async def served_here(auth: Authward) -> AsyncIterator[str]:
    """The address of `auth` while it is served."""
    # By its protocol asyncio knows to send small packets at once.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        server = Server(uvicorn_config(auth.asgi(), auth.settings, factory=False))
        task = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started:
                assert not task.done(), "the server did not start"
                await asyncio.sleep(0.001)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
async def serve_on(clock: TurnableClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Serves a database: serve_on(url, refresh_grace=0). Hashing is cheap unless `cheap=False`."""
    async with AsyncExitStack() as stack:

        async def serve(database_url: str, *, cheap: bool = True, **settings: Any) -> Here:
            if cheap:
                make_hashing_cheap(monkeypatch)
            given = {"database_url": database_url, "secret": SECRET, **settings}
            auth = Authward(clock=clock, **given)
            url = await stack.enter_async_context(served_here(auth))
            limits = httpx2.Limits(max_connections=200, max_keepalive_connections=200)
            client = await stack.enter_async_context(
                httpx2.AsyncClient(
                    base_url=url, cookies=NoCookies(), timeout=60, limits=limits, verify=False
                )
            )
            return Here(auth, url, client, clock)

        yield serve


@pytest.fixture
async def here(serve_on: Serve, sqlite_database: str) -> Here:
    """One on SQLite, with the settings' defaults."""
    return await serve_on(sqlite_database)


@pytest.fixture
async def here_on_each(serve_on: Serve, database: str) -> Here:
    """One on SQLite, then one on PostgreSQL."""
    return await serve_on(database)
