"""A CORS configuration that lets anyone in, or that a browser would not honour (CWE-942).

"Exploiting CORS misconfigurations for Bitcoins and bounties" (PortSwigger, 2016): reflected
origins, `*` with credentials, `null`, and subdomains that are anybody's.
"""

from typing import Any

import pytest

from authward.core.cors import CorsPolicy
from authward.errors import ConfigurationError
from authward.middleware.cors import CORS
from tests.middleware.driving import drive, http_scope

APP = "https://app.example.com"
ANYONE: dict[str, Any] = {"origins": ["*"], "credentials": False}


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"origins": ["*"]}, "origins: .* with credentials .* List the origins"),
        (ANYONE, "origins: .* dangerously_allow_any_origin=True"),
        ({"dangerously_allow_any_origin": True, "origins": ["*"]}, "credentials=False"),
        ({"dangerously_allow_any_origin": True}, "dangerously_allow_any_origin: .* Remove it"),
        (
            {**ANYONE, "origins": ["*", APP], "dangerously_allow_any_origin": True},
            "origins: beside '\\*'",
        ),
        (
            {**ANYONE, "subdomains_of": [APP], "dangerously_allow_any_origin": True},
            "origins: beside '\\*'",
        ),
        (
            {**ANYONE, "allow": lambda _: True, "dangerously_allow_any_origin": True},
            "origins: beside '\\*'",
        ),
        ({"origins": APP}, "origins: this is a text"),
        ({"origins": ["null"]}, "origins: 'null'"),
        ({"origins": [APP + "/x"]}, "origins: .*Did you mean 'https://app.example.com'"),
        ({"origins": ["https://me@a.example"]}, "origins: .*Did you mean 'https://a.example'"),
        (
            {"origins": ["https://*.example.com"]},
            r"origins: .*is not an origin.* or say subdomains_of=\['https://example.com'\]$",
        ),
        ({"origins": ["a.example"]}, "origins: .*Did you mean 'https://a.example'"),
        ({"subdomains_of": APP}, "subdomains_of: this is a text"),
        ({"subdomains_of": ["https://com"]}, "subdomains_of: 'https://com' would let in whoever"),
        ({"subdomains_of": ["https://co.uk"]}, "subdomains_of: 'https://co.uk' would let in"),
        ({"subdomains_of": ["https://github.io"]}, "Name a domain of your own"),
        ({"subdomains_of": ["https://10.0.0.1"]}, "subdomains_of: .*is an address"),
        ({"subdomains_of": ["https://[::1]"]}, "subdomains_of: .*does not end in a name"),
        ({"subdomains_of": ["https://example.com."]}, "subdomains_of: .*does not end in a name"),
        ({"subdomains_of": ["http://example.com"]}, "Did you mean 'https://example.com'"),
        ({"subdomains_of": ["https://*.example.com"]}, "wildcard.*mean 'https://example.com'"),
        ({"subdomains_of": ["example.com"]}, "subdomains_of: .*Did you mean 'https://example.com'"),
        ({"subdomains_of": ["*"]}, "subdomains_of: '\\*' with credentials"),
        ({"methods": "GET"}, "methods: this is a text"),
        ({"methods": ["GET, POST"]}, "methods: 'GET, POST' is not one name"),
        ({"methods": [""]}, "methods: '' is not one name"),
        ({"methods": ["patch"]}, "methods: 'patch'. Did you mean 'PATCH'"),
        ({"methods": ["trace"]}, "methods: no browser sends 'trace'"),
        ({"methods": ["CONNECT"]}, "methods: no browser sends 'CONNECT'"),
        ({"methods": ["POTS"]}, "methods: 'POTS' is no HTTP method. Did you mean 'POST'"),
        ({"methods": ["XYZZY"]}, "methods: 'XYZZY' is no HTTP method. Take one that is registered"),
        ({"methods": ["PRI"]}, "methods: 'PRI' is no HTTP method"),
        ({"methods": ["*"]}, "methods: with credentials"),
        ({"allowed_headers": ["*"]}, "allowed_headers: with credentials"),
        ({"allowed_headers": ["*", "Authorization"]}, "allowed_headers: with credentials"),
        ({"allowed_headers": ["*"], "credentials": False}, "mean \\['\\*', 'Authorization'\\]"),
        ({"allowed_headers": ["X-A\r\nX-B: c"]}, "(?s)allowed_headers: .* is not one name"),
        ({"exposed_headers": ["*"]}, "exposed_headers: with credentials"),
        ({"exposed_headers": ["Set-Cookie"]}, "exposed_headers: no browser shows 'Set-Cookie'"),
        ({"exposed_headers": ["X:Y"]}, "exposed_headers: 'X:Y' is not one name"),
        ({"max_age": -1}, "max_age: -1"),
        ({"max_age": 86_401}, "max_age: 86401"),
        ({"max_age": 600.0}, "max_age: 600.0"),
        ({"max_age": True}, "max_age: True"),
        ({"allow": APP}, "allow: 'https://app.example.com' is no function"),
        ({"credentials": "no"}, "credentials: 'no' is neither True nor False. Did you mean False"),
        ({"credentials": None}, "credentials: None is neither True nor False. Did you mean False"),
        ({"private_network": "yes"}, "private_network: 'yes' is neither .* Did you mean True"),
        (
            {**ANYONE, "dangerously_allow_any_origin": "off"},
            "dangerously_allow_any_origin: 'off' is neither",
        ),
    ],
)
def test_what_does_not_start(options: dict[str, Any], cure: str):
    with pytest.raises(ConfigurationError, match=cure):
        CorsPolicy(**options)


async def later(origin: str) -> bool:
    return False


class Later:
    async def __call__(self, origin: str) -> bool:
        return False


@pytest.mark.parametrize("allow", [later, Later()])
def test_an_async_question_would_let_everybody_in(allow: Any):
    with pytest.raises(ConfigurationError, match=r"allow: is not awaited\. Write def"):
        CorsPolicy(allow=allow)


@pytest.mark.parametrize(
    "options",
    [
        {"max_age": 0},
        {"max_age": 86_400},
        {"allowed_headers": ["*", "authorization"], "credentials": False},
        {"methods": ["*"], "exposed_headers": ["*"], "credentials": False},
        {"origins": ["http://localhost"]},
        {"subdomains_of": ["https://a.github.io"]},
        {"subdomains_of": ["https://example.com:8443"]},
    ],
)
def test_what_does_start(options: dict[str, Any]):
    CorsPolicy(**options)


async def served(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"secret"})


def test_the_middleware_does_not_start_either():
    with pytest.raises(ConfigurationError, match=r"origins: .* with credentials"):
        CORS(served, origins=["*"])
    with pytest.raises(ConfigurationError, match="own: this is a text"):
        CORS(served, own=APP)
    report_only: Any = "no"
    with pytest.raises(ConfigurationError, match="report_only: 'no' is neither True nor False"):
        CORS(served, origins=[APP], report_only=report_only)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://app.example.com.evil.example", "*", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_no_origin_is_ever_reflected(origin: str, method: str):
    asks = [(b"access-control-request-method", b"POST")] if method == "OPTIONS" else []
    scope = http_scope(method, headers=[(b"origin", origin.encode()), *asks])
    answer = await drive(CORS(served, origins=[APP]), scope)
    assert not [name for name, _ in answer.headers if name.startswith(b"access-control-")]
