"""The browser module: its own tests under Node's runner, and its types under tsc."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.needs import require
from tests.node import node

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CLIENT = ROOT / "clients" / "js"


def run(*command: str | Path) -> str:
    # Under another runner's environment Node's would answer in a form of its own.
    env = {key: value for key, value in os.environ.items() if key != "NODE_TEST_CONTEXT"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = done.stdout + done.stderr
    if done.returncode:
        pytest.fail(told, pytrace=False)
    return told


def test_its_own_tests_pass() -> None:
    tests = sorted(HERE.glob("*.test.mjs"))
    told = run(node(), "--test", "--test-reporter=tap", *tests)
    passed = re.search(r"^# pass (\d+)$", told, re.MULTILINE)
    assert passed, told
    assert int(passed[1]) > 50, told
    assert re.search(r"^# skipped 0$", told, re.MULTILINE), told


def test_its_types_hold() -> None:
    installed = CLIENT / "node_modules" / ".bin" / "tsc"
    tsc = require(
        "tsc",
        "npm ci --prefix clients/js",
        found=installed if installed.exists() else None,
    )
    node()
    run(tsc, "-p", CLIENT)


def test_it_depends_on_nothing_and_stores_nothing() -> None:
    source = (CLIENT / "authward.js").read_text()
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    assert not re.search(r"^\s*import\b|\bimport\(|\brequire\(", code, re.MULTILINE)
    assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", code)
