"""What may stand around an app, so that walking the routes does not see it."""

import functools
from collections.abc import Callable

from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from authward.middleware import SecurityHeaders


class Slotted:
    __slots__ = ("by_path", "never_set")

    def __init__(self, app: ASGIApp) -> None:
        self.by_path = {"/": [app]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.by_path["/"][0](scope, receive, send)


class Bound:
    def __init__(self, app: ASGIApp) -> None:
        self.inner = app

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.inner(scope, receive, send)


def closing_over(app: ASGIApp) -> ASGIApp:
    gone = app

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await (gone if scope["type"] == "never" else app)(scope, receive, send)  # noqa: F821

    del gone
    return serve


async def hand_on(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def by_name(scope: Scope, receive: Receive, send: Send) -> None:
    async def inner() -> None:
        await NAMED(scope, receive, send)

    await inner()


def named(app: ASGIApp) -> ASGIApp:
    global NAMED
    NAMED = app
    return by_name


NAMED: ASGIApp = Router()
AROUND: dict[str, Callable[[ASGIApp], ASGIApp]] = {
    "middleware": GZipMiddleware,
    "several": lambda app: GZipMiddleware(GZipMiddleware(app)),
    "ours": SecurityHeaders,
    "slots": Slotted,
    "method": lambda app: Bound(app).serve,
    "closure": closing_over,
    "partial": lambda app: functools.partial(hand_on, app),
    "global": named,
    "mounted": lambda app: GZipMiddleware(Router([Mount("/", GZipMiddleware(app))])),
}
