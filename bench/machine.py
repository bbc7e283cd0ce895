"""What the machine offers: two cores to keep apart, wrk, Node."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

OURS = ("fastapi", "httptools", "joserfc", "cryptography", "msgspec", "starlette", "uvicorn")


class Missing(Exception):
    """Something is not there. The text says how to bring it."""


def cores() -> tuple[int, int]:
    """The core of the server and that of the load; one and the same where there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return 0, 0
    own = sorted(os.sched_getaffinity(0))
    return own[0], own[1 % len(own)]


def pinned(core: int) -> Callable[[], None] | None:
    """What keeps a child on `core`, to be its `preexec_fn`."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return lambda: os.sched_setaffinity(0, {core})


def program(name: str, package: str) -> str:
    """The path of a program. Raises Missing."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is missing; it comes with: apt-get install -y {package}")
    return found


def cache() -> Path:
    """Where the peers are installed: AUTHWARD_BENCH_CACHE, else in the user's cache folder."""
    named = os.environ.get("AUTHWARD_BENCH_CACHE")
    if named:
        return Path(named).absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "authward-bench"


def facts() -> dict[str, object]:
    """What a reader of the results wants to know, without names or paths."""
    return {
        "cores": os.cpu_count() or 1,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": {name: version(name) for name in ("authward", *OURS)},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
