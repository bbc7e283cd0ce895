"""A name of the attacker's that points to this machine: to the browser its page is of our origin.

CWE-350; the browser then sends no Origin with a GET, and its Host is all that tells. Behind
`install` no route of the app may be reached by it, in whatever form the Host comes.
"""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from authward import Authward
from tests.middleware.listening import listening
from tests.serving import SECRET

REBOUND = ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:8000", "a b"]


@pytest.fixture
async def app(sqlite_database: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Its address in development, and what it was asked."""
    app = FastAPI()
    asked: list[str] = []

    @app.api_route("/secret", methods=["GET", "POST"])
    async def secret() -> str:
        asked.append("secret")
        return "secret"

    auth = Authward(database_url=sqlite_database, secret=SECRET)
    auth.install(app)
    async with listening(app) as port:
        yield f"http://127.0.0.1:{port}", asked
    await auth.shutdown()


@pytest.mark.parametrize("host", REBOUND)
async def test_it_reaches_nothing(app: tuple[str, list[str]], host: str) -> None:
    url, asked = app
    async with httpx2.AsyncClient(base_url=url, headers={"host": host}) as client:
        for method, path in [("GET", "/secret"), ("POST", "/secret"), ("GET", "/api/public-data")]:
            # Nor does it help to be of that origin, or to claim another Host beside.
            for more in ({}, {"origin": f"http://{host}"}, {"x-forwarded-host": "localhost"}):
                answer = await client.request(method, path, headers=more)
                assert answer.status_code == 400
                assert answer.json()["error"] == "malformed_request"
    assert asked == []


async def test_localhost_does(app: tuple[str, list[str]]) -> None:
    url, asked = app
    async with httpx2.AsyncClient(base_url=url) as client:
        assert (await client.get("/secret")).status_code == 200
    assert asked == ["secret"]
