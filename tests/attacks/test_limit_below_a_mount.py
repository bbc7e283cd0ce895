"""A limit that a mount or a root path switches off (CWE-41, CWE-693).

ASGI's path holds the prefix an app is mounted at. A limit that compares it with `/login` counts
nothing in an app that is mounted, or behind a server started with a root path, and says nothing.
"""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from authward.middleware.body import BodyLimit
from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit


async def login(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


def app() -> Starlette:
    made = Starlette(routes=[Route("/login", login, methods=["POST"])])
    made.add_middleware(RateLimit, Policy("5/15m", paths=["/login"]))
    made.add_middleware(BodyLimit, paths={"/login": {"bytes": 100}})
    return made


@pytest.mark.parametrize(
    ("outer", "root_path", "path"),
    [
        (app(), "", "/login"),
        (app(), "/v1", "/v1/login"),
        (app(), "/v1", "/login"),
        (Starlette(routes=[Mount("/a", app())]), "", "/a/login"),
        (Starlette(routes=[Mount("/a", app())]), "/v1", "/v1/a/login"),
        (Starlette(routes=[Mount("/a/{b}", app())]), "", "/a/x/login"),
        (Starlette(routes=[Mount("/a", Starlette(routes=[Mount("/b", app())]))]), "", "/a/b/login"),
        (Starlette(routes=[Mount("/login", app())]), "", "/login/login"),
    ],
)
def test_the_sixth_guess_and_a_body_too_large(outer: ASGIApp, root_path: str, path: str) -> None:
    client = TestClient(outer, root_path=root_path)
    assert client.post(path, content=b"x" * 101).status_code == 413
    answers = [client.post(path, content=b"x" * 100) for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429]
