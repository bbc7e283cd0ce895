"""The whole URL table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.routing import Route

from authward import errors as e
from authward.http import accounts, audit, health, keys, metrics, passwords, roles, sessions, users
from authward.http.endpoint import Endpoint, Resource, Site
from authward.services import Services

_COOKIE = (e.InvalidToken, e.CsrfFailed, e.OriginNotAllowed)
_COOKIE_SET = ("Set-Cookie",)
_SIGNED_OUT = ("Set-Cookie", "Clear-Site-Data")

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/api/auth/register",
        accounts.register,
        "anyone",
        "Register and sign in",
        body=accounts.RegisterBody,
        data=accounts.SignedInData,
        status=201,
        errors=(e.UserExists, e.InvalidCredentials, e.Overloaded),
        sends=_COOKIE_SET,
        credential=True,
        counted="registration",
    ),
    Endpoint(
        "POST",
        "/api/auth/login",
        accounts.login,
        "anyone",
        "Sign in",
        body=accounts.LoginBody,
        data=accounts.SignedInData,
        errors=(e.InvalidCredentials, e.Overloaded),
        sends=_COOKIE_SET,
        credential=True,
        counted="login",
    ),
    Endpoint(
        "POST",
        "/api/auth/refresh-token",
        sessions.refresh_token,
        "cookie",
        "A new access token for the session",
        data=sessions.RefreshedData,
        sends=_COOKIE_SET,
        errors=(
            *_COOKIE,
            e.MissingRefreshToken,
            e.RefreshTokenExpired,
            e.InvalidRefreshToken,
            e.RefreshTokenReused,
        ),
        counted="refresh",
    ),
    Endpoint(
        "POST",
        "/api/auth/logout",
        sessions.logout,
        "cookie",
        "Sign out",
        errors=_COOKIE,
        sends=_SIGNED_OUT,
    ),
    Endpoint(
        "POST",
        "/api/auth/logout-all",
        sessions.logout_all,
        "user",
        "Sign out everywhere",
        sends=_SIGNED_OUT,
    ),
    Endpoint(
        "GET",
        "/api/auth/csrf-token",
        sessions.csrf_token,
        "anyone",
        "The CSRF token",
        data=sessions.CsrfData,
        sends=_COOKIE_SET,
    ),
    Endpoint(
        "GET",
        "/api/auth/sessions",
        sessions.list_sessions,
        "user",
        "One's own sessions",
        data=sessions.SessionsData,
    ),
    Endpoint(
        "DELETE",
        "/api/auth/sessions/{id}",
        sessions.delete_session,
        "user",
        "End one of one's own sessions",
        errors=(e.NotFound,),
    ),
    Endpoint(
        "POST",
        "/api/auth/change-password",
        passwords.change_password,
        "user",
        "Change one's password",
        body=passwords.ChangePasswordBody,
        errors=(e.InvalidCredentials, e.NotFound, e.Overloaded),
        credential=True,
    ),
    Endpoint(
        "GET",
        "/api/public-data",
        accounts.public_data,
        "anyone",
        "Something for everyone",
        data=accounts.PublicData,
    ),
    Endpoint(
        "GET",
        "/api/profile",
        accounts.get_profile,
        "user",
        "One's own account",
        data=accounts.ProfileData,
        errors=(e.NotFound,),
    ),
    Endpoint(
        "PATCH",
        "/api/profile",
        accounts.patch_profile,
        "user",
        "Change one's name",
        body=accounts.ProfileBody,
        data=accounts.ProfileData,
        errors=(e.NotFound,),
    ),
    Endpoint(
        "GET",
        "/api/users",
        users.list_users,
        "user",
        "A page of accounts",
        permission="list:users",
        query=users.UsersQuery,
        data=users.UsersData,
    ),
    Endpoint(
        "GET",
        "/api/users/{id}",
        users.get_user,
        "user",
        "An account",
        permission="read:users",
        data=users.ManagedUserData,
        errors=(e.NotFound,),
    ),
    Endpoint(
        "PUT",
        "/api/users/{id}",
        users.put_user,
        "user",
        "Change an account",
        permission="update:users",
        body=users.UserBody,
        data=users.ManagedUserData,
        errors=(e.NotFound, e.LastAdmin, e.UserExists),
    ),
    Endpoint(
        "DELETE",
        "/api/users/{id}",
        users.delete_user,
        "user",
        "Delete an account",
        permission="delete:users",
        errors=(e.NotFound, e.LastAdmin),
    ),
    Endpoint(
        "PUT",
        "/api/users/{id}/role",
        users.put_user_role,
        "user",
        "Give an account a role",
        permission="assign:roles",
        body=users.UserRoleBody,
        data=users.ManagedUserData,
        errors=(e.NotFound, e.LastAdmin),
    ),
    Endpoint(
        "GET",
        "/api/users/{id}/permissions",
        users.get_permissions,
        "user",
        "What an account may do",
        permission="assign:permissions",
        data=users.PermissionsData,
        errors=(e.NotFound,),
    ),
    Endpoint(
        "PUT",
        "/api/users/{id}/permissions",
        users.put_permissions,
        "user",
        "Grant permissions to an account",
        permission="assign:permissions",
        body=users.PermissionsBody,
        data=users.PermissionsData,
        errors=(e.NotFound,),
    ),
    Endpoint(
        "GET",
        "/api/roles",
        roles.list_roles,
        "user",
        "Every role",
        permission="manage:roles",
        data=roles.RolesData,
    ),
    Endpoint(
        "PUT",
        "/api/roles/{name}",
        roles.put_role,
        "user",
        "Make or change a role",
        permission="manage:roles",
        body=roles.RoleBody,
        data=roles.RoleData,
        errors=(e.NotFound,),
    ),
    Endpoint(
        "DELETE",
        "/api/roles/{name}",
        roles.delete_role,
        "user",
        "Delete a role",
        permission="manage:roles",
        errors=(e.NotFound, e.RoleInUse),
    ),
    Endpoint(
        "GET",
        "/api/keys",
        keys.list_keys,
        "user",
        "Every signing key",
        permission="manage:keys",
        data=keys.KeysData,
    ),
    Endpoint(
        "POST",
        "/api/keys/rotate",
        keys.rotate_keys,
        "user",
        "Let the next keys sign",
        permission="manage:keys",
        body=keys.RotateBody,
        data=keys.KeysData,
        errors=(e.RotatedLately,),
    ),
    Endpoint(
        "POST",
        "/api/keys/{kid}/retire",
        keys.retire_key,
        "user",
        "Retire a key",
        permission="manage:keys",
        body=keys.RetireBody,
        data=keys.RetiredData,
        errors=(e.NotFound, e.KeyInUse),
    ),
    Endpoint(
        "GET",
        "/api/audit-events",
        audit.list_events,
        "user",
        "A page of the audit log",
        permission="read:audit",
        query=audit.AuditEventsQuery,
        data=audit.AuditEventsData,
    ),
    Endpoint(
        "GET", "/healthz", health.healthz, "anyone", "Is the process alive", data=health.HealthData
    ),
    Endpoint("GET", "/readyz", health.readyz, "anyone", "Can it serve", data=health.ReadyData),
)

METRICS = Endpoint(
    "GET",
    "/metrics",
    metrics.metrics,
    "user",
    "What a monitor wants to know",
    permission="read:metrics",
    stale=True,
)
"""Not of the table, which is the API: what it answers is no envelope. It is asked how far the feed
is behind, so it answers then too.
"""

JWKS = Endpoint(
    "GET",
    "/.well-known/jwks.json",
    keys.jwks,
    "anyone",
    "The public keys of access tokens",
    data=keys.JwkSetData,
    media=keys.JWK_SET,
    kept=keys.KEPT,
)
"""Not of the table either: other services read it, and know no envelope."""

DESCRIBED = (*ENDPOINTS, JWKS)
"""What the OpenAPI document tells of."""


def routes(
    services: Callable[[], Services], site: Site, endpoints: Sequence[Endpoint] = ENDPOINTS
) -> list[Route]:
    """The table as Starlette routes, one a path, the metrics and the public keys."""
    endpoints = (*endpoints, METRICS, JWKS)
    paths = dict.fromkeys(endpoint.path for endpoint in endpoints)
    return [
        Route(
            path,
            Resource({one.method: one for one in endpoints if one.path == path}, services, site),
            name=f"authward:{path}",
        )
        for path in paths
    ]
