"""An app behind Authward on a real socket, in the test's own event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.types import ASGIApp

from authward import Authward
from tests.middleware.listening import listening
from tests.serving import NoCookies

HOST = "api.example.com"
PAGE = "https://app.example.com"
"""An allow-listed origin."""
EVIL = "https://evil.example"
PRODUCTION: dict[str, Any] = {
    "env": "production",
    "public_url": f"https://{HOST}",
    "origins": [PAGE],
}


COMPLETE = {
    "content-security-policy": (
        "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';"
        "frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';"
        "script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "origin-agent-cluster": "?1",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-dns-prefetch-control": "off",
    "x-download-options": "noopen",
    "x-frame-options": "SAMEORIGIN",
    "x-permitted-cross-domain-policies": "none",
    "x-xss-protection": "0",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), "
        "idle-detection=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), "
        "usb=(), xr-spatial-tracking=()"
    ),
}
"""The security headers of production, to the letter."""
# What an answer may carry beside them. Any other header is a decision to be made here.
OTHERS = {
    *("access-control-allow-credentials", "access-control-allow-headers"),
    *("access-control-allow-methods", "access-control-allow-origin"),
    *("access-control-expose-headers", "access-control-max-age", "allow", "cache-control"),
    *("connection", "content-length", "content-type", "date", "etag", "ratelimit-limit"),
    *("ratelimit-policy", "ratelimit-remaining", "ratelimit-reset", "retry-after", "server"),
    *("transfer-encoding", "vary", "www-authenticate", "x-request-id"),
}


def complete(answer: httpx2.Response, status: int, case: str = "", **other: str) -> None:
    """Check that an answer has the whole set, each header once, and nothing unforeseen."""
    assert answer.status_code == status, (case, answer.text)
    names = [name for name, _ in answer.headers.multi_items()]
    twice = {name for name in names if names.count(name) > 1} - {"vary"}
    assert not twice, case
    expected = {**COMPLETE, **{name.replace("_", "-"): value for name, value in other.items()}}
    assert {
        name: value for name, value in answer.headers.items() if name in expected
    } == expected, case
    assert set(names) - set(expected) <= OTHERS, case
    assert "Origin" in answer.headers["vary"], case
    assert len(answer.headers["x-request-id"]) == 32


@asynccontextmanager
async def serving(
    auth: Authward, app: ASGIApp, *, host: str = HOST, **headers: str
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app`, which starts with its first request. It keeps no cookies."""
    try:
        async with (
            listening(app) as port,
            httpx2.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"host": host, **headers},
                cookies=NoCookies(),
                timeout=60,
                verify=False,
            ) as client,
        ):
            yield client
    finally:
        await auth.shutdown()
