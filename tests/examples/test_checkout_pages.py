"""What the pages for those who work on a checkout name is there: files, targets, rows, options."""

import os
import re
import shlex
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from uvicorn.main import main as uvicorn_command

import authward
from authward.uvicorn import Http
from bench import run, variants
from tests.needs import require
from tests.pages import ROOT, examples

ARCHITECTURE = examples("docs/architecture.md")
CONTRIBUTING = examples("CONTRIBUTING.md")
PERFORMANCE = examples("docs/performance.md")
PACKAGE = Path(authward.__file__).parent


def first_cells(page: str, head: str) -> list[str]:
    """The code in the first column of the table of a page that begins with this head."""
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = text.partition(f"\n| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def targets() -> dict[str, bool]:
    """Those of the Makefile, and whether `make help` lists them."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {
        name: "##" in rest for name, rest in re.findall(r"^([a-z][\w-]*):(.*)$", text, re.MULTILINE)
    }


# --- architecture -----------------------------------------------------------------------------


def test_each_module_is_on_its_floor() -> None:
    named = [
        name
        for line in ARCHITECTURE["Floors "].splitlines()
        for name in re.findall(r"[a-z]+(?:\.py\b|/)", line[:38])  # what they are for begins there
    ]
    there = {
        f"{one.name}/" if one.is_dir() else one.name
        for one in PACKAGE.iterdir()
        if one.is_dir() or one.suffix == ".py"
    }
    assert len(named) == len({*named})
    assert {*named} == there - {"__init__.py", "__main__.py", "__pycache__/"}


# --- contributing -----------------------------------------------------------------------------


def test_the_targets_of_make() -> None:
    block = CONTRIBUTING["Contributing sh"]
    shown = re.findall(r"^make ([\w-]+)", block, re.MULTILINE)
    listed = [name.split()[1] for name in first_cells("CONTRIBUTING.md", "command")]
    assert len(shown) == len(block.splitlines())
    assert {*shown, *listed} <= {name for name, told in targets().items() if told}


# --- performance ------------------------------------------------------------------------------


def made(line: str) -> list[str]:
    """The last command that a line with `make` would run."""
    require("make", "apt-get install make", found=shutil.which("make"))
    words = shlex.split(line, comments=True)
    assert words[0] == "make"
    # By itself, also where these tests were started by make, which hands its variables on.
    env = {"PATH": os.environ["PATH"]}
    command = ["make", "-n", "--no-print-directory", *words[1:]]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60
    )
    return shlex.split(done.stdout.splitlines()[-1])


def test_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    everything, some = PERFORMANCE["Measure it yourself sh"].splitlines()
    for line, rows, seconds in ((everything, [*run.ROWS], 5), (some, ["fastapi", "limiter"], 2)):
        python, *words = made(line)
        assert [python, *words[:2]] == [".venv/bin/python", "-m", "bench.run"]
        monkeypatch.setattr("sys.argv", words[1:])
        options = run._options()
        assert (options.rows, options.seconds, options.rounds) == (rows, seconds, 3)


def test_the_options_of_a_measurement(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--help"])
    with pytest.raises(SystemExit):
        run._options()
    told = {*re.findall(r"--\w+", capsys.readouterr().out)} - {"--help"}
    assert {*first_cells("docs/performance.md", "option")} == told


def test_the_rows_and_servers() -> None:
    assert first_cells("docs/performance.md", "row") == [*run.ROWS]
    assert {*first_cells("docs/performance.md", "server")} == {*variants.VARIANTS}
    modules = [import_module(f"bench.rows.{row}") for row in run.ROWS]
    measured = {name for module in modules for name in module.VARIANTS}
    assert measured == {*variants.VARIANTS}


def test_serving_fast() -> None:
    program, *words = shlex.split(PERFORMANCE["Serving your app fast sh"])
    assert program == "uvicorn"
    told = uvicorn_command.make_context(program, words).params
    assert told["app"] == "app:app"
    config = uvicorn.Config(Starlette(), http=told["http"], access_log=told["access_log"])
    config.load()
    assert config.http_protocol_class is Http
    assert config.access_log is False
