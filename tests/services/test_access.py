"""Admission: who is let in, and that every refusal is written down once."""

import pytest

from authward.core.audit import Client
from authward.errors import (
    CsrfFailed,
    Forbidden,
    InvalidToken,
    MissingToken,
    NotFound,
    Overloaded,
)
from authward.services import Services

from .conftest import HERE, register, told


def headers(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {token}".encode())]


def here() -> Client:
    return HERE


async def test_who_has_a_token_is_let_in(services: Services) -> None:
    signed_in = await register(services)
    principal = services.access.admit(headers(signed_in.access_token), here)
    assert principal.id == signed_in.user.id
    assert services.access.admit_token(lambda: signed_in.access_token, here) == principal
    by_role = services.access.admit(headers(signed_in.access_token), here, roles=["user"])
    assert by_role == principal
    assert await told(services, "access.denied") == []


async def test_a_refusal_says_who_asked_for_what(services: Services) -> None:
    signed_in = await register(services)
    with pytest.raises(MissingToken):
        services.access.admit([], here)
    with pytest.raises(InvalidToken):
        services.access.admit(headers("x.y.z"), here)
    for _ in range(2):
        with pytest.raises(Forbidden):
            services.access.admit(headers(signed_in.access_token), here, permissions=["list:users"])
    with pytest.raises(Forbidden):
        services.access.admit(headers(signed_in.access_token), here, roles=["admin"])
    rows = await told(services, "access.denied")
    assert [(row["error"], row["subject"], row["count"]) for row in rows] == [
        ("missing_token", None, 1),
        ("invalid_token", None, 1),
        ("forbidden", signed_in.user.id, 3),
    ]
    assert all(row["ip"] == HERE.ip for row in rows)


async def test_one_refusal_is_written_once(services: Services) -> None:
    with pytest.raises(MissingToken) as caught:
        services.access.admit([], here)
    services.access.denied(caught.value, HERE)
    refusal = CsrfFailed("no token")
    services.access.denied(refusal, HERE, subject="ada")
    services.access.denied(refusal, HERE, subject="ada")
    rows = await told(services, "access.denied")
    assert [(row["error"], row["subject"], row["count"]) for row in rows] == [
        ("missing_token", None, 1),
        ("csrf_failed", "ada", 1),
    ]


async def test_what_is_no_denial_is_not_one(services: Services) -> None:
    for refusal in (NotFound(), Overloaded()):
        services.access.denied(refusal, HERE)
    assert await told(services, "access.denied") == []
