"""Permissions-Policy: which features of the browser a page may use (W3C Permissions Policy)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from authward.core.origins import configured_origin
from authward.errors import ConfigurationError

_FEATURE = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
POWERFUL_FEATURES = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid"),
    *("idle-detection", "magnetometer", "microphone", "midi", "payment", "serial", "usb"),
    "xr-spatial-tracking",
)
"""Sensors, devices, the screen and money: nobody's unless allowed."""


@dataclass(frozen=True, slots=True)
class PermissionsPolicy:
    """Who may use which feature of the browser. `features` are laid over our denials, or stand
    alone if `defaults` is false: a feature maps to `()`, nobody; to any of `"self"` and origins; to
    `("*",)`, everybody; or to None, which leaves it to the browser. Raises ConfigurationError.
    """

    features: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict, hash=False)
    defaults: bool = True

    def __post_init__(self) -> None:
        for name, allowed in self.features.items():
            where = f"permissions_policy: {name}"
            if _FEATURE.fullmatch(name) is None:
                raise ConfigurationError(f"{where} is no feature's name. Write it like 'camera'")
            if allowed is not None:
                _check_allowed(where, allowed)
        if not str(self):
            raise ConfigurationError(
                "permissions_policy: no features are left. Give some, or None for the whole"
            )

    def __str__(self) -> str:
        """As a Structured Fields dictionary (RFC 9651 section 3.2)."""
        denied = dict.fromkeys(POWERFUL_FEATURES, ()) if self.defaults else {}
        return ", ".join(
            f"{name}={_allowlist(allowed)}"
            for name, allowed in {**denied, **self.features}.items()
            if allowed is not None
        )


def _check_allowed(where: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(allowed, tuple):
        raise ConfigurationError(
            f"{where}: {allowed!r} is not a tuple. Write one, like ('self',), or () for nobody"
        )
    if "*" in allowed and len(allowed) > 1:
        raise ConfigurationError(f"{where}: '*' is everybody. Give it alone, or list who may")
    for one in allowed:
        bare = one.strip("'\"")
        if bare in ("none", "src"):
            raise ConfigurationError(f"{where}: {one!r} means nothing here. () is nobody")
        if bare in ("self", "*") and one != bare:
            raise ConfigurationError(f"{where}: {one!r} has quotes inside. Did you mean '{bare}'?")
        if one not in ("self", "*"):
            # A wildcard may stand for the first labels alone.
            plain = one.replace("://*.", "://", 1)
            if configured_origin(plain, where) != plain:
                raise ConfigurationError(
                    f"{where}: {one!r} has capitals or a default port. Browsers compare the plain "
                    f"form: '{configured_origin(plain, where)}'"
                )


def _allowlist(allowed: tuple[str, ...]) -> str:
    if allowed == ("*",):
        return "*"
    return "(" + " ".join(one if one == "self" else f'"{one}"' for one in allowed) + ")"
