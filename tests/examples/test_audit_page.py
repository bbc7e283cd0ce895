"""What docs/audit.md shows is what the log of a server and `authward audit verify` say."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import be_in
from tests.pages import do, examples, loose, served, transcript
from tests.serving import register

pytestmark = [pytest.mark.xdist_group("audit-page"), pytest.mark.timeout(300)]

PAGE = examples("docs/audit.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a server runs whose log can be verified."""
    folder = tmp_path_factory.mktemp("audit")
    with served("exec authward serve", folder, LOG_FORMAT="json") as url:
        with httpx2.Client(base_url=url) as client:
            register(client)
        yield folder


def test_the_line_in_the_log(folder: Path) -> None:
    shown = json.loads(PAGE["Proof json"])
    lines = (folder / "server.log").read_text(encoding="utf-8").splitlines()
    told = next(entry for entry in map(json.loads, lines) if entry["message"] == "checkpoint")
    assert [*told] == [*shown]
    own = dict.fromkeys(("time", "number", "hash", "mac"))
    assert {**told, **own} == {**shown, **own}
    assert len(told["time"]) == len(shown["time"])
    assert isinstance(shown["number"], int)


def test_verifying(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_in(folder, monkeypatch)
    [(line, shown)] = transcript(PAGE["Proof console"])
    honest = do(line)
    assert "rows in" in honest.stdout
    assert honest.stderr == ""  # without an anchor it says what that leaves open
    with closing(sqlite3.connect("authward.db")) as database:
        database.execute("UPDATE audit_events SET kind = 'user.renamed' WHERE id = 1")
        database.commit()
    assert loose(do(line, code=1).output) == loose(shown)
