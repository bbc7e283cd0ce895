"""A path that begins like an exempt one and ends up elsewhere (CWE-22, CWE-647).

`/hooks/../transfer` is a webhook to whoever compares its beginning, and the transfer to a
framework, a file system or a server behind that resolves it.
"""

import pytest

from authward.middleware.bearer import BearerAuth
from authward.middleware.csrf import CSRF
from tests.middleware.driving import drive, http_scope
from tests.minting import ACCESS, POLICY

TRAVERSALS = [
    "/hooks/../transfer",
    "/hooks/./../transfer",
    "/hooks/\\..\\transfer",
    "/hooks/..\\transfer",
    "/hooks//transfer",
    "/hooks/..",
    "/hooks/..;/transfer",
    "/hooks/%2e%2e/transfer",
    "/hooks/%2E%2E%2Ftransfer",
    "/hooks/..%5Ctransfer",
]


async def done(scope: object, receive: object, send: object) -> None:
    pytest.fail("the app was asked")


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_the_forged_request_is_refused(path: str):
    app = CSRF(
        done,
        secrets=[bytes(range(32))],
        origins=["https://app.example.com"],
        exempt=["/hooks/*"],
    )
    scope = http_scope("POST", path, [(b"origin", b"https://evil.example")])
    assert (await drive(app, scope)).error == "origin_not_allowed"


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_nobody_gets_in_without_a_token(path: str):
    app = BearerAuth(
        done,
        keys=[ACCESS.key],
        issuer=POLICY.issuer,
        audience=POLICY.audience,
        public=["/hooks/*"],
    )
    assert (await drive(app, http_scope("GET", path))).error == "missing_token"
