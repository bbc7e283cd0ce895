"""What click refuses before a command runs: in words, or with `--json` as an object."""

from pathlib import Path

import click
import pytest

from authward.cli import main

from .conftest import Run, said


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("roles grant editor", "Missing argument 'PERMISSION...'"),
        ("why x", "Missing argument 'PERMISSION'"),
        ("users set-role --role user", "Name the account with --email or with --id."),
        ("users list --limit 0", "Invalid value for '--limit'"),
        ("users list --nonsense", "No such option"),
        ("nonsense", "No such command 'nonsense'"),
        ("users delete --id abcdefgh", "Say --yes."),
        ("routes --update", "Name it"),
    ],
)
def test_wrong_usage(run: Run, folder: Path, line: str, text: str) -> None:
    plain = run(line, code=2)
    assert plain.stdout == ""
    assert text in plain.stderr
    answer = run(f"{line} --json", code=2)
    told = said(answer)
    assert told.keys() == {"error", "message"}
    assert told["error"] == "wrong_usage"
    assert text in told["message"]
    assert answer.stderr == ""


def test_an_option_that_is_not_there(run: Run, folder: Path) -> None:
    """Also where it comes first, and `--json` itself is the one."""
    assert said(run("users --json list", code=2))["error"] == "wrong_usage"
    assert said(run("--json", code=2))["error"] == "wrong_usage"


def test_what_is_broken_off(run: Run, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.cli.users.someone_there", lambda: True)
    line = "users delete --email root@example.com"
    assert "Aborted" in run(line, input="n\n", code=1).stderr
    answer = run(f"{line} --json", input="n\n", code=1)
    assert said(answer) == {"error": "aborted", "message": "Aborted"}


def test_help_is_no_failure(run: Run, folder: Path) -> None:
    assert run("users list --json --help").stdout.startswith("Usage: ")
    assert run("users list --help --json").stdout.startswith("Usage: ")


def test_programs_that_call_it_get_exceptions(folder: Path) -> None:
    """As click says of `standalone_mode`."""
    with pytest.raises(click.UsageError):
        main(["why", "x", "--json"], standalone_mode=False)
