"""The code blocks of the documentation, and what it takes to do what they say."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import Result

from tests.cli.conftest import clean_environment, invoke

ROOT = Path(__file__).parents[1]


def examples(page: str) -> dict[str, str]:
    """The code blocks of a page, by heading and language: "Rotation sh", and "Rotation sh 2"."""
    found: dict[str, str] = {}
    heading, language, lines, seen = "", None, list[str](), Counter[str]()
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        fence = re.fullmatch(r"```(\w*)", line)
        if language is None:
            if fence is not None:
                language, lines = fence[1], []
            elif line.startswith("#"):
                heading = line.lstrip("# ")
        elif fence is not None:
            name = f"{heading} {language}"
            seen[name] += 1
            found[name if seen[name] == 1 else f"{name} {seen[name]}"] = "".join(lines)
            language = None
        else:
            lines.append(f"{line}\n")
    return found


def transcript(block: str) -> list[tuple[str, str]]:
    """Each line after a `$`, and what the page shows that it answers."""
    typed = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert typed[0] == ""
    return [(line, shown) for line, _, shown in (one.partition("\n") for one in typed[1:])]


def loose(text: str) -> list[str]:
    """The lines of an output without what differs from one day to the next: ids, times, counts."""
    for pattern, sign in (
        (r"\b[0-9a-f]{16,64}\b", "ID"),
        (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r"\b\d+[smhd]?\b", "N"),
        (r"[ \r\t]+", " "),
    ):
        text = re.sub(pattern, sign, text)
    return [line.rstrip() for line in text.splitlines()]


def shape(value: Any) -> Any:
    """What of a JSON value is the same each time: its fields in their order, types, and the forms
    of times and ids.
    """
    if isinstance(value, dict):
        return [(name, shape(one)) for name, one in value.items()]
    if isinstance(value, list):
        return [shape(one) for one in value]
    if not isinstance(value, str):
        return type(value).__name__
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value):
        return "time"
    return f"id of {len(value)}" if re.fullmatch(r"[\w-]{16,}", value) else "text"


# --- doing it -----------------------------------------------------------------------------


def do(line: str, *, code: int = 0, input: str | None = None) -> Result:
    """Run a line of the shell that is one command of ours, in this process and this folder."""
    program, *words = shlex.split(line, comments=True)
    assert program == "authward"
    return invoke("", *words, code=code, input=input)


def shell_environment(**settings: str) -> dict[str, str]:
    """A shell that finds `authward`, with these settings and no others."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    own = {f"AUTHWARD_{name}": value for name, value in settings.items()}
    return {**clean_environment(), "PATH": path, **own}


def at_terminal(line: str, folder: Path, answer: str) -> str:
    """What somebody sees at a terminal who types a line of the shell, and answers what it asks."""
    mine, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        ["sh", "-euc", line],
        cwd=folder,
        env=shell_environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        while True:
            try:
                part = os.read(mine, 4096)
            except OSError:  # Linux's way to say that the other end is closed
                part = b""
            if not part:
                break
            shown += part
            if shown.endswith(b"]: "):
                os.write(mine, f"{answer}\n".encode())
        os.close(mine)
    assert process.returncode == 0, shown
    return shown.decode()


@contextmanager
def served(script: str, folder: Path, **settings: str) -> Iterator[str]:
    """The address of the server that a script starts, on a free port. Its log is `server.log`."""
    log = folder / "server.log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            ["sh", "-euc", script],
            cwd=folder,
            env=shell_environment(PORT="0", **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
                if found:
                    yield found[0]
                    break
            else:
                raise AssertionError(f"no server: {log.read_text()}")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            # The shell may have made it a child, which has ended when nobody can write any more.
            process.stdout.read()
