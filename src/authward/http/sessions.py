"""Refresh, log out, CSRF token, one's own sessions."""

from __future__ import annotations

import re
import secrets

from pydantic import Field

from authward.core.cookies import read_cookie, set_cookie
from authward.core.times import iso_time
from authward.errors import InvalidRefreshToken, MissingRefreshToken
from authward.http.cookies import (
    bearer_session,
    clear_refresh_cookie,
    presented_session,
    proven_claims,
    refresh_cookie,
    refresh_set_cookie,
)
from authward.http.endpoint import Answer, Call
from authward.http.fields import AccessToken, CsrfToken, Identifier, Model, Time

# Never "cookies": that would clear those of the neighbours, too.
CLEAR_CACHE = (b"clear-site-data", b'"cache"')
_ANONYMOUS = re.compile(r"[0-9a-f]{32}")


class RefreshedData(Model):
    access_token: AccessToken
    csrf_token: CsrfToken


class CsrfData(Model):
    csrf_token: CsrfToken


class SessionData(Model):
    id: Identifier
    created_at: Time
    last_used_at: Time
    ip: str = Field(examples=["127.0.0.1"])
    user_agent: str = Field(examples=["Mozilla/5.0"])
    current: bool = Field(examples=[True])


class SessionsData(Model):
    sessions: list[SessionData]


async def refresh_token(call: Call) -> Answer:
    token = refresh_cookie(call)
    if token is None:
        raise MissingRefreshToken("no cookie")
    proven_claims(call, token)
    signed_in = await call.services.sessions.refresh(token, call.client)
    data = {"accessToken": signed_in.access_token, "csrfToken": signed_in.csrf_token}
    return Answer(data, "Token refreshed", headers=(refresh_set_cookie(call, signed_in),))


async def logout(call: Call) -> Answer:
    token = refresh_cookie(call)
    ended = None
    if token is not None:
        try:
            claims = proven_claims(call, token)
            ended = claims.sid, claims.sub
        except InvalidRefreshToken:
            ended = None  # a broken cookie names no session; clearing it is all there is to do
    if ended is None:
        # Without a cookie the bearer is the authenticator, and it is not ambient.
        ended = bearer_session(call)
    if ended is not None:
        await call.services.sessions.end(*ended, call.client)
    return Answer(None, "Logged out", headers=(clear_refresh_cookie(call), CLEAR_CACHE))


async def logout_all(call: Call) -> Answer:
    await call.services.sessions.end_all(call.principal, call.client)
    return Answer(None, "Logged out everywhere", headers=(clear_refresh_cookie(call), CLEAR_CACHE))


async def csrf_token(call: Call) -> Answer:
    names = call.site.cookies
    anonymous = read_cookie(call.scope["headers"], names.csrf)
    if anonymous is None or not _ANONYMOUS.fullmatch(anonymous):
        anonymous = secrets.token_hex(16)
    token = call.services.tokens.csrf(presented_session(call) or anonymous)
    cookie = set_cookie(names.csrf, anonymous, max_age=86400, secure=names.secure)
    return Answer({"csrfToken": token}, "CSRF token", headers=((b"set-cookie", cookie),))


async def list_sessions(call: Call) -> Answer:
    found = await call.services.sessions.list(call.principal.id)
    rows = [
        {
            "id": session.id,
            "createdAt": iso_time(session.created_at),
            "lastUsedAt": iso_time(session.last_used_at),
            "ip": session.ip,
            "userAgent": session.user_agent,
            "current": session.id == call.principal.session_id,
        }
        for session in found
    ]
    return Answer({"sessions": rows}, "Sessions")


async def delete_session(call: Call) -> Answer:
    await call.services.sessions.end_own(call.principal, call.path("id"), call.client)
    return Answer(None, "Session ended")
