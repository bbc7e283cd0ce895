"""An origin that begins, ends or merely looks like an allowed one, or its http twin.

CVE-2026-25478 (Litestar: a dot is any character), CVE-2025-24358 (gorilla: the http twin).
"""

import pytest

from authward.core.cors import CorsPolicy
from authward.core.csrf import Provenance, provenance
from authward.core.origins import configured_origin
from authward.errors import ConfigurationError

ALLOWED = "https://app.example.com"

LOOKALIKES = [
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com:80",
    "https://app.example.com.",
    "https://app.example.com/",
    "https://app.example.com.evil.example",
    "https://app.example.commerce.example",
    "https://evilapp.example.com",
    "https://evil.app.example.com",
    "https://example.com",
    "https://appxexample.com",
    "https://app-example.com",
    "https://app.example.com@evil.example",
    "https://user@app.example.com",
    "https://evil.example#https://app.example.com",
    "https://evil.example?https://app.example.com",
    "https://app.example.com\\.evil.example",
    "https://app.example.com%00.evil.example",
    "https://app.example.com`.evil.example",
    "https://app.example.com_.evil.example",
    "https://app.example.com https://evil.example",
    "https://app.example.com,https://evil.example",
    " https://app.example.com",
    "https://app.example.com\n",
    "https://\u0430pp.example.com",
    "https://app\u3002example.com",
    "https://\uff41pp.example.com",
    "wss://app.example.com",
    "chrome-extension://app.example.com",
    "file://app.example.com",
    "app.example.com",
    "null",
    "NULL",
    "*",
    "",
]


@pytest.mark.parametrize("origin", LOOKALIKES, ids=repr)
def test_a_lookalike_earns_no_header_and_no_proof(origin: str):
    policy = CorsPolicy([ALLOWED])
    assert not policy.allows(origin)
    assert policy.actual(origin) == ()
    assert policy.preflight(origin) == ()
    trusted = frozenset({ALLOWED})
    assert provenance(origin, "same-origin", trusted) is Provenance.REFUSED


def test_the_control_the_origin_itself_does():
    assert CorsPolicy([ALLOWED]).allows(ALLOWED)
    assert provenance(ALLOWED, None, frozenset({ALLOWED})) is Provenance.PROVEN


@pytest.mark.parametrize(
    "wild", ["*", "null", "https://*.example.com", "https://*", "*.example.com"]
)
def test_no_wildcard_is_ever_configured(wild: str):
    with pytest.raises(ConfigurationError):
        configured_origin(wild, "origins")
