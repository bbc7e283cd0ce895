"""Roles, for those who hand out rights."""

from __future__ import annotations

from pydantic import Field

from authward.core.granting import MAX_ROLE
from authward.core.permissions import Role
from authward.http.endpoint import Answer, Call
from authward.http.fields import Grant, Model, RoleName


class RoleBody(Model):
    permissions: list[Grant] = Field(max_length=MAX_ROLE, examples=[["update:posts"]])
    includes: list[RoleName] = Field(default=[], max_length=MAX_ROLE, examples=[["user"]])


class RoleData(Model):
    name: RoleName
    permissions: list[str] = Field(examples=[["update:posts"]])
    includes: list[str] = Field(examples=[["user"]])


class RolesData(Model):
    roles: list[RoleData]


def _role(name: str, role: Role) -> dict[str, object]:
    return {
        "name": name,
        "permissions": sorted(role.permissions),
        "includes": sorted(role.includes),
    }


async def list_roles(call: Call) -> Answer:
    roles = await call.services.roles.list()
    return Answer({"roles": [_role(name, roles[name]) for name in sorted(roles)]}, "Roles")


async def put_role(call: Call) -> Answer:
    name, body = call.path("name"), call.body(RoleBody)
    role = await call.services.roles.put(
        call.principal, name, body.permissions, body.includes, call.client
    )
    return Answer(_role(name, role), "Role saved")


async def delete_role(call: Call) -> Answer:
    await call.services.roles.delete(call.principal, call.path("name"), call.client)
    return Answer(None, "Role deleted")
