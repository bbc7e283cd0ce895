"""A header stamped on every answer pushes out the one that guards it (CWE-525, cache poisoning).

`Vary: Accept-Encoding` on every answer, beside an app's own Vary and `Vary: Origin`: of a header
that is to be there once one gives way, and a cache hands one origin's answer to another.
"""

from typing import Any

import pytest

from authward.core.headers import SecurityPolicy
from authward.errors import ConfigurationError
from authward.middleware.cors import CORS
from authward.middleware.headers import SecurityHeaders
from tests.middleware.driving import drive, http_scope


@pytest.mark.parametrize(
    "name",
    [
        "vary",
        "Vary",
        "Access-Control-Allow-Origin",
        "access-control-allow-credentials",
        "RateLimit",
        "ratelimit-policy",
        "RateLimit-Remaining",
        "Retry-After",
        "X-Request-ID",
    ],
)
def test_it_does_not_start(name: str):
    with pytest.raises(ConfigurationError, match=f"extra: {name.lower()} (is|says|tells) "):
        SecurityPolicy(extra=(("x-other", "1"), (name, "1")))


@pytest.mark.parametrize("own", [b"vary", b"Vary"])
async def test_vary_by_origin_stands_beside_the_apps(own: bytes):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(own, b"Accept-Encoding")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    for stacked in (SecurityHeaders(CORS(app)), CORS(SecurityHeaders(app))):
        answer = await drive(stacked, http_scope())
        varies = [value for name, value in answer.headers if name.lower() == b"vary"]
        assert sorted(varies) == [b"Accept-Encoding", b"Origin"]
