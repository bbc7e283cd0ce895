"""Roles as those see them who hand out rights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from authward.core.audit import Client, Event
from authward.core.granting import (
    DEFAULT,
    Present,
    check_deletable,
    check_may_move,
    check_role_name,
    moved,
    rights_to_act,
    role_of,
)
from authward.core.grants import EVERYTHING
from authward.core.permissions import Role, effective, held_roles
from authward.core.principal import Principal
from authward.core.users import check_may_edit
from authward.errors import Forbidden, NotFound
from authward.ports import RoleStore
from authward.services.feed import Feed


@dataclass(frozen=True, slots=True)
class RoleEdit:
    """What to add to a role and what to take from it."""

    grant: tuple[str, ...] = ()
    revoke: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Roles:
    """Administration of roles over any store. Nobody makes, changes or deletes a role that grants,
    before or after, what they do not hold themselves; `actor` None is the operator, who may.
    """

    def __init__(self, store: RoleStore, feed: Feed) -> None:
        self._store = store
        self._feed = feed

    async def list(self) -> Mapping[str, Role]:
        """Every role, by name."""
        return await self._store.all()

    async def put(
        self,
        actor: Principal | None,
        name: str,
        permissions: Iterable[str],
        includes: Iterable[str],
        client: Client,
    ) -> Role:
        """Make a role, or replace what it grants and includes.

        Raises ValidationError, Forbidden, TokenExpired, TokenRevoked.
        """
        check_role_name(name)
        wanted, others = frozenset(permissions), frozenset(includes)
        _, after = await self._change(
            actor, name, lambda present: role_of(name, wanted, others, present.roles), client
        )
        return after or Role()

    async def adjust(
        self,
        actor: Principal | None,
        name: str,
        edit: RoleEdit,
        client: Client,
        *,
        create: bool = False,
    ) -> tuple[Role | None, Role]:
        """Add to a role and take from it; the role before and after. Only if `create` is one made
        that was not there: else NotFound.

        Raises what `put` raises.
        """
        check_role_name(name)

        def decide(present: Present) -> Role:
            before = present.roles.get(name)
            if before is None and not create:
                raise NotFound(f"no such role; there are {', '.join(sorted(present.roles))}")
            now = before or Role()
            return role_of(
                name,
                (now.permissions - {*edit.revoke}) | {*edit.grant},
                (now.includes - {*edit.exclude}) | {*edit.include},
                present.roles,
            )

        before, after = await self._change(actor, name, decide, client)
        return before, after or Role()

    async def delete(self, actor: Principal | None, name: str, client: Client) -> None:
        """Delete a role that nobody holds and none includes.

        Raises NotFound, RoleInUse, Forbidden, TokenExpired, TokenRevoked.
        """

        def decide(present: Present) -> None:
            if name not in present.roles:
                raise NotFound("no such role")
            check_deletable(name, present.roles)

        await self._change(actor, name, decide, client)

    async def _change(
        self,
        actor: Principal | None,
        name: str,
        decide: Callable[[Present], Role | None],
        client: Client,
    ) -> tuple[Role | None, Role | None]:
        acting = None if actor is None else actor.id

        def judge(present: Present) -> Role | None:
            held = rights_to_act(actor, present)
            after = decide(present)
            if name == DEFAULT and EVERYTHING not in held:
                raise Forbidden(
                    "everybody has this role, and the actor does not hold everything",
                    permissions=(EVERYTHING,),
                )
            later = {**present.roles, name: after or Role()}
            # With it change the roles that include it, and what their holders may do.
            for one in present.roles.keys() | {name}:
                if name in held_roles([one], present.roles):
                    check_may_edit(held, effective([one], (), present.roles))
                    check_may_edit(held, effective([one], (), later))
            before = present.roles.get(name) or Role()
            check_may_move(held, present, before.includes, (after or Role()).includes)
            return after

        def event(before: Role | None, after: Role | None) -> Event:
            kind = "role.deleted" if after is None else "role.changed"
            detail = {"role": name, **_moved(before or Role(), after or Role())}
            return Event(kind, client, actor=acting, detail=detail)

        changed = await self._store.change(name, judge, event, actor=acting)
        # What was changed here counts here before we answer.
        await self._feed.catch_up()
        return changed


def _moved(before: Role, after: Role) -> dict[str, str]:
    others = moved(before.includes, after.includes)
    words = {"granted": "included", "taken": "excluded"}
    return {
        **moved(before.permissions, after.permissions),
        **{words[word]: names for word, names in others.items()},
    }
