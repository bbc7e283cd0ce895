"""How the apps behind an Authward are set up, and what of it does not start."""

from __future__ import annotations

from starlette.applications import Starlette

from authward.errors import ConfigurationError
from authward.walking import Walk


def check_setups(seen: Walk, *, production: bool) -> None:
    """Refuse what would be unsafe in any app that was seen. Raises ConfigurationError."""
    for app, path in (*seen.apps, *seen.held):
        where = "the app" if path == "/" else f"the app at {path}"
        if production and isinstance(app, Starlette) and app.debug:
            raise ConfigurationError(
                f"debug: {where} would show tracebacks to its clients, and ENV is production. "
                "Leave debug off"
            )
