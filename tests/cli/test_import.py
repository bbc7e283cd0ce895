"""`authward users import`: an Express table moves over with its passwords."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from .conftest import PASSWORD, Run, said

HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "_id": {"$oid": f"{number:024x}"},
        "email": f"user{number}@example.com",
        "password": HASH,
        "name": f"User {number}",
        "role": "user",
        "__v": 0,
        **fields,
    }


def write(folder: Path, rows: Iterable[Any], *, lines: bool = False) -> str:
    file = folder / "users.json"
    if lines:
        file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    else:
        file.write_text(json.dumps(list(rows), indent=2))
    return str(file)


def emails(run: Run) -> list[str]:
    return [user["email"] for user in said(run("users list --json"))["users"]]


@pytest.mark.parametrize("lines", [False, True])
def test_array_or_lines(run: Run, database: Path, lines: bool) -> None:
    file = write(database, [row(1), row(2, role="admin", active=False)], lines=lines)
    result = run("users import", file)
    assert result.stdout == "Imported 2 of 2 (1 admin, 1 user)\n"
    assert result.stderr == "Fields that were not read: __v, active\n"
    found = said(run("users list --json --search user1"))["users"]
    assert found[0]["id"] == f"{1:024x}"
    assert found[0]["name"] == "User 1"


def test_again_is_harmless(run: Run, database: Path) -> None:
    file = write(database, [row(1), row(2, email="ROOT@example.com")])
    first = run("users import", file)
    assert "row 2: ROOT@example.com exists already, left alone" in first.stderr
    assert first.stdout == "Imported 1 of 2 (1 user); 1 existed already\n"
    second = run("users import --json", file)
    answer = said(second)
    assert answer["imported"] == 0
    assert [one["row"] for one in answer["existing"]] == [1, 2]
    assert emails(run) == ["root@example.com", "user1@example.com"]


def test_one_bad_row_and_nothing_is_imported(run: Run, database: Path) -> None:
    rows = [row(1), row(2, password="hunter2hunter2", email="x"), row(3, role="king"), row(1)]
    file = write(database, rows)
    result = run("users import", file, code=1)
    assert result.stderr.splitlines()[-1] == (
        "Nothing was imported: 3 of 4 rows are bad. Mend them, or leave them out with --skip-bad."
    )
    assert "row 2, password: is not a bcrypt hash" in result.stderr
    assert "row 2, email: " in result.stderr
    assert "row 3, role: 'king' is no role here (admin, moderator, user)" in result.stderr
    assert "--default-role" in result.stderr
    assert "row 4, email: is that of row 1 too" in result.stderr
    assert "hunter2" not in result.output
    assert emails(run) == ["root@example.com"]

    answer = said(run("users import --json", file, code=1))
    assert answer["imported"] == 0
    assert {(bad["row"], bad["field"]) for bad in answer["bad"]} == {
        (2, "password"),
        (2, "email"),
        (3, "role"),
        (4, "email"),
        (4, "id"),
    }


def test_bad_rows_may_be_left_out(run: Run, database: Path) -> None:
    file = write(database, [row(1), row(2, email="x")])
    result = run("users import --skip-bad", file)
    assert result.stdout == "Imported 1 of 2 (1 user); bad and left out: 1\n"
    assert emails(run) == ["root@example.com", "user1@example.com"]


def test_only_bad_rows_is_a_failure(run: Run, database: Path) -> None:
    run("users import --skip-bad", write(database, [{"users": []}]), code=1)


def test_a_default_role(run: Run, database: Path) -> None:
    file = write(database, [row(1, role="king"), row(2, role=None), row(3)])
    assert "3 user" in run("users import --default-role user", file).stdout
    refused = run("users import --default-role king", file, code=2)
    assert "Use one of: admin, moderator, user" in refused.stderr


def test_new_ids_are_told(run: Run, database: Path) -> None:
    file = write(database, [row(1, _id=17), row(2, _id=18)])
    assert "row 1, id: " in run("users import", file, code=1).stderr
    answer = said(run("users import --new-ids --json", file))
    assert set(answer["newIds"]) == {"17", "18"}
    found = said(run("users list --json --search user1@"))["users"]
    assert found[0]["id"] == answer["newIds"]["17"]


def test_new_ids_are_hinted_at(run: Run, database: Path) -> None:
    result = run("users import --new-ids", write(database, [row(1, _id=17)]))
    assert "1 have new ids; --json tells which" in result.stderr


def test_long_work_says_how_far_it_is(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authward.cli.imports.STEP", 2)
    result = run("users import", write(database, [row(number) for number in range(1, 6)]))
    assert "checked 2 of 5\nchecked 4 of 5\nimported 2 of 5\nimported 4 of 5\n" in result.stderr


def test_from_standard_input(run: Run, database: Path) -> None:
    run("users import -", input=json.dumps(row(1)))
    assert len(emails(run)) == 2


def test_into_a_new_database(run: Run, folder: Path) -> None:
    result = run("users import", write(folder, [row(1)]))
    assert "New database: " in result.stderr
    assert emails(run) == ["user1@example.com"]


def test_an_unreadable_file(run: Run, database: Path) -> None:
    (database / "users.json").write_bytes(b"[{")
    assert "the JSON array is broken" in run("users import users.json", code=1).stderr
    assert said(run("users import users.json --json", code=1))["error"] == "unreadable"
    assert "users import" in run("users import missing.json", code=2).stderr


def test_a_forged_line_stays_one(run: Run, database: Path) -> None:
    file = write(database, [row(1, role="king\n\x1b[31mImported 5 of 5")])
    result = run("users import", file, code=1)
    assert "\x1b" not in result.output
    assert not any(line.startswith("Imported") for line in result.output.splitlines())


def test_slow_hashes_are_warned_of_and_slower_ones_refused(run: Run, database: Path) -> None:
    slow, slower = (HASH.replace("$04$", f"${cost}$") for cost in (13, 15))
    file = write(database, [row(1, password=slow), row(2), row(3, password=slower)])
    refused = run("users import", file, code=1)
    assert "row 3, password: is bcrypt of cost 15" in refused.stderr
    assert "reset-password" in refused.stderr
    result = run("users import --skip-bad", file)
    assert "Slow bcrypt hashes: 1 of cost 13. " in result.stderr
    assert "every failed sign-in, to any account" in result.stderr


def test_slow_hashes_are_told_to_programs(run: Run, database: Path) -> None:
    slow = HASH.replace("$04$", "$13$")
    file = write(database, [row(1, password=slow), row(2)])
    assert said(run("users import --json", file))["costlyHashes"] == {"13": 1}
    assert said(run("users import --json", file))["costlyHashes"] == {}


def test_a_wrapped_file_is_told_its_cure(run: Run, database: Path) -> None:
    result = run("users import", write(database, [{"users": [row(1)]}]), code=1)
    assert "row 1, row: is no account: the rows are in its 'users'" in result.stderr
