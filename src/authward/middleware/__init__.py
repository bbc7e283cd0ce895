"""Protections, one a file, each a pure ASGI class over decisions in `core`, each alone around any
ASGI app; `shield.py` has the same decisions in one.

>>> from authward.middleware import CORS, CSRF, RateLimit, SecurityHeaders
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authward.middleware.bearer import BearerAuth
    from authward.middleware.body import BodyLimit
    from authward.middleware.cors import CORS
    from authward.middleware.csrf import CSRF, csrf_field, csrf_token
    from authward.middleware.headers import SecurityHeaders, csp_nonce
    from authward.middleware.hosts import TrustedHost
    from authward.middleware.policies import Policy
    from authward.middleware.ratelimit import RateLimit
    from authward.middleware.request_id import RequestId, RequestIdFilter, request_id

_HOMES = {
    "BearerAuth": "bearer",
    "BodyLimit": "body",
    "CORS": "cors",
    "CSRF": "csrf",
    "Policy": "policies",
    "RateLimit": "ratelimit",
    "RequestId": "request_id",
    "RequestIdFilter": "request_id",
    "SecurityHeaders": "headers",
    "TrustedHost": "hosts",
    "csp_nonce": "headers",
    "csrf_field": "csrf",
    "csrf_token": "csrf",
    "request_id": "request_id",
}
__all__ = [
    "CORS",
    "CSRF",
    "BearerAuth",
    "BodyLimit",
    "Policy",
    "RateLimit",
    "RequestId",
    "RequestIdFilter",
    "SecurityHeaders",
    "TrustedHost",
    "csp_nonce",
    "csrf_field",
    "csrf_token",
    "request_id",
]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: whoever wants one protection pays for one.
    if name not in _HOMES:
        raise AttributeError(f"module 'authward.middleware' has no attribute '{name}'")
    return getattr(import_module(f"authward.middleware.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
