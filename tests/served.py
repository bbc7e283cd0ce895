"""`authward serve`, as tests run it: `python -m tests.served serve …`, not `python -m authward`.

The program is the real one. Around it, in each worker process:

- the clock is turned by the number in the file AUTHWARD_TEST_CLOCK, and database time with it;
- each answer names its process in `x-test-pid`, and says in `x-test-statements` how many statements
  the request had the database run;
- /members belongs to an app behind the same Authward: it asks for a role, and needs no database;
- a request with `x-test-die` has its process killed when its answer is about to be sent;
- AUTHWARD_TEST_CHEAP_HASHING=1 makes hashing cost nothing;
- AUTHWARD_TEST_ROTATE_EVERY is how often, in seconds, it looks whether keys are to rotate;
- AUTHWARD_TEST_GRACEFUL is how many seconds requests under way have at the end.

Worker processes import this module too, as it is their parent's main one.
"""

import ctypes
import json
import mmap
import os
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward import app as app_module
from authward import draining as draining_module
from authward import process as process_module
from authward import server as server_module
from authward.middleware.request_id import CURRENT
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


statements: Counter[str] = Counter()
"""How many each request has had run so far, by its id."""


def count(*_: Any) -> None:
    if CURRENT.get():
        statements[CURRENT.get()] += 1


class Members:
    """An app with one protected route."""

    def __init__(self, auth: app_module.Authward) -> None:
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        me = self._auth.principal(scope, roles=("user", "moderator", "admin"))
        body = json.dumps({"success": True, "id": me.id}).encode()
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


class Around:
    """The server's app, which may die before it answers, and another beside it."""

    def __init__(self, app: ASGIApp, members: ASGIApp) -> None:
        self._app = app
        self._members = members

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        dies = any(name == b"x-test-die" for name, _ in scope["headers"])

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if dies:
                    os.kill(os.getpid(), signal.SIGKILL)
                own = {
                    b"x-test-pid": os.getpid(),
                    b"x-test-statements": statements.pop(CURRENT.get(), 0),
                }
                told = [(name, str(value).encode()) for name, value in own.items()]
                message = {**message, "headers": [*message["headers"], *told]}
            await send(message)

        app = self._members if scope["path"] == "/members" else self._app
        await app(scope, receive, answer)


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
    if "AUTHWARD_TEST_GRACEFUL" in os.environ:
        for module in (draining_module, server_module):
            vars(module)["GRACEFUL_S"] = int(os.environ["AUTHWARD_TEST_GRACEFUL"])
    event.listen(Engine, "before_cursor_execute", count)
    bare = app_module.Authward.asgi
    app_module.Authward.asgi = lambda auth: Around(bare(auth), auth.wrap(Members(auth)))  # type: ignore[assignment,method-assign]

if __name__ == "__main__":
    die_with_parent()
    from authward.cli import main

    main(prog_name="authward")
