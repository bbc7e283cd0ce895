"""Requests whose authenticator is the refresh cookie."""

from __future__ import annotations

from authward.core.bearer import bearer_token
from authward.core.cookies import read_cookie, set_cookie
from authward.core.csrf import check_csrf, provenance
from authward.core.envelope import Header
from authward.core.tokens import RefreshClaims
from authward.errors import (
    CsrfFailed,
    InvalidRefreshToken,
    InvalidToken,
    MalformedRequest,
    MissingToken,
    OriginNotAllowed,
    Refusal,
)
from authward.http.endpoint import Call
from authward.services.sessions import SignedIn


def refresh_cookie(call: Call) -> str | None:
    """The refresh token of the request. Raises MalformedRequest if it was sent twice."""
    return read_cookie(call.scope["headers"], call.site.cookies.refresh)


def proven_claims(call: Call, token: str) -> RefreshClaims:
    """The claims of the cookie's token, expired or not, if its own page sent it for its own user.

    Raises InvalidRefreshToken, OriginNotAllowed, CsrfFailed, InvalidToken.
    """
    claims = call.services.tokens.refresh_claims(token, expired_too=True)
    try:
        _check_provenance(call, claims)
        _check_same_user(call, claims)
    except Refusal as refusal:
        call.services.access.denied(refusal, call.client, subject=claims.sub)
        raise
    return claims


def _check_provenance(call: Call, claims: RefreshClaims) -> None:
    try:
        check_csrf(
            provenance(
                _header(call, b"origin"),
                _header(call, b"sec-fetch-site"),
                call.site.trusted_origins(call.scope),
            ),
            _header(call, b"x-csrf-token"),
            claims.sid,
            call.services.tokens.csrf_secrets,
            strict=call.site.csrf_strict,
        )
    except (CsrfFailed, OriginNotAllowed) as refusal:
        if "csrf" not in call.site.report_only:
            raise
        call.site.reports.note("csrf", refusal, call.scope)


def presented_session(call: Call) -> str | None:
    """The session a sign-in replaces: that of a well-signed cookie. All else is as good as none."""
    token = refresh_cookie(call)
    if token is None:
        return None
    try:
        return call.services.tokens.refresh_claims(token, expired_too=True).sid
    except InvalidRefreshToken:
        return None


def bearer_session(call: Call) -> tuple[str, str] | None:
    """Session and user of a well-signed bearer, expired or not; None without one."""
    try:
        claims = call.services.tokens.whose(bearer_token(call.scope["headers"]))
    except (MissingToken, InvalidToken):
        return None
    return claims.sid, claims.sub


def refresh_set_cookie(call: Call, signed_in: SignedIn) -> Header:
    names = call.site.cookies
    return (
        b"set-cookie",
        set_cookie(
            names.refresh,
            signed_in.refresh_token,
            max_age=signed_in.cookie_max_age,
            secure=names.secure,
        ),
    )


def clear_refresh_cookie(call: Call) -> Header:
    return (
        b"set-cookie",
        set_cookie(call.site.cookies.refresh, "", max_age=0, secure=call.site.cookies.secure),
    )


def _check_same_user(call: Call, claims: RefreshClaims) -> None:
    """Two tabs of two users: a bearer of another user than the cookie's is refused, junk is not."""
    bearer = bearer_session(call)
    if bearer is not None and bearer[1] != claims.sub:
        raise InvalidToken("bearer and cookie are two users")


def _header(call: Call, name: bytes) -> str | None:
    found = [value for key, value in call.scope["headers"] if key == name]
    if len(found) > 1:
        raise MalformedRequest(
            "duplicate header", text=f"The header {name.decode()} was sent more than once"
        )
    return found[0].decode("latin-1") if found else None
