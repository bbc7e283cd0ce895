"""The file that holds the master secret."""

import os
import stat
import threading
from pathlib import Path

import pytest

from authward.core.keys import MasterSecret
from authward.errors import ConfigurationError
from authward.services.secrets import make_secret_file, read_secret_file


def test_a_file_is_made_once_for_our_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = make_secret_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_secret_file(path) == read_secret_file(path) == secret
    MasterSecret(secret)
    assert list(tmp_path.iterdir()) == [path]


def test_of_twenty_makers_at_once_one_wins(tmp_path: Path) -> None:
    together = threading.Barrier(20)
    secrets: list[str] = []

    def make() -> None:
        together.wait()
        secrets.append(make_secret_file(tmp_path / "secret"))

    threads = [threading.Thread(target=make) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 20
    assert len(set(secrets)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_the_loser_takes_what_the_winner_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    link = os.link

    def beaten(source: Path, target: Path) -> None:
        path.write_text("the winner's\n")
        path.chmod(0o600)
        link(source, target)

    monkeypatch.setattr(os, "link", beaten)
    assert make_secret_file(path) == "the winner's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        make_secret_file(tmp_path / "missing" / "secret")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    make_secret_file(path)
    path.chmod(mode)
    for read in (read_secret_file, make_secret_file):
        with pytest.raises(ConfigurationError, match=f"chmod 600 {path}"):
            read(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_secret_file(tmp_path / "missing")
    path = tmp_path / "secret"
    path.write_bytes(b"\xff\xfe\x00")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_secret_file(path)


def test_modes_mean_nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text("text\n")
    path.chmod(0o644)
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        assert read_secret_file(path) == "text"
