"""Keeps one server process alive exactly as long as a test run.

    python keeper.py OWNER_PID FOLDER USER COMMAND…

Runs COMMAND as USER ("" is whoever we are). Stops it and removes FOLDER when told to by
SIGTERM, when the owner is gone however it went, or when the command ends by itself. This
file stands alone: it runs as a script, outside the test run.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


def as_user(user: str) -> dict[str, Any]:
    """The arguments that make subprocess drop to `user`."""
    if not user:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def keep(owner: int, folder: Path, user: str, command: list[str]) -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **as_user(user)
        )
    while server.poll() is None and alive(owner) and not told.wait(0.2):
        pass
    if server.poll() is None:
        # Immediate shutdown: nothing here is worth a checkpoint.
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)
    else:
        # It died by itself: leave the log to whoever waits for it, unless nobody does.
        while alive(owner) and not told.wait(0.2):
            pass
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
