"""Accounts, for admins and moderators."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from authward.core.users import User
from authward.http.accounts import ProfileData, profile_data
from authward.http.endpoint import Answer, Call
from authward.http.fields import CURSOR, Email, Model, Name, Number, Text
from authward.services.users import UserEdit


class UsersQuery(Model):
    limit: Annotated[Number, Field(ge=1, le=100, examples=[20])] = 20
    cursor: Annotated[Text, Field(min_length=1, max_length=200, examples=[CURSOR])] | None = None
    search: Annotated[Text, Field(min_length=1, max_length=200, examples=["ada"])] | None = None
    role: Annotated[Text, Field(min_length=1, max_length=64, examples=["user"])] | None = None


class UserBody(Model):
    name: Name | None = None
    disabled: StrictBool | None = None
    email: Email | None = None


class RoleBody(Model):
    role: Annotated[Text, Field(min_length=1, max_length=64, examples=["moderator"])]


class ManagedUserData(ProfileData):
    disabled: bool


class UsersData(Model):
    users: list[ManagedUserData]
    next_cursor: str | None = Field(examples=[CURSOR])


def _managed(user: User) -> dict[str, object]:
    return {**profile_data(user), "disabled": user.disabled_at is not None}


async def list_users(call: Call) -> Answer:
    query = call.query(UsersQuery)
    page = await call.services.users.page(
        limit=query.limit, cursor=query.cursor, search=query.search, role=query.role
    )
    return Answer(
        {"users": [_managed(user) for user in page.users], "nextCursor": page.cursor}, "Users"
    )


async def get_user(call: Call) -> Answer:
    return Answer(_managed(await call.services.users.get(call.path("id"))), "User")


async def put_user(call: Call) -> Answer:
    body = call.body(UserBody)
    edit = UserEdit(body.name, body.disabled, body.email)
    return Answer(
        _managed(
            await call.services.users.edit(call.principal, call.path("id"), edit, call.client)
        ),
        "User updated",
    )


async def put_role(call: Call) -> Answer:
    role = call.body(RoleBody).role
    user = await call.services.users.set_role(call.principal.id, call.path("id"), role, call.client)
    return Answer(_managed(user), "Role set")


async def delete_user(call: Call) -> Answer:
    await call.services.users.delete(call.principal.id, call.path("id"), call.client)
    return Answer(None, "User deleted")
