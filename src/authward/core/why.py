"""Why somebody may do something, and if not, where the right would come from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from authward.core.grants import EVERYTHING, covering
from authward.core.permissions import Role, effective, has_one_of, held_roles
from authward.core.principal import Principal
from authward.core.requirements import AllOf, Requirement, met, unmet
from authward.errors import Detail, Forbidden

MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Source:
    """One way a permission came to an account: `grant` as it was granted, perhaps a wildcard, and
    the roles it came through: the first was given, each includes the next, the last has the grant.
    A direct grant came through none.
    """

    grant: str
    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.roles:
            return f"{self.grant}, granted directly"
        return f"{self.grant}, through the role {', which includes '.join(self.roles)}"


@dataclass(frozen=True, slots=True)
class Why:
    """Whether an account holds a permission, through what, and which roles would bring it, those
    that grant least first.
    """

    permission: str
    sources: tuple[Source, ...]
    granted_by: tuple[str, ...]

    @property
    def held(self) -> bool:
        return bool(self.sources)


def why(
    permission: str, roles: Iterable[str], direct: Collection[str], known: Mapping[str, Role]
) -> Why:
    """Why an account that was given `roles` and `direct` grants holds a permission, or does not."""
    grants = covering(permission)
    sources = [Source(grant) for grant in grants if grant in direct]
    for path in _paths(roles, known):
        own = known[path[-1]].permissions if path[-1] in known else frozenset()
        sources += [Source(grant, path) for grant in grants if grant in own]
    return Why(permission, tuple(sources), bringing(permission, (), known))


def bringing(
    need: Requirement, granted: Iterable[str], known: Mapping[str, Role]
) -> tuple[str, ...]:
    """The roles that meet `need` together with what was granted already, those that grant least
    first.
    """
    have = frozenset(granted)
    found = [
        (_breadth(brought), name)
        for name in known
        if met(have | (brought := effective((name,), (), known)), (need,))
    ]
    return tuple(name for _, name in sorted(found))


def missing(
    principal: Principal,
    roles: Collection[str],
    permissions: Iterable[Requirement],
    known: Mapping[str, Role],
) -> list[Detail]:
    """What a caller lacks of what a guard asks, and where it would come from: one `missing_grant`
    for the roles, and one for each part of the permissions that is not met.
    """
    found = []
    if roles and not has_one_of(principal, roles):
        found.append(Detail("role", "missing_grant", _needs_role(roles, known)))
    held = principal.permissions
    found += [
        _needs_permission(need, bringing(need, held, known)) for need in _lacking(held, permissions)
    ]
    return found


def lacking(refusal: Forbidden, known: Mapping[str, Role]) -> list[Detail]:
    """What the caller lacks by a refusal that is no guard's, and where it would come from: one
    `missing_grant` for each role and permission, `MOST_TOLD` of either at most.
    """
    # Who holds much may be out of reach by hundreds.
    roles, permissions = refusal.roles[:MOST_TOLD], refusal.permissions[:MOST_TOLD]
    return [
        *(Detail("role", "missing_grant", _needs_role((one,), known)) for one in roles),
        *(_needs_permission(one, bringing(one, (), known)) for one in permissions),
    ]


def _needs_permission(need: Requirement, names: Collection[str]) -> Detail:
    cure = f"Roles that grant it: {', '.join(names)}." if names else "No role grants it."
    return Detail("permission", "missing_grant", f"Needs {need}. {cure}")


def _needs_role(roles: Collection[str], known: Mapping[str, Role]) -> str:
    asked = sorted(roles)
    bring = [
        name
        for name in sorted(known)
        if name not in roles and not held_roles((name,), known).isdisjoint(asked)
    ]
    cure = f" Roles that include it: {', '.join(bring)}." if bring else ""
    return f"Needs the role {' or '.join(asked)}.{cure}"


def _lacking(granted: Collection[str], needs: Iterable[Requirement]) -> Iterator[Requirement]:
    """What is not met, all_of taken apart: no single role may bring all of it."""
    for need in unmet(granted, needs):
        if isinstance(need, AllOf):
            yield from _lacking(granted, need.needs)
        else:
            yield need


def _paths(roles: Iterable[str], known: Mapping[str, Role]) -> Iterator[tuple[str, ...]]:
    """From each given role the shortest way to every role that it brings, itself first."""
    for given in dict.fromkeys(roles):
        seen = {given}
        ahead: list[tuple[str, ...]] = [(given,)]
        for path in ahead:
            yield path
            for name in sorted(known.get(path[-1], Role()).includes - seen):
                seen.add(name)
                ahead.append((*path, name))


def _breadth(granted: Collection[str]) -> tuple[bool, int, int]:
    return EVERYTHING in granted, sum("*" in one for one in granted), len(granted)
