"""What a guard asks for: permissions, and any or all of several."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from authward.core.grants import BadPermission, check_permission, holds
from authward.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these is met."""

    needs: tuple[Requirement, ...]

    def __str__(self) -> str:
        return " or ".join(_nested(one) for one in self.needs)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of these is met."""

    needs: tuple[Requirement, ...]

    def __str__(self) -> str:
        return " and ".join(_nested(one) for one in self.needs)


Requirement: TypeAlias = "str | AnyOf | AllOf"
"""A permission, or several of them joined."""


def any_of(*needs: Requirement) -> AnyOf:
    """One of these permissions is enough: `require(any_of("update:posts", "manage:posts"))`. Raises
    ConfigurationError.
    """
    return AnyOf(requirements("any_of", needs))


def all_of(*needs: Requirement) -> AllOf:
    """All of these permissions, as a part of `any_of`; at the top `require` wants all anyway.
    Raises ConfigurationError.
    """
    return AllOf(requirements("all_of", needs))


def requirements(option: str, needs: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """`needs` as a guard takes them. Raises ConfigurationError if there are none, which would let
    everybody in, or if one is no permission, which nobody could be granted.
    """
    found = tuple(needs)
    if not found:
        raise ConfigurationError(
            f"{option}: name at least one permission: {option}('read:reports'). "
            "For any signed-in caller use authenticate"
        )
    for one in found:
        if isinstance(one, (AnyOf, AllOf)):
            continue
        whatever: object = one
        if not isinstance(whatever, str):
            raise ConfigurationError(f"{option}: {one!r} is no permission. Name them as text")
        try:
            check_permission(whatever)
        except BadPermission as error:
            raise ConfigurationError(f"{option}: '{one}'? {error}") from None
    return found


def met(granted: Collection[str], needs: Iterable[Requirement]) -> bool:
    """Whether what was granted meets every one of `needs`."""
    for one in needs:  # noqa: SIM110 - a generator costs more than the answer
        if not _meets(granted, one):
            return False
    return True


def unmet(granted: Collection[str], needs: Iterable[Requirement]) -> list[Requirement]:
    """Those of `needs` that are not met."""
    return [one for one in needs if not _meets(granted, one)]


def _meets(granted: Collection[str], need: Requirement) -> bool:
    if isinstance(need, str):
        return holds(granted, need)
    if isinstance(need, AllOf):
        return met(granted, need.needs)
    for one in need.needs:  # noqa: SIM110
        if _meets(granted, one):
            return True
    return False


def _nested(need: Requirement) -> str:
    return need if isinstance(need, str) else f"({need})"
