"""`authward serve`, as tests run it: `python -m tests.served serve …`, not `python -m authward`.

The program is the real one. Around it, in each worker process:

- the clock is turned by the number in the file AUTHWARD_TEST_CLOCK, and database time with it;
- each answer names its process in `x-test-pid`;
- a request with `x-test-die` has its process killed when its answer is about to be sent;
- AUTHWARD_TEST_CHEAP_HASHING=1 makes hashing cost nothing;
- AUTHWARD_TEST_ROTATE_EVERY is how often, in seconds, it looks whether keys are to rotate.

Worker processes import this module too, as it is their parent's main one.
"""

import ctypes
import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward import app as app_module
from authward import process as process_module
from tests.cheap import cheap_parameters

PR_SET_PDEATHSIG = 1


class FileClock:
    """Real time, turned by the milliseconds in a file that all processes share."""

    def __init__(self) -> None:
        with Path(os.environ["AUTHWARD_TEST_CLOCK"]).open("rb") as file:
            self._turned = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

    @property
    def offset_ms(self) -> int:
        return int(struct.unpack("<q", self._turned)[0])

    def now(self) -> float:
        return time.time() + self.offset_ms / 1000

    def monotonic(self) -> float:
        return time.monotonic()


class Around:
    """The app, which may die before it answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        dies = any(name == b"x-test-die" for name, _ in scope["headers"])

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if dies:
                    os.kill(os.getpid(), signal.SIGKILL)
                pid = (b"x-test-pid", str(os.getpid()).encode())
                message = {**message, "headers": [*message["headers"], pid]}
            await send(message)

        await self._app(scope, receive, answer)


def die_with_parent() -> None:
    """Nobody is left behind if the test run is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ in ("__main__", "__mp_main__"):
    if "AUTHWARD_TEST_CLOCK" in os.environ:
        vars(app_module)["SystemClock"] = FileClock
    if os.environ.get("AUTHWARD_TEST_CHEAP_HASHING") == "1":
        cheap = cheap_parameters()
        vars(process_module)["HashParameters"] = lambda: cheap
    if "AUTHWARD_TEST_ROTATE_EVERY" in os.environ:
        process_module.ROTATE_EVERY = float(os.environ["AUTHWARD_TEST_ROTATE_EVERY"])
    bare = app_module.Authward.asgi
    app_module.Authward.asgi = lambda auth: Around(bare(auth))  # type: ignore[assignment,method-assign]

if __name__ == "__main__":
    die_with_parent()
    from authward.cli import main

    main(prog_name="authward")
