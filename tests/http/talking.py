"""An Authward in this process, and people who talk to it over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from authward import Authward
from authward.core.audit import Client
from authward.core.users import User
from authward.http.endpoint import Endpoint
from authward.http.openapi import document
from tests.cheap import make_hashing_cheap

PASSWORD = "correct horse battery staple"
URL = "http://localhost"
PAGE = "http://localhost:3000"
"""An allow-listed origin."""
DOCUMENT = document()


def operation(one: Endpoint) -> dict[str, Any]:
    """What the document says of a route."""
    found: dict[str, Any] = DOCUMENT["paths"][one.path][one.method.lower()]
    return found


def example_body(one: Endpoint) -> dict[str, Any]:
    """The document's example of a route's body."""
    found: dict[str, Any] = operation(one)["requestBody"]["content"]["application/json"]["example"]
    return dict(found)


SECRET = "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR="


@dataclass
class Person:
    """An account with a password, signed in."""

    email: str
    id: str
    session_id: str
    token: str
    cookie: str
    csrf: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    @property
    def browser(self) -> dict[str, str]:
        """What a browser sends on a cookie route."""
        return {"cookie": f"refreshToken={self.cookie}", "x-csrf-token": self.csrf, "origin": PAGE}


@dataclass
class Api:
    """The server, and a client of it that keeps no cookies."""

    auth: Authward
    client: httpx2.AsyncClient

    async def send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        self.client.cookies.clear()
        return await self.client.request(method, path, **request)

    async def create(self, email: str, role: str = "user") -> User:
        accounts = self.auth.services.accounts
        return await accounts.create(email, PASSWORD, "Ada Lovelace", Client(), role=role)

    async def person(self, email: str, role: str = "user") -> Person:
        user = await self.create(email, role)
        body = {"email": email, "password": PASSWORD}
        answer = await self.send("POST", "/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        bearer = {"authorization": f"Bearer {data['accessToken']}"}
        sessions = await self.send("GET", "/api/auth/sessions", headers=bearer)
        (session,) = sessions.json()["data"]["sessions"]
        return Person(
            email,
            user.id,
            session["id"],
            data["accessToken"],
            answer.cookies["refreshToken"],
            data["csrfToken"],
        )


@asynccontextmanager
async def talking(database_url: str, **settings: Any) -> AsyncIterator[Api]:
    """A started Authward on this database, whose hashing costs nothing."""
    auth = Authward(database_url=database_url, **{"secret": SECRET, "origins": (PAGE,), **settings})
    with pytest.MonkeyPatch.context() as patch:
        make_hashing_cheap(patch)
        await auth.startup()
    transport = httpx2.ASGITransport(auth.asgi(), client=("127.0.0.1", 40000))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
            yield Api(auth, client)
    finally:
        await auth.shutdown()
