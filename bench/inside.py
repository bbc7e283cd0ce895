"""What is measured within one process: a module of `bench.within`, run on the server's core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.machine import cores, pinned
from bench.serving import IMPORTS, Broken


def run(module: str, *arguments: str, also: Path | None = None) -> Any:
    """What the module prints as JSON. `also` is a folder of packages to be found after our own."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PYTHONPATH"] = IMPORTS
    if also is not None:
        environment["BENCH_PACKAGES"] = str(also)
    done = subprocess.run(
        [sys.executable, "-m", f"bench.within.{module}", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        preexec_fn=pinned(cores()[0]),
    )
    if done.returncode:
        raise Broken(f"bench.within.{module} failed")
    return json.loads(done.stdout)
