"""A mount whose name the client chooses, called as an exempt path begins (CWE-647, CWE-693).

ASGI's path holds the prefix an app is mounted at. Where an app at `/{tenant}` lets `/hooks/*`
alone, `/hooks/transfer` is the transfer of a tenant called `hooks`: no webhook.
"""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from authward.middleware.bearer import BearerAuth
from authward.middleware.csrf import CSRF
from tests.minting import ACCESS, POLICY

ORIGIN = {"origin": "https://evil.example"}


async def answer(request: Request) -> Response:
    return PlainTextResponse("done")


ROUTES = [Route(path, answer, methods=["POST"]) for path in ("/transfer", "/hooks/paid", "/ping")]
PROTECTIONS = {
    "CSRF": Middleware(
        CSRF,
        secrets=[bytes(range(32))],
        origins=["https://app.example.com"],
        exempt=["/hooks/*", "/ping"],
    ),
    "BearerAuth": Middleware(
        BearerAuth,
        keys=[ACCESS.key],
        issuer=POLICY.issuer,
        audience=POLICY.audience,
        public=["/hooks/*", "/ping"],
    ),
}


@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize(
    ("mount", "root_path", "prefix"),
    [
        ("", "", ""),
        ("/{tenant}", "", "/hooks"),
        ("/{tenant}", "", "/ping"),
        ("/hooks", "", "/hooks"),
        ("/a", "/hooks", "/hooks/a"),
        ("", "/hooks", "/hooks"),
    ],
)
def test_it_lets_alone_what_is_named_and_nothing_else(
    protection: str, mount: str, root_path: str, prefix: str
) -> None:
    app = Starlette(routes=ROUTES, middleware=[PROTECTIONS[protection]])
    outer = Starlette(routes=[Mount(mount, app)]) if mount else app
    client = TestClient(outer, root_path=root_path)
    refused = 403 if protection == "CSRF" else 401
    assert client.post(f"{prefix}/transfer", headers=ORIGIN).status_code == refused
    for named in ("/hooks/paid", "/ping"):
        assert client.post(f"{prefix}{named}", headers=ORIGIN).status_code == 200


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_a_mount_that_may_be_taken_for_nothing_opens_nothing(protection: str) -> None:
    app = Starlette(routes=ROUTES, middleware=[PROTECTIONS[protection]])
    client = TestClient(Starlette(routes=[Mount("/{tenant:path}", app)]))
    for path in ("/x%2F..%2Fping", "/x/%2e%2e/ping", "/x%5C..%5Cping", "//ping"):
        assert client.post(path, headers=ORIGIN).status_code in (401, 403, 404), path
