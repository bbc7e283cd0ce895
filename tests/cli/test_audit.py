"""`authward audit`, in process, over a real database."""

import csv
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from authward.core.chain_proof import HeldUp
from authward.core.text import printable
from authward.stores.checkpoints import SqlChains

from .conftest import PASSWORD, Run, clean_environment, said


@pytest.fixture
def told(run: Run, database: Path) -> Path:
    """A log of a few rows."""
    run("users create --email ada@example.com --password-stdin", input=PASSWORD)
    run("users set-role --email ada@example.com --role moderator")
    run("users disable --email ada@example.com")
    return database


def edit(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "authward.db")
    with connection:
        connection.execute(statement)
    connection.close()


def test_the_latest_rows(run: Run, told: Path) -> None:
    lines = run("audit tail").stdout.splitlines()
    assert [line.split()[1] for line in lines] == [
        *("user.created", "user.created", "user.role_set", "user.disabled")
    ]
    assert "role=moderator" in lines[2]
    assert len(run("audit tail -n 1").stdout.splitlines()) == 1
    assert run("audit tail -n 0").stdout == ""
    rows = [json.loads(line) for line in run("audit tail --json").stdout.splitlines()]
    assert [row["kind"] for row in rows][-1] == "user.disabled"


@pytest.mark.parametrize("form", ["tail", "tail --json", "export", "export --format csv"])
def test_a_row_that_somebody_edited_keeps_none_from_being_shown(
    run: Run, told: Path, form: str
) -> None:
    before = run(f"audit {form}").stdout.splitlines()
    edit(told, "UPDATE audit_events SET at = 1 << 60, detail = '{' WHERE kind = 'user.role_set'")
    after = run(f"audit {form}").stdout.splitlines()
    shown = [line for line in after if "user.role_set" not in line]
    assert sorted(shown) == sorted(line for line in before if "user.role_set" not in line)
    [edited] = [line for line in after if "user.role_set" in line]
    assert "9999-12-31" in edited
    assert "unreadable" in edited
    assert "The first: row" in run("audit verify", code=1).output


@pytest.mark.parametrize("form", ["tail", "tail --json", "export", "export --format csv"])
def test_a_row_that_somebody_edited_drives_no_terminal(run: Run, told: Path, form: str) -> None:
    evil = "'a' || char(27, 155, 13, 8238) || 'z'"
    values = f"user_agent = {evil}, subject = {evil}, detail = json_object({evil}, {evil})"
    edit(told, f"UPDATE audit_events SET {values} WHERE kind = 'user.role_set'")
    shown = run(f"audit {form}").stdout
    assert printable(shown.replace("\n", ""), len(shown)) == shown.replace("\n", "")
    assert r"a\x1b\x9b\x0d\x202ez" in shown.replace(r"\\", "\\")


def test_rows_are_narrowed(run: Run, told: Path) -> None:
    def kinds(*words: str) -> list[str]:
        lines = run("audit tail --json", *words).stdout.splitlines()
        return [json.loads(line)["kind"] for line in lines]

    assert kinds("--user", "ada@example.com", "--kind", "user.role_set") == ["user.role_set"]
    ada = json.loads(run("audit tail --json -n 1").stdout)["subject"]
    assert len(kinds("--user", ada)) == 3
    assert kinds("--user", "gone-0001") == []
    assert kinds("--ip", "192.0.2.1") == []
    assert kinds("--since", "1h") == kinds("--until", "2100-01-01T00:00:00Z") == kinds()
    assert kinds("--until", "1h") == []


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("tail --since yesterday", 2, "--since: 'yesterday' is no time with a zone"),
        ("tail --until 2026-01-31", 2, "--until: '2026-01-31' is no time with a zone"),
        ("tail --user eve@example.com", 1, "no account has the address eve@example.com"),
        ("export --json", 2, "needs -o FILE"),
        ("erase somebody", 2, "Say --yes"),
        ("prune --before 1d", 2, "Say --yes"),
        ("prune --yes", 2, "--before"),
    ],
)
def test_what_cannot_be_meant_says_why(
    run: Run, database: Path, line: str, code: int, text: str
) -> None:
    assert text in run(f"audit {line}", code=code).output


