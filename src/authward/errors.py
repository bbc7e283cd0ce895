"""Every refusal Authward can answer with, in one tree.

A `Refusal` carries what a client may know (code, status, public text) and, apart from it, the
reason for the log. `ConfigurationError` is for the operator: it names the setting and the cure, and
nothing starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class ConfigurationError(Exception):
    """A setting that cannot be honoured. The text names the setting and the cure."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One wrong field of a 422 answer."""

    field: str
    code: str
    message: str


class Refusal(Exception):
    """A request that is answered with an error. `reason` goes to the log, never to the client.
    `audited` says that it has been written down already, `counted` that the metrics have it.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    text: ClassVar[str] = "Internal server error"

    def __init__(
        self,
        reason: str = "",
        *,
        text: str | None = None,
        details: Sequence[Detail] = (),
        retry_after: int | None = None,
        audited: bool = False,
    ) -> None:
        super().__init__(reason or self.code)
        self.reason = reason
        self.message = self.text if text is None else text
        self.details = tuple(details)
        self.retry_after = retry_after
        self.audited = audited
        self.counted = False


class MalformedRequest(Refusal):
    code, status, text = "malformed_request", 400, "The request could not be read"


class Unauthorized(Refusal):
    """401. Answers to bearer requests carry `WWW-Authenticate` (RFC 6750 section 3)."""

    status = 401


class MissingToken(Unauthorized):
    code, text = "missing_token", "Authentication required"


class TokenExpired(Unauthorized):
    code, text = "token_expired", "Token has expired"


class InvalidToken(Unauthorized):
    code, text = "invalid_token", "Invalid token"


class TokenRevoked(Unauthorized):
    code, text = "token_revoked", "The session has ended"


class InvalidCredentials(Unauthorized):
    code, text = "invalid_credentials", "Invalid email or password"


class MissingRefreshToken(Unauthorized):
    code, text = "missing_refresh_token", "Refresh token required"


class RefreshTokenExpired(Unauthorized):
    code, text = "refresh_token_expired", "Refresh token has expired"


class InvalidRefreshToken(Unauthorized):
    code, text = "invalid_refresh_token", "Invalid refresh token"


class RefreshTokenReused(Unauthorized):
    code, text = "refresh_token_reused", "Refresh token was already used; the session has ended"


class Forbidden(Refusal):
    """403. `roles` and `permissions` are those that the caller lacks. Clients are not told of them,
    but by a server in development.
    """

    code, status, text = "forbidden", 403, "Forbidden: insufficient permissions"

    def __init__(
        self,
        reason: str = "",
        *,
        text: str | None = None,
        details: Sequence[Detail] = (),
        audited: bool = False,
        roles: Sequence[str] = (),
        permissions: Sequence[str] = (),
    ) -> None:
        super().__init__(reason, text=text, details=details, audited=audited)
        self.roles = tuple(roles)
        self.permissions = tuple(permissions)


class CsrfFailed(Forbidden):
    code, text = "csrf_failed", "Invalid CSRF token"


class OriginNotAllowed(Forbidden):
    code, text = "origin_not_allowed", "This origin is not allowed"


class NotFound(Refusal):
    code, status, text = "not_found", 404, "Not found"


class MethodNotAllowed(Refusal):
    code, status, text = "method_not_allowed", 405, "Method not allowed"


class UserExists(Refusal):
    code, status, text = "user_exists", 409, "User already exists"


class LastAdmin(Refusal):
    code, status, text = "last_admin", 409, "The last admin cannot be removed, disabled or demoted"


class RoleInUse(Refusal):
    code, status, text = "role_in_use", 409, "An account holds this role, or another includes it"


class RotatedLately(Refusal):
    """The next key of a ring has not been known to everybody for long enough."""

    code, status, text = "rotated_lately", 409, "The next key has not been published long enough"


class KeyInUse(Refusal):
    code, status, text = "key_in_use", 409, "Something still hangs on this key"


class PayloadTooLarge(Refusal):
    code, status, text = "payload_too_large", 413, "The request body is too large"


class UnsupportedMediaType(Refusal):
    code, status, text = "unsupported_media_type", 415, "Content-Type must be application/json"


class ValidationError(Refusal):
    code, status, text = "validation_error", 422, "Validation failed"


class RateLimited(Refusal):
    """Over a limit. `retry_after` says when a place is free again (RFC 6585 section 4)."""

    code, status, text = "rate_limited", 429, "Too many requests, please try again later"


class InternalError(Refusal):
    """What a client sees of any unexpected exception."""


class Overloaded(Refusal):
    code, status, text = "overloaded", 503, "Too busy, please try again shortly"


class Unavailable(Refusal):
    code, status, text = "unavailable", 503, "Temporarily unavailable"


def _kinds(root: type[Refusal]) -> set[type[Refusal]]:
    return {root}.union(*map(_kinds, root.__subclasses__()))


# Ours alone: at this point no app has made any.
CODES = frozenset(one.code for one in _kinds(Refusal))
"""Every error code of ours."""
DENIALS = frozenset(one.code for one in _kinds(Refusal) if one.status in (401, 403, 429)) - {
    Unauthorized.code
}
"""Those that refuse a request for who sends it, or how often."""
