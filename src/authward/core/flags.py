"""Options that are on or off."""

from __future__ import annotations

from authward.errors import ConfigurationError

_OFF = frozenset({"", "0", "disabled", "f", "false", "n", "never", "no", "none", "off"})


def flag(option: str, given: object) -> bool:
    """What an option that is True or False was given. Raises ConfigurationError for anything else:
    'no', as it comes from an environment, counts as true.
    """
    if isinstance(given, bool):
        return given
    meant = str(given).strip().lower() not in _OFF
    raise ConfigurationError(
        f"{option}: {given!r} is neither True nor False. Did you mean {meant}?"
    )
