"""Permissions-Policy: which features of the browser a page may use (W3C Permissions Policy)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from authward.core.origins import configured_origin
from authward.core.paths import several
from authward.errors import ConfigurationError

_FEATURE = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_NEAR = 0.8
"""How alike a name is to a known one, of 1, that is taken for a typing error."""
POWERFUL_FEATURES = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid"),
    *("idle-detection", "magnetometer", "microphone", "midi", "payment", "serial", "usb"),
    "xr-spatial-tracking",
)
"""Sensors, devices, the screen and money: nobody's unless allowed."""
# What browsers and drafts name beside them; but for client hints, `ch-…`, that are like each other.
_KNOWN = frozenset(POWERFUL_FEATURES) | {
    *("all-screens-capture", "ambient-light-sensor", "aria-notify", "attribution-reporting"),
    *("autoplay", "battery", "bluetooth", "browsing-topics", "captured-surface-control"),
    *("clipboard-read", "clipboard-write", "compute-pressure", "controlled-frame"),
    *("cross-origin-isolated", "deferred-fetch", "deferred-fetch-minimal"),
    *("device-attributes", "digital-credentials-create", "digital-credentials-get"),
    *("direct-sockets", "direct-sockets-private", "document-domain", "encrypted-media"),
    *("execution-while-not-rendered", "execution-while-out-of-viewport"),
    *("focus-without-user-activation", "fullscreen", "gamepad", "identity-credentials-get"),
    *("interest-cohort", "join-ad-interest-group", "keyboard-lock", "keyboard-map"),
    *("language-detector", "language-model", "local-fonts", "local-network-access"),
    *("media-playback-while-not-visible", "monetization", "navigation-override"),
    *("on-device-speech-recognition", "otp-credentials", "picture-in-picture", "pointer-lock"),
    *("popins", "private-aggregation", "private-state-token-issuance"),
    *("private-state-token-redemption", "proofreader", "publickey-credentials-create"),
    *("publickey-credentials-get", "rewriter", "run-ad-auction", "screen-wake-lock"),
    *("shared-autofill", "shared-storage", "shared-storage-select-url", "smart-card"),
    *("speaker-selection", "storage-access", "sub-apps", "summarizer", "sync-script", "sync-xhr"),
    *("translator", "unload", "usb-unrestricted", "vertical-scroll", "web-printing", "web-share"),
    *("window-management", "window-placement", "writer"),
}


@dataclass(frozen=True, slots=True)
class PermissionsPolicy:
    """Who may use which feature of the browser. `features` are laid over our denials, or stand
    alone if `defaults` is false: a feature maps to `()`, nobody; to any of `"self"` and origins; to
    `("*",)`, everybody; or to None, which leaves it to the browser. Raises ConfigurationError, for
    a name too that is nearly a known one.
    """

    features: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict, hash=False)
    defaults: bool = True

    def __post_init__(self) -> None:
        given: object = self.features
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"permissions_policy: features: {given!r} is none. Write {{'camera': ('self',)}}"
            )
        for name, allowed in self.features.items():
            where = f"permissions_policy: {name}"
            _check_name(where, name)
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


def _check_name(where: str, name: str) -> None:
    """Browsers ignore a name that they do not know. One that nobody knows may be new, and passes;
    but not where it looks like a typing error.
    """
    if name in _KNOWN:
        return
    if _FEATURE.fullmatch(name) is None:
        raise ConfigurationError(f"{where} is no feature's name. Write it like 'camera'")
    guess = get_close_matches(name, sorted(_KNOWN), 1, cutoff=_NEAR)
    if guess and not name.startswith("ch-"):
        raise ConfigurationError(
            f"{where} is no feature that browsers know. Did you mean '{guess[0]}'?"
        )


def _check_allowed(where: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(allowed, tuple):
        raise ConfigurationError(
            f"{where}: {allowed!r} is not a tuple. Write one, like ('self',), or () for nobody"
        )
    if "*" in allowed and len(allowed) > 1:
        raise ConfigurationError(f"{where}: '*' is everybody. Give it alone, or list who may")
    for one in several(where, allowed):
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
