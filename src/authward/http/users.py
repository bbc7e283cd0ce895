"""Accounts, for admins and moderators."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from authward.core.granting import MAX_ADDITIONAL, MAX_DIRECT
from authward.core.users import User
from authward.http.accounts import ProfileData, profile_data
from authward.http.endpoint import Answer, Call
from authward.http.fields import CURSOR, Email, Grant, Model, Name, Number, Role, RoleName, Text
from authward.services.users import Rights, UserEdit


class UsersQuery(Model):
    limit: Annotated[Number, Field(ge=1, le=100, examples=[20])] = 20
    cursor: Annotated[Text, Field(min_length=1, max_length=200, examples=[CURSOR])] | None = None
    search: Annotated[Text, Field(min_length=1, max_length=200, examples=["ada"])] | None = None
    role: Annotated[Text, Field(min_length=1, max_length=64, examples=["user"])] | None = None


class UserBody(Model):
    name: Name | None = None
    disabled: StrictBool | None = None
    email: Email | None = None


class UserRoleBody(Model):
    role: Annotated[Text, Field(min_length=1, max_length=64, examples=["moderator"])]
    additional_roles: list[RoleName] = Field(
        default=[], max_length=MAX_ADDITIONAL, examples=[["user"]]
    )


class PermissionsBody(Model):
    permissions: list[Grant] = Field(max_length=MAX_DIRECT, examples=[["read:reports"]])


class ManagedUserData(ProfileData):
    additional_roles: list[Role] = Field(examples=[["editor"]])
    disabled: bool


class PermissionsData(Model):
    role: Role
    additional_roles: list[Role] = Field(examples=[["editor"]])
    permissions: list[str] = Field(examples=[["read:reports"]])
    effective: list[str] = Field(examples=[["create:posts", "read:reports"]])


class UsersData(Model):
    users: list[ManagedUserData]
    next_cursor: str | None = Field(examples=[CURSOR])


def _managed(user: User) -> dict[str, object]:
    return {
        **profile_data(user),
        "additionalRoles": list(user.additional_roles),
        "disabled": user.disabled_at is not None,
    }


def _rights(rights: Rights) -> dict[str, object]:
    return {
        "role": rights.user.role,
        "additionalRoles": list(rights.user.additional_roles),
        "permissions": list(rights.user.permissions),
        "effective": sorted(rights.effective),
    }


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


async def put_user_role(call: Call) -> Answer:
    body = call.body(UserRoleBody)
    user = await call.services.users.set_role(
        call.principal, call.path("id"), body.role, call.client, additional=body.additional_roles
    )
    return Answer(_managed(user), "Role set")


async def get_permissions(call: Call) -> Answer:
    rights = await call.services.users.permissions_of(call.path("id"))
    return Answer(_rights(rights), "Permissions")


async def put_permissions(call: Call) -> Answer:
    rights = await call.services.users.set_permissions(
        call.principal, call.path("id"), call.body(PermissionsBody).permissions, call.client
    )
    return Answer(_rights(rights), "Permissions set")


async def delete_user(call: Call) -> Answer:
    await call.services.users.delete(call.principal, call.path("id"), call.client)
    return Answer(None, "User deleted")
