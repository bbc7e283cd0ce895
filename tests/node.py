"""Node, and the packages of a folder, if this machine has them."""

import subprocess
from pathlib import Path
from shutil import which

from tests.needs import require

ROOT = Path(__file__).parents[1]


def node() -> str:
    """The path of a Node that is new enough."""
    found = require("Node", "apt-get install nodejs", found=which("node"))
    asked = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    major = int(asked.stdout.strip().removeprefix("v").partition(".")[0])
    return require(
        "Node 20 or newer", "apt-get install nodejs", found=found if major >= 20 else None
    )


def packages(folder: Path) -> Path:
    """The folder, if what its package.json names is installed in it."""
    name = folder.relative_to(ROOT)
    there = (folder / "node_modules").is_dir()
    return require(
        f"the packages of {name}", f"npm ci --prefix {name}", found=folder if there else None
    )
