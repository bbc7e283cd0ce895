"""Somebody on the same machine lays something under the name that the audit log will be exported
to: a file of theirs that they may read, a link to a file of ours, a pipe of theirs (CWE-59,
CWE-732; OWASP ASVS 14.2). They must read nothing, and nothing of ours be overwritten.
"""

import os
import stat
from pathlib import Path

import click
import pytest

from authward.cli.output import output_to

SAID = "203.0.113.7 a browser\n"


def export_to(path: Path) -> None:
    with output_to(str(path)) as file:
        file.write(SAID)


def test_a_file_of_theirs(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("theirs", encoding="utf-8")
    path.chmod(0o666)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    beside = tmp_path / "beside"
    os.link(path, beside)
    with path.open(encoding="utf-8") as theirs:
        export_to(path)
        assert theirs.read() == "theirs"
    assert beside.read_text(encoding="utf-8") == "theirs"
    found = path.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (os.geteuid(), 0o600)
    assert path.read_text(encoding="utf-8") == SAID


def test_a_file_that_is_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("", encoding="utf-8")
    with path.open(encoding="utf-8") as theirs, output_to(str(path)) as file:
        file.write(SAID)
        file.flush()
        [part] = set(tmp_path.iterdir()) - {path}
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        assert theirs.read() == path.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("target", ["ours.conf", "missing", "pipe", "/dev/null", "audit.jsonl"])
def test_a_link(tmp_path: Path, target: str) -> None:
    ours = tmp_path / "ours.conf"
    ours.write_text("of another service", encoding="utf-8")
    ours.chmod(0o644)
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "audit.jsonl"
    path.symlink_to(tmp_path / target)
    before = set(tmp_path.iterdir())
    with pytest.raises(click.ClickException, match=r"-o .*audit\.jsonl: "):
        export_to(path)
    assert set(tmp_path.iterdir()) == before
    assert path.is_symlink()
    assert ours.read_text(encoding="utf-8") == "of another service"
    assert stat.S_IMODE(ours.stat().st_mode) == 0o644


def test_a_link_that_comes_while_it_is_written(tmp_path: Path) -> None:
    ours, path = tmp_path / "ours.conf", tmp_path / "audit.jsonl"
    ours.write_text("of another service", encoding="utf-8")
    with output_to(str(path)) as file:
        file.write(SAID)
        path.symlink_to(ours)
    assert ours.read_text(encoding="utf-8") == "of another service"
    assert not path.is_symlink()
    assert path.read_text(encoding="utf-8") == SAID


def test_a_pipe_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(click.ClickException, match="a pipe of another user"):
        export_to(path)  # nor does it wait for whoever reads there


def test_a_pipe_that_theirs_takes_the_place_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    us = os.geteuid()
    owners = iter([us, us + 1])
    monkeypatch.setattr(os, "geteuid", lambda: next(owners))
    with pytest.raises(click.ClickException, match="a pipe of another user"):
        export_to(path)
    assert os.read(reader, 100) == b""
    os.close(reader)