def test_an_export_is_whole(run: Run, told: Path) -> None:
    lines = run("audit export").stdout.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    assert [row["kind"] for row in rows][-1] == "user.disabled"
    assert len(rows) == 4
    assert said(run("audit export --format csv -o log.csv --json")) == {"exported": 4}
    table = list(csv.DictReader(io.StringIO((told / "log.csv").read_text(encoding="utf-8"))))
    assert [one["kind"] for one in table] == [row["kind"] for row in rows]
    assert json.loads(table[2]["detail"]) == rows[2]["detail"]
    told_of = run("audit export --kind user.disabled -o log.jsonl").stderr
    assert told_of == "Exported 1 rows\n"


def test_an_export_is_for_ones_own_eyes(run: Run, told: Path) -> None:
    """Rows hold addresses and user agents (CWE-732)."""
    before = os.umask(0o022)
    try:
        run("audit export -o new.jsonl")
        (told / "old.jsonl").write_text("of before\n" * 1000, encoding="utf-8")
        (told / "old.jsonl").chmod(0o644)
        run("audit export -o old.jsonl")
    finally:
        os.umask(before)
    new, old = told / "new.jsonl", told / "old.jsonl"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (new, old)] == [0o600, 0o600]
    assert len(new.read_text(encoding="utf-8").splitlines()) == 4
    assert "of before" not in old.read_text(encoding="utf-8")
    run("audit export -o /dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert stat.S_IMODE(Path("/dev/null").stat().st_mode) & 0o006
    refused = run("audit export -o nowhere/log.jsonl", code=1)
    assert "nowhere/log.jsonl" in refused.output
    run("audit export --user eve@example.com -o never.jsonl", code=1)
    assert not (told / "never.jsonl").exists()


def test_progress_is_told(run: Run, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.cli.progress.EVERY", 2)
    assert "exported 4\n" in run("audit export -o log.jsonl").stderr
    assert "verified 4 of 4\n" in run("audit verify").stderr
    assert "pruned 1\n" not in run("audit prune --before 0s --yes").stderr


def test_an_honest_log_verifies(run: Run, told: Path) -> None:
    done = run("audit verify")
    assert done.stdout == "4 rows in 4 chains verify\n"
    assert "--anchor" in done.stderr
    found = said(run("audit verify --json"))
    assert (found["holds"], found["rows"], found["bad"], found["first"]) == (True, 4, 0, None)
    assert found["last"]["number"] == found["checkpoints"]


def test_an_edit_is_named(run: Run, told: Path) -> None:
    edit(told, 'UPDATE audit_events SET detail = \'{"role": "user"}\' WHERE id = 3')
    done = run("audit verify", code=1)
    assert "row 3 was edited" in done.stderr
    assert done.stdout == "The log was tampered with, in 1 places. The first: row 3 was edited\n"
    found = said(run("audit verify --json", code=1))
    assert found["first"] == {"row": 3, "why": "was edited"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET kind = CAST(x'ff' AS TEXT) WHERE id = 3",
        "UPDATE audit_writers SET kid = CAST(x'ff' AS TEXT)",
        "UPDATE audit_checkpoints SET body = CAST(x'ff' AS TEXT)",
    ],
)
def test_text_that_is_none_is_no_crash(run: Run, told: Path, statement: str) -> None:
    edit(told, statement)
    assert not said(run("audit verify --json", code=1))["holds"]


def test_an_anchor_tells_what_was_rolled_back(run: Run, told: Path) -> None:
    edit(told, "CREATE TABLE kept AS SELECT * FROM audit_checkpoints")
    run("users enable --email ada@example.com")
    anchor = Path("anchor.log")
    # A command leaves checkpoints to the servers: one in no log is no anchor.
    assert said(run("audit verify --json"))["checkpoints"] == 1
    anchor.write_text(run("audit checkpoint").stdout, encoding="utf-8")
    # Nothing happened since: that one is the anchor still.
    assert run("audit checkpoint").output == anchor.read_text(encoding="utf-8")
    assert run("audit checkpoint --json").output == anchor.read_text(encoding="utf-8")
    last = said(run("audit verify --json"))["last"]
    done = run("audit verify --anchor anchor.log")
    assert "Without" not in done.output
    # As it was before: the row, its chain and its checkpoint are gone, and all the rest is true.
    edit(told, "DELETE FROM audit_writers WHERE writer = (SELECT writer FROM audit_events"
               " ORDER BY id DESC LIMIT 1)")  # fmt: skip
    edit(told, "DELETE FROM audit_events WHERE id = (SELECT max(id) FROM audit_events)")
    edit(told, f"DELETE FROM audit_checkpoints WHERE number >= {last['number']}")
    assert said(run("audit verify --json"))["holds"]
    lost = run("audit verify --anchor anchor.log", code=1)
    assert f"checkpoint {last['number']}, which the anchor names, is missing" in lost.stderr
    unsigned = {"time": "", "kind": "checkpoint", "number": 1, "hash": "0" * 64}
    Path("forged.log").write_text(json.dumps(unsigned) + "\n", encoding="utf-8")
    for name, told_of in (("authward.db", "0 checkpoints"), ("forged.log", "1 checkpoint")):
        refused = run(f"audit verify --anchor {name}", code=2).output
        assert "no checkpoint is told of there that is signed" in refused
        assert f"and {told_of} without" in refused


def test_what_others_wrote_into_the_log_is_no_anchor(run: Run, told: Path) -> None:
    """A client may begin an entry of an app's log: that must not look like a rollback."""
    line = json.loads(run("audit checkpoint").stdout)
    others = [{**line, "number": 9}, {**line, "hash": "0" * 64}, {**line, "mac": "0" * 64}]
    text = "".join(f"authward.audit{json.dumps(one)}\n" for one in (*others, line))
    Path("anchor.log").write_text(text, encoding="utf-8")
    done = run("audit verify --anchor anchor.log")
    assert "--anchor: 3 checkpoints ignored, not signed with our key" in done.stderr
    proof = said(run("audit verify --anchor anchor.log --json"))
    assert (proof["holds"], proof["anchors"], proof["anchorsIgnored"]) == (True, 1, 3)


def test_a_checkpoint_is_an_anchor(run: Run, told: Path) -> None:
    edit(told, "UPDATE audit_writers SET marked = 0")
    made = said(run("audit checkpoint"))
    assert made["kind"] == "checkpoint"


def test_rows_that_are_older_than_the_chains(run: Run, database: Path) -> None:
    edit(database, "DELETE FROM audit_checkpoints")
    edit(database, "DELETE FROM audit_writers")
    columns = ("writer", "seq", "after", "hash", "who_salt", "who_digest", "what_salt")
    nothing = ", ".join(f"{name} = NULL" for name in (*columns, "what_digest"))
    edit(database, f"UPDATE audit_events SET {nothing}")
    assert "1 rows are older than the chains" in run("audit verify").stderr


def test_a_person_is_erased(run: Run, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = json.loads(run("audit tail --json -n 1").stdout)["subject"]
    assert said(run("audit erase ada@example.com --yes --json")) == {"erased": 3, "left": []}
    assert ada not in run("audit export").output
    assert run("audit erase --yes --", ada).stdout == "Erased from 0 rows\n"
    assert said(run("audit verify --json"))["holds"]
    run("users create --email eve@example.com --password-stdin", input=PASSWORD)
    eve = json.loads(run("audit tail --json -n 1").stdout)["subject"]
    edit(told, "DELETE FROM audit_writers")
    broken = run("audit erase eve@example.com --yes", code=1)
    assert broken.stdout == "Erased from 0 rows\n"
    assert "is left: it was edited, or its chain has no head that we signed." in broken.stderr
    assert len(said(run("audit erase --yes --json --", eve, code=1))["left"]) == 1
    monkeypatch.setattr("authward.cli.audit.someone_there", lambda: True)
    assert run("audit erase --", ada, input="n\n", code=1).exit_code == 1


async def held_up(chains: SqlChains, before: int) -> HeldUp:
    return HeldUp(2, 7)


def test_old_rows_are_pruned(run: Run, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = said(run("audit prune --before 2020-01-31T12:00:00Z --yes --json"))
    assert nothing == {
        "matched": 0,
        "before": "2020-01-31T12:00:00.000Z",
        "pruned": 0,
        "problem": None,
        "anchor": None,
        "heldUp": None,
    }
    with monkeypatch.context() as patch:
        # Rows of one chain are many where one process wrote them: see the tests of chains.
        patch.setattr(SqlChains, "held_up", held_up)
        held = run("audit prune --before 2020-01-31T12:00:00Z --yes")
        assert "2 rows of that time stay: row 7 comes before some of them" in held.stderr
        held = run("audit prune --before 2020-01-31T12:00:00Z --yes --json")
        assert said(held)["heldUp"] == {"rows": 2, "behind": 7}
    edit(told, "UPDATE audit_events SET kind = 'x' WHERE id = 2")
    broken = run("audit prune --before 2100-01-01T00:00:00Z --yes", code=1)
    assert "It ended there: row 2 was edited" in broken.stderr
    problem = said(run("audit prune --before 2100-01-01T00:00:00Z --yes --json", code=1))["problem"]
    assert problem == {"row": 2, "why": "was edited"}
    edit(told, "UPDATE audit_events SET kind = 'user.created' WHERE id = 2")
    monkeypatch.setattr("authward.cli.prune.someone_there", lambda: True)
    assert "Aborted" in run("audit prune --before 0s", input="n\n", code=1).output
    pruned = run("audit prune --before 2100-01-01T00:00:00Z", input="y\n").stdout
    assert "rows\n" in pruned
    Path("anchor.log").write_text(pruned, encoding="utf-8")
    assert said(run("audit verify --json --anchor anchor.log"))["anchors"] == 1
    pruned = said(run("audit prune --before 2100-01-01T00:00:00Z --yes --json"))
    last = said(run("audit verify --json"))["last"]
    assert {name: pruned["anchor"][name] for name in last} == last
    Path("anchor.log").write_text(json.dumps(pruned["anchor"]), encoding="utf-8")
    assert said(run("audit verify --json --anchor anchor.log"))["anchors"] == 1
    kinds = [json.loads(line)["kind"] for line in run("audit tail --json").stdout.splitlines()]
    assert set(kinds) == {"audit.pruned"}
    assert said(run("audit verify --json"))["holds"]


def test_how_many_would_be_pruned_is_told_first(
    run: Run, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    would = "4 rows from before 2100-01-01T00:00:00.000Z would be deleted, as far as they verify."
    dry = run("audit prune --before 2100-01-01T00:00:00Z --dry-run")
    assert (dry.stdout, dry.stderr) == (f"{would}\n", "")
    found = said(run("audit prune --before 2100-01-01T00:00:00Z --dry-run --yes --json"))
    assert (found["matched"], found["pruned"], found["anchor"]) == (4, 0, None)
    refused = run("audit prune --before 2100-01-01T00:00:00Z", code=2)
    assert "Say --yes, or --dry-run." in refused.output
    monkeypatch.setattr("authward.cli.prune.someone_there", lambda: True)
    asked = run("audit prune --before 2100-01-01T00:00:00Z", input="n\n", code=1)
    assert asked.stdout == f"{would}\n"
    assert "Delete them?" in asked.stderr
    asked = run("audit prune --before 2100-01-01T00:00:00Z --json", input="n\n", code=1)
    assert would in asked.stderr
    assert len(run("audit export").stdout.splitlines()) == 4
    nothing = run("audit prune --before 2020-01-31T12:00:00Z")
    assert nothing.output.startswith("0 rows from before 2020-01-31T12:00:00.000Z")
    assert "Delete" not in nothing.output
    edit(told, "DELETE FROM audit_events WHERE id > 1")
    alone = run("audit prune --before 2100-01-01T00:00:00Z --yes")
    assert alone.stdout.startswith("1 row from before")
    assert "Deleted 1 row\n" in alone.stdout


def test_what_comes_is_followed(run: Run, told: Path) -> None:
    command = [sys.executable, "-m", "authward", "audit", "tail", "-f", "-n", "1", "--json"]
    process = subprocess.Popen(
        command, cwd=told, env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["kind"] == "user.disabled"
            run("users enable --email ada@example.com")
            assert json.loads(process.stdout.readline())["kind"] == "user.enabled"
        finally:
            process.terminate()
