"""Starting before an app and stopping after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.errors import ConfigurationError


class Lifespan:
    """Runs `startup` before the start-up of `app` and `shutdown` after its end. Takes lifespan
    scopes alone.

    What `startup` refuses is told to the server, and raised, as Starlette's client wants it.
    Where `app` knows no lifespan, the server says so, and `startup` is left to the first request.
    """

    def __init__(
        self,
        app: ASGIApp,
        startup: Callable[[], Awaitable[None]],
        shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        self._app = app
        self._startup = startup
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed: ConfigurationError | None = None
        told = False

        async def receiving() -> Message:
            nonlocal failed
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._startup()
                except ConfigurationError as error:
                    failed = error
                    raise
            return message

        async def sending(message: Message) -> None:
            nonlocal told
            if failed is not None:
                raise failed  # an app that would go on, and wait for an end that never comes
            told = told or message["type"].startswith("lifespan.startup.")
            if message["type"].startswith("lifespan.shutdown."):
                await self._shutdown()
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        except ConfigurationError as error:
            failed = failed or error
        except Exception:
            if failed is None:
                raise
        if failed is None:
            return
        if not told:
            await send({"type": "lifespan.startup.failed", "message": str(failed)})
        raise failed
