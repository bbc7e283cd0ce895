"""The packages of others, installed on demand outside of the tree, each set by itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.machine import Missing, cache, program

PEERS = Path(__file__).parent / "peers"
_EXPRESS = ("package.json", "package-lock.json", ".npmrc", "app.mjs")


def python(name: str) -> Path:
    """The interpreter of an environment with `requirements-<name>.txt`. Raises Missing."""
    requirements = PEERS / f"requirements-{name}.txt"
    folder = _folder(name, requirements.read_bytes() + sys.version.encode())
    found = folder / "bin" / "python"
    if (folder / ".ready").exists():
        return found
    print(f"bench: installing {name}", file=sys.stderr)
    uv = Path(sys.executable).with_name("uv")
    _run(name, [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    install = [str(uv), "pip", "install", "--quiet", "--python", str(found)]
    _run(name, [*install, "-r", str(requirements)])
    (folder / ".ready").touch()
    return found


def packages(name: str) -> Path:
    """The folder with the packages of that environment."""
    [found] = python(name).parent.parent.glob("lib/python*/site-packages")
    return found


def express() -> tuple[str, Path]:
    """Node, and the app to give it. Raises Missing."""
    node, npm = program("node", "nodejs"), program("npm", "npm")
    sources = [PEERS / "express" / name for name in _EXPRESS]
    folder = _folder("express", b"".join(source.read_bytes() for source in sources))
    if not (folder / ".ready").exists():
        print("bench: installing express", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, folder)
        install = [npm, "ci", "--silent", "--no-audit", "--no-fund", "--omit=dev"]
        _run("express", install, cwd=folder)
        (folder / ".ready").touch()
    return node, folder / "app.mjs"


def _folder(name: str, content: bytes) -> Path:
    return cache() / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"


def _run(name: str, command: list[str], cwd: Path | None = None) -> None:
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"{name} cannot be installed: {done.stderr.strip()[-2000:]}")
