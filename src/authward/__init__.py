"""Authward: authentication and API security for Python.

>>> from authward import Authward, Principal  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authward.app import Authward
    from authward.core.events import AuthEvent
    from authward.core.policies import Decision, Policies, owner, permission, role
    from authward.core.principal import Principal
    from authward.core.requirements import all_of, any_of
    from authward.errors import ConfigurationError, Refusal
    from authward.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "AuthEvent",
    "Authward",
    "ConfigurationError",
    "Decision",
    "Policies",
    "Principal",
    "Refusal",
    "Settings",
    "all_of",
    "any_of",
    "owner",
    "permission",
    "role",
]

_HOMES = {
    "AuthEvent": "authward.core.events",
    "Authward": "authward.app",
    "ConfigurationError": "authward.errors",
    "Decision": "authward.core.policies",
    "Policies": "authward.core.policies",
    "Principal": "authward.core.principal",
    "Refusal": "authward.errors",
    "Settings": "authward.settings",
    "all_of": "authward.core.requirements",
    "any_of": "authward.core.requirements",
    "owner": "authward.core.policies",
    "permission": "authward.core.policies",
    "role": "authward.core.policies",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that `import authward` and `authward --help` stay quick.
    if name not in _HOMES:
        raise AttributeError(f"module 'authward' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
