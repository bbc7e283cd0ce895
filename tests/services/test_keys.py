"""Key rings from the store, and the file that holds the master secret."""

import itertools
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from authward.core.keys import Key, MasterSecret, State
from authward.errors import ConfigurationError
from authward.ports import StoredKey
from authward.services.keys import load_rings, make_secret_file, read_secret_file

MASTER = MasterSecret("8dXo2nqIp0Jv5cFh3mRzYw7LkTbQeUa1sGxNfWdC6yE")
OTHER = MasterSecret("t5GkQz2Wn8Vb0Ld7Xc4Rf1Hj6Ps9My3EaUiOqTwYvZo")


class Keys:
    """A store of keys."""

    def __init__(self) -> None:
        self.rows: list[StoredKey] = []

    async def add_first(self, keys: Sequence[StoredKey]) -> list[StoredKey]:
        there = {row.ring for row in self.rows}
        self.rows += [key for key in keys if key.ring not in there]
        return list(self.rows)

    def add(self, key: Key, master: MasterSecret = MASTER) -> None:
        sealed = master.seal(key, os.urandom(12))
        row = StoredKey(key.kid, key.ring, key.algorithm, key.state, sealed, key.created_at)
        self.rows.append(row)


_numbers = itertools.count(1)


def csrf_key(state: State, material: bytes) -> Key:
    return Key(f"csrf-key-{next(_numbers)}", "csrf", "HS256", state, material, 0)


async def test_first_keys_are_made_once_and_differ() -> None:
    store = Keys()
    rings = await load_rings(store, MASTER, os.urandom)
    again = await load_rings(store, MASTER, os.urandom)
    assert sorted(row.ring for row in store.rows) == ["access", "audit", "csrf", "refresh"]
    assert again.csrf == rings.csrf
    assert again.access.signing.kid == rings.access.signing.kid
    assert again.refresh.signing.kid == rings.refresh.signing.kid
    materials = {
        rings.access.signing.key.material,
        rings.refresh.signing.key.material,
        *rings.csrf,
        *(key.material for key in rings.audit),
    }
    assert len(materials) == 4
    assert all(len(material) == 32 for material in materials)


async def test_nothing_of_a_key_lies_in_the_store_in_clear() -> None:
    store = Keys()
    rings = await load_rings(store, MASTER, os.urandom)
    stored = b"".join(row.sealed for row in store.rows)
    assert rings.access.signing.key.material not in stored


async def test_another_secret_opens_nothing() -> None:
    store = Keys()
    await load_rings(store, MASTER, os.urandom)
    with pytest.raises(ConfigurationError, match="secret: does not open key"):
        await load_rings(store, OTHER, os.urandom)


async def test_the_signing_secret_comes_first_and_the_dead_not_at_all() -> None:
    store = Keys()
    materials = {state: os.urandom(32) for state in ("verifying", "signing", "pending", "retired")}
    for state, material in materials.items():
        store.add(csrf_key(state, material))  # type: ignore[arg-type]
    rings = await load_rings(store, MASTER, os.urandom)
    assert rings.csrf == (materials["signing"], materials["verifying"])


@pytest.mark.parametrize(
    ("states", "size", "told"),
    [
        (["verifying"], 32, "exactly one signing key"),
        (["signing", "signing"], 32, "exactly one signing key"),
        (["signing"], 16, "at least 32 bytes"),
    ],
)
async def test_a_bad_csrf_ring_stops_the_start(states: list[State], size: int, told: str) -> None:
    store = Keys()
    for state in states:
        store.add(csrf_key(state, os.urandom(size)))
    with pytest.raises(ConfigurationError, match=told):
        await load_rings(store, MASTER, os.urandom)


# --- the secret's file ----------------------------------------------------------------------


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
