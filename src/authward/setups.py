"""How the apps behind an Authward are set up, and what of it does not start."""

from __future__ import annotations

from starlette.applications import Starlette

from authward.errors import ConfigurationError
from authward.holding import CORS_MIDDLEWARE
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
        if _states_cors(app):
            raise ConfigurationError(
                f"cors: {where} has CORSMiddleware too, and browsers take no answer that states "
                "CORS twice. Remove it, and set origins, or a policy in Authward(cors=…). Where an "
                "app has it that is not yours to change, mount that beside the app, not into it"
            )


def _states_cors(app: object) -> bool:
    if not isinstance(app, Starlette):
        return isinstance(app, CORS_MIDDLEWARE)
    kinds: list[object] = [one.cls for one in app.user_middleware]
    return any(isinstance(kind, type) and issubclass(kind, CORS_MIDDLEWARE) for kind in kinds)
