"""The server: uvicorn around our own app, in one process or several."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import Any

from starlette.types import ASGIApp
from uvicorn import Server
from uvicorn.config import STARTUP_FAILURE

from authward.app import Authward
from authward.draining import GRACEFUL_S, DrainingConfig, DrainingServer, Supervisor
from authward.logs import configure_logs
from authward.settings import Settings
from authward.uvicorn import Http

BACKLOG = 2048
KEEP_ALIVE_S = 75
WORKER_START_S = 60

Announce = Callable[[Authward, int], Awaitable[None]]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError if the address cannot be had."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # "localhost" may be both; most clients try 127.0.0.1.
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # pragma: no branch
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Listening at once: who waits for the port finds it open when the text says so.
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def uvicorn_config(app: Any, settings: Settings, *, factory: bool) -> DrainingConfig:
    """uvicorn as we run it."""
    return DrainingConfig(
        app,
        drain=settings.drain,
        factory=factory,
        interface="asgi3",
        loop="auto" if sys.platform == "win32" else "uvloop",
        http=Http,
        ws="none",  # our own routes have no WebSocket
        lifespan="on",
        workers=settings.workers,
        log_config=None,
        access_log=not settings.production,
        # uvicorn would believe X-Forwarded-For from 127.0.0.1: from any local user.
        proxy_headers=False,
        forwarded_allow_ips=[],
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_S,
        # Imports on a busy machine outlast the default 5 s: the worker would be killed for ever.
        timeout_worker_healthcheck=WORKER_START_S,
    )


def run(settings: Settings, listener: socket.socket, announce: Announce) -> bool:
    """Serve until SIGINT or SIGTERM; True after an orderly end. `announce` is called once, with a
    running Authward and the port. Raises ConfigurationError before anything is served.
    """
    configure_logs(settings)
    return (_run_one if settings.workers == 1 else _run_many)(settings, listener, announce)


def _run_one(settings: Settings, listener: socket.socket, announce: Announce) -> bool:
    auth = Authward(settings)
    config = uvicorn_config(auth.asgi(), settings, factory=False)

    async def serve() -> bool:
        await auth.startup()
        try:
            server = DrainingServer(config, alone=True)
            with _ends_quietly(server):
                await announce(auth, _port(listener))
                await server.serve([listener])
            return server.started
        finally:
            await auth.shutdown()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(serve())


@contextmanager
def _ends_quietly(server: Server) -> Iterator[None]:
    """SIGINT and SIGTERM end `server` in order, from before uvicorn listens to them until after it
    has raised them again: an orderly end is no failure.
    """

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_many(settings: Settings, listener: socket.socket, announce: Announce) -> bool:
    async def prepare() -> None:
        # Schema and keys are made once, here, so that all workers find them.
        auth = Authward(settings)
        await auth.startup()
        try:
            await announce(auth, _port(listener))
        finally:
            await auth.shutdown()

    # From here on signals wait for the supervisor: one that comes early is not lost.
    config = uvicorn_config(Worker(settings), settings, factory=True)
    supervisor = Supervisor(config, sockets=[listener])
    asyncio.run(prepare())
    supervisor.run()
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return not (failed or supervisor.killed)


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Worker:
    """Makes the app of one worker process. It travels there pickled."""

    settings: Settings

    def __call__(self) -> ASGIApp:
        configure_logs(self.settings)
        threading.Thread(target=_end_with_parent, name="authward-parent", daemon=True).start()
        return Authward(self.settings).asgi()


def _end_with_parent() -> None:
    """A worker whose parent was killed would serve on, unseen, and keep the port."""
    parent = parent_process()
    if parent is not None:  # pragma: no branch
        wait([parent.sentinel])
        signal.raise_signal(signal.SIGTERM)
