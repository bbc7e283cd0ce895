"""The examples, served by uvicorn in a process beside the tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PAGE = "http://localhost:5173"
"""An allow-listed origin."""
PROTECTED = f"rate_limit=40/15m origins={PAGE}"
SERVED = (
    f"fastapi_app {PROTECTED}",
    f"starlette_app {PROTECTED}",
    f"bare_asgi {PROTECTED}",
    "one_protection",
    "websocket_app access_ttl=2s",
    "deny_by_default",
    "policies",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the databases of the examples lie."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def urls(folder: Path) -> Iterator[Mapping[str, str]]:
    """The address of each example."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("server.py"), *SERVED],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield json.loads(process.stdout.readline()) if process.stdout else {}
        finally:
            process.communicate()
    assert process.returncode == 0
