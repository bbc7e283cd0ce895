"""Where an export goes: files, pipes, terminals, and what becomes of a half one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from authward.cli.output import output_to

from .conftest import PASSWORD, Run, clean_environment


@pytest.fixture
def told(run: Run, database: Path) -> Path:
    """A log of a few rows, and an export of last month."""
    run("users create --email ada@example.com --password-stdin", input=PASSWORD)
    (database / "log.jsonl").write_text("last month's\n", encoding="utf-8")
    return database


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".authward-export-*"))


def of_last_month(folder: Path) -> bool:
    return (folder / "log.jsonl").read_text(encoding="utf-8") == "last month's\n"


class TestHalfAnExport:
    def test_that_fails_leaves_what_was_there(
        self, run: Run, told: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(row: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("authward.cli.audit.writer_of", lambda form, file: full)
        failed = run("audit export -o log.jsonl", code=1)
        assert "Error: -o log.jsonl: No space left on device\n" in failed.stderr
        assert of_last_month(told)
        assert not parts(told)

    def stopped_by(self, folder: Path, signum: signal.Signals) -> int:
        """How a process ends that gets a signal after the first row."""
        program = (
            "import signal, authward.cli.audit as audit; from authward.cli import main;"
            # A shell that starts us in the background has it ignored.
            "signal.signal(signal.SIGINT, signal.default_int_handler);"
            f"stop = lambda row: signal.raise_signal({int(signum)});"
            "audit.writer_of = lambda form, file: stop; main()"
        )
        command = [sys.executable, "-c", program, "audit", "export", "-o", "log.jsonl"]
        return subprocess.run(
            command, cwd=folder, env=clean_environment(), check=False, timeout=60
        ).returncode

    def test_that_is_interrupted_leaves_what_was_there(self, told: Path) -> None:
        assert self.stopped_by(told, signal.SIGINT) == 1
        assert of_last_month(told)
        assert not parts(told)

    def test_that_is_killed_leaves_what_was_there(self, told: Path) -> None:
        assert self.stopped_by(told, signal.SIGKILL) == -signal.SIGKILL
        assert of_last_month(told)
        assert len(parts(told)) == 1


class TestStreams:
    def exported(self, folder: Path, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m authward audit export {line}"],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @pytest.mark.parametrize(
        "line",
        ["-o -", "-o /dev/stdout", "-o /dev/stdout | cat", "-o /dev/fd/1 | cat"],
    )
    def test_standard_output(self, told: Path, line: str) -> None:
        done = self.exported(told, line)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 2

    def test_standard_output_into_a_file(self, told: Path) -> None:
        assert self.exported(told, "-o /dev/stdout > into.jsonl").returncode == 0
        assert len((told / "into.jsonl").read_text(encoding="utf-8").splitlines()) == 2

    def test_another_descriptor(self, told: Path) -> None:
        done = self.exported(told, "-o /dev/fd/3 3>&1 | cat")
        assert len(done.stdout.splitlines()) == 2
        refused = self.exported(told, "-o /dev/fd/3 3> into.jsonl")
        assert "-o /dev/fd/3: is a link" in refused.stderr

    def test_a_pipe_with_a_name(self, told: Path) -> None:
        os.mkfifo(told / "pipe")
        done = self.exported(told, "-o pipe & cat pipe; wait $!")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)

    def test_a_terminal(self) -> None:
        ours, theirs = os.openpty()
        name = os.ttyname(theirs)
        with output_to(name) as file:
            file.write("a row\n")
        assert os.read(ours, 100) == b"a row\r\n"
        os.close(ours)
        os.close(theirs)

    def test_a_pipe_whose_reader_had_enough(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

        def export() -> None:
            with output_to(str(path)) as file:
                os.close(reader)
                file.write("a row\n")

        # click ends quietly for that.
        with pytest.raises(BrokenPipeError):
            export()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (".", "is neither a file nor a pipe nor a terminal"),
        ("nowhere/log.jsonl", "no file can be made beside it: No such file or directory"),
        ("log.jsonl/x", "Not a directory"),
        ("loop/x", "Too many levels of symbolic links"),
    ],
)
def test_what_cannot_be_written_says_why(folder: Path, path: str, why: str) -> None:
    (folder / "log.jsonl").write_text("", encoding="utf-8")
    (folder / "loop").symlink_to("loop")
    with pytest.raises(click.ClickException, match=f"^-o {path}: {why}$"), output_to(path):
        pytest.fail("there is no such file")
