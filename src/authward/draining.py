"""How the server takes leave: whoever asks whether it is ready hears no, what is under way is
finished, what is pending is written. uvicorn's server and supervisor, which end more abruptly.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from multiprocessing.connection import wait
from types import FrameType, FunctionType
from typing import Any, cast

from uvicorn import Config, Server
from uvicorn.supervisors import multiprocess
from uvicorn.supervisors.multiprocess import Multiprocess
from uvicorn.supervisors.multiprocess import Process as UvicornProcess

from authward.http.health import DRAINING

GRACEFUL_S = 10
"""How long requests under way may take to end."""
LAST_S = 15
"""How long after that a worker may take to write what is pending, before it is killed."""
TICK_S = 0.05

_CLOSE = (b"connection", b"close")


class DrainingConfig(Config):
    """uvicorn's, with the seconds for which the port stays open."""

    def __init__(self, app: Any, *, drain: float, **rest: Any) -> None:
        super().__init__(app, **rest)
        self.drain = drain


class DrainingServer(Server):
    """uvicorn's, which closes its port at the first signal: a load balancer would meet a closed
    port before it could know. This one goes on listening for `drain` seconds, and while a request
    is under way that came before the signal; meanwhile `/readyz` says 503, and every connection is
    closed with its answer. All of it within `drain` + `GRACEFUL_S`.

    `alone`: no supervisor is there to end it at a second signal.
    """

    def __init__(self, config: DrainingConfig, *, alone: bool = False) -> None:
        super().__init__(config)
        self._drain_s = config.drain
        self._alone = alone

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._alone and self.should_exit:
            # Whoever asks twice waits for nothing.
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
        super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        await super().main_loop()
        if not self.force_exit:
            await self._drain()

    async def _drain(self) -> None:
        began = time.monotonic()
        state = self.server_state
        self.lifespan.state[DRAINING] = True
        # uvicorn sends these with every answer, and closes what one of them says to close.
        state.default_headers = [*state.default_headers, _CLOSE]
        under_way = set(state.tasks)
        for connection in list(state.connections):
            connection.shutdown()  # now if it is idle, else with its answer
        longest = self._drain_s + GRACEFUL_S / 2
        while not self.force_exit:
            elapsed = time.monotonic() - began
            busy = elapsed < longest and not under_way.isdisjoint(state.tasks)
            if elapsed >= self._drain_s and not busy:
                break
            await asyncio.sleep(TICK_S)
        left = self._drain_s + GRACEFUL_S - (time.monotonic() - began)
        self.config.timeout_graceful_shutdown = max(1, int(left))


class _Process(UvicornProcess):
    """A worker process whose server drains."""

    @property
    def server(self) -> Server:  # pragma: no cover - in the workers, before their tracer starts
        if self._server is None:
            self._server = DrainingServer(cast(DrainingConfig, self.config))
        return self._server


# The supervisor makes its processes of a global of its module: the same functions, with ours in
# its place.
_OURS = {**vars(multiprocess), "Process": _Process}


def _ours(function: Any) -> Any:
    return FunctionType(function.__code__, _OURS)


class Supervisor(Multiprocess):
    """uvicorn's, but one that sees at once that a worker is gone. It keeps the workers' ends of its
    pipes open, and so would wait for a sign of life of the dead as long as for a slow start,
    replacing nobody and deaf to signals.

    At a second signal its workers are killed; and so are those that do not end in time.
    """

    _init_processes = _ours(Multiprocess.init_processes)
    _keep_subprocess_alive = _ours(Multiprocess.keep_subprocess_alive)
    restart_all = _ours(Multiprocess.restart_all)
    handle_ttin = _ours(Multiprocess.handle_ttin)

    def __init__(self, config: DrainingConfig, sockets: list[Any]) -> None:
        super().__init__(config, sockets=sockets)
        self.killed = False
        self._longest = config.drain + GRACEFUL_S + LAST_S
        self._twice = False

    def init_processes(self) -> None:
        self._init_processes()
        self._let_go()

    def keep_subprocess_alive(self) -> None:
        self._keep_subprocess_alive()
        self._let_go()

    def handle_signals(self) -> None:
        ending = [one for one in self.signal_queue if one in (signal.SIGINT, signal.SIGTERM)]
        self._twice = self._twice or len(ending) > 1
        super().handle_signals()

    def join_all(self) -> None:
        """Wait for the workers, but not for ever."""
        until = time.monotonic() + self._longest
        while alive := [one for one in self.processes if one.process.is_alive()]:
            ending = {signal.SIGINT, signal.SIGTERM}.intersection(self.signal_queue)
            if self._twice or ending or time.monotonic() > until:
                self.killed = True
                for process in alive:
                    process.process.kill()
            wait([one.process.sentinel for one in alive], timeout=TICK_S)
        super().join_all()

    def _let_go(self) -> None:
        for process in self.processes:
            process.child_conn.close()
