"""Register, log in, one's own profile."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from authward.core.times import iso_time
from authward.core.users import User
from authward.http.cookies import presented_session, refresh_set_cookie
from authward.http.endpoint import Answer, Call
from authward.http.fields import (
    AccessToken,
    CsrfToken,
    Email,
    Identifier,
    Model,
    Name,
    NewPassword,
    Password,
    Role,
    Time,
)
from authward.services.sessions import SignedIn


class RegisterBody(Model):
    email: Email
    password: NewPassword
    name: Name


class LoginBody(Model):
    email: Email
    password: Password


class ProfileBody(Model):
    name: Name


class UserData(Model):
    id: Identifier
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Lovelace"])
    role: Role


class SignedInData(Model):
    user: UserData
    access_token: AccessToken
    csrf_token: CsrfToken


class ProfileData(UserData):
    permissions: list[str] = Field(examples=[["read:reports"]])
    email_verified: bool
    created_at: Time


class PublicData(Model):
    service: Literal["authward"]


def user_data(user: User) -> dict[str, object]:
    return {"id": user.id, "email": user.email, "name": user.name, "role": user.role}


def profile_data(user: User) -> dict[str, object]:
    return {
        **user_data(user),
        "permissions": list(user.permissions),
        "emailVerified": user.email_verified,
        "createdAt": iso_time(user.created_at),
    }


def _signed_in(call: Call, signed_in: SignedIn, message: str, status: int) -> Answer:
    data = {
        "user": user_data(signed_in.user),
        "accessToken": signed_in.access_token,
        "csrfToken": signed_in.csrf_token,
    }
    return Answer(data, message, status, (refresh_set_cookie(call, signed_in),))


async def register(call: Call) -> Answer:
    body = call.body(RegisterBody)
    signed_in = await call.services.accounts.register(
        body.email, body.password, body.name, call.client, presented=presented_session(call)
    )
    return _signed_in(call, signed_in, "User registered successfully", 201)


async def login(call: Call) -> Answer:
    body = call.body(LoginBody)
    signed_in = await call.services.accounts.login(
        body.email, body.password, call.client, presented=presented_session(call)
    )
    return _signed_in(call, signed_in, "Login successful", 200)


async def get_profile(call: Call) -> Answer:
    return Answer(profile_data(await call.services.accounts.profile(call.principal.id)), "Profile")


async def patch_profile(call: Call) -> Answer:
    user = await call.services.accounts.rename(
        call.principal, call.body(ProfileBody).name, call.client
    )
    return Answer(profile_data(user), "Profile updated")


async def public_data(call: Call) -> Answer:
    return Answer({"service": "authward"}, "Public data")
