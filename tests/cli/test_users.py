"""`authward users`, in process, over a real database."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from .conftest import PASSWORD, Run, said


def create(run: Run, email: str, *words: str) -> dict[str, Any]:
    result = run(
        f"users create --email {email} --password-stdin --json", *words, input=PASSWORD + "\n"
    )
    user: dict[str, Any] = said(result)["user"]
    return user


def users(run: Run, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said(run("users list --json", *words))["users"]
    return found


def rows(folder: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(folder / "authward.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_the_first_account_makes_the_database(run: Run, folder: Path) -> None:
    result = run(
        "users create --email ada@example.com --password-stdin --role admin", input=PASSWORD
    )
    assert "Made ada@example.com, admin, id " in result.stdout
    assert f"New database: {folder / 'authward.db'}" in result.stderr
    assert (folder / "authward.db.secret").stat().st_mode & 0o777 == 0o600
    assert users(run)[0] | {"id": "", "createdAt": ""} == {
        "id": "",
        "email": "ada@example.com",
        "name": "ada",
        "role": "admin",
        "permissions": [],
        "additionalRoles": [],
        "emailVerified": False,
        "createdAt": "",
        "disabled": False,
    }


@pytest.mark.parametrize(
    ("email", "words", "password", "code", "text"),
    [
        ("root@example.com", "", PASSWORD, 1, "User already exists"),
        ("ROOT@EXAMPLE.com", "", PASSWORD, 1, "User already exists"),
        ("nobody", "", PASSWORD, 2, "email: "),
        ("a@example.com", "", "short", 2, "password: Use at least 8 characters"),
        ("a@example.com", "", "x" * 257, 2, "password: Use at most 256 characters"),
        ("a@example.com", "", "eight\0eight", 2, "password: must not hold NUL"),
        ("a@example.com", "", b"eight\xff\xffeight", 2, "password: is not UTF-8"),
        ("a@example.com", "--role king", PASSWORD, 2, "Use one of: admin, moderator, user"),
        ("a@example.com", "--name \x1b[31m", PASSWORD, 2, "name: The name holds control"),
        ("@example.com", "", PASSWORD, 2, "name: The name is empty"),
    ],
)
def test_what_cannot_be_made_says_why(
    run: Run, database: Path, email: str, words: str, password: str, code: int, text: str
) -> None:
    line = f"users create --email {email} --password-stdin"
    result = (
        run(line, *words.split(" "), code=code, input=password)
        if words
        else run(line, code=code, input=password)
    )
    assert text in result.stderr
    assert result.stderr.startswith("authward: ")
    assert [user["email"] for user in users(run)] == ["root@example.com"]


def test_a_password_is_taken_as_it_is(run: Run, database: Path) -> None:
    from authward.core.passwords import HashParameters, verify_password

    run("users create --email a@example.com --password-stdin", input="  two words  \r\n")
    ((hashed,),) = rows(database, "SELECT password_hash FROM users WHERE email LIKE 'a@%'")
    assert verify_password(hashed, "  two words  ", HashParameters()).ok
    assert not verify_password(hashed, "two words", HashParameters()).ok


def test_no_password_is_ever_an_argument(run: Run, database: Path) -> None:
    result = run("users create --email a@example.com", code=2)
    assert "--password-stdin" in result.stderr
    assert "--password " not in run("users create --help").stdout


def test_a_password_may_be_typed(run: Run, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.cli.accounts.someone_there", lambda: True)
    result = run("users create --email a@example.com", input=f"{PASSWORD}\n{PASSWORD}\n")
    assert PASSWORD not in result.output
    assert len(users(run)) == 2


def test_list_filters_and_pages(run: Run, database: Path) -> None:
    create(run, "ada@example.com", "--name", "Ada Lovelace")
    create(run, "bob@example.com", "--role", "moderator")
    assert [user["role"] for user in users(run)] == ["admin", "user", "moderator"]
    assert [user["email"] for user in users(run, "--role", "user")] == ["ada@example.com"]
    assert [user["email"] for user in users(run, "--search", "LOVE")] == ["ada@example.com"]

    first = said(run("users list --limit 2 --json"))
    assert len(first["users"]) == 2
    second = said(run("users list --limit 2 --json --cursor", first["nextCursor"]))
    assert [user["email"] for user in second["users"]] == ["bob@example.com"]
    assert second["nextCursor"] is None

    shown = run("users list --limit 1")
    assert shown.stdout.splitlines()[0].split() == ["ID", "EMAIL", "NAME", "ROLE", "CREATED"]
    assert "root@example.com" in shown.stdout
    assert "There are more: --cursor " in shown.stderr
    assert "cursor: " in run("users list --cursor nonsense", code=2).stderr


def test_a_role_is_set_by_address_or_id(run: Run, database: Path) -> None:
    made = create(run, "ada@example.com")
    assert (
        "ada@example.com is moderator now"
        in run("users set-role --email ADA@example.com --role moderator").stdout
    )
    changed = said(run("users set-role --role admin --json --id", made["id"]))
    assert changed["user"]["role"] == "admin"
    assert "Use one of" in run("users set-role --role king --id", made["id"], code=2).stderr


def test_the_last_admin_stays(run: Run, database: Path) -> None:
    for line in ("set-role --role user", "disable", "delete --yes"):
        result = run(f"users {line} --email root@example.com", code=1)
        assert "The last admin cannot be removed" in result.stderr
    failed = run("users disable --email root@example.com --json", code=1)
    assert said(failed)["error"] == "last_admin"


def test_disable_enable_and_delete(run: Run, database: Path) -> None:
    create(run, "ada@example.com")
    assert said(run("users disable --json --email ada@example.com"))["user"]["disabled"] is True
    assert run("users list --search ada").stdout.rstrip().endswith("disabled")
    assert "is disabled" in run("users disable --email ada@example.com").stdout
    assert "is enabled" in run("users enable --email ada@example.com").stdout
    assert users(run)[1]["disabled"] is False

    assert "--yes" in run("users delete --email ada@example.com", code=2).stderr
    gone = run("users delete --yes --email ada@example.com --json")
    assert list(said(gone)) == ["deleted"]
    assert len(users(run)) == 1
    assert (
        "no account has the address" in run("users disable --email ada@example.com", code=1).stderr
    )


def test_deleting_asks_where_someone_can_answer(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(run, "ada@example.com")
    monkeypatch.setattr("authward.cli.users.someone_there", lambda: True)
    asked = run("users delete --email ada@example.com", input="n\n", code=1)
    assert "Delete ada@example.com for good?" in asked.stderr
    assert len(users(run)) == 2
    run("users delete --email ada@example.com", input="y\n")
    assert len(users(run)) == 1


@pytest.mark.parametrize("words", ["", "--email a@example.com --id abcdefgh"])
def test_an_account_is_named_in_one_way(run: Run, database: Path, words: str) -> None:
    assert "--email or with --id" in run(f"users enable {words}", code=2).stderr


@pytest.mark.parametrize("user_id", ["abcdefgh", "../etc", "x"])
def test_an_unknown_id(run: Run, database: Path, user_id: str) -> None:
    result = run("users sessions --json --id", user_id, code=1)
    assert said(result) == {"error": "not_found", "message": "Not found (no such account)"}


def test_a_broken_address_is_wrong_usage(run: Run, database: Path) -> None:
    assert "email: " in run("users enable --email nobody", code=2).stderr


def test_reset_password(run: Run, database: Path) -> None:
    (before,) = rows(database, "SELECT password_hash, epoch FROM users")
    result = run("users reset-password --email root@example.com --password-stdin", input="x" * 8)
    assert "has a new password" in result.stdout
    (after,) = rows(database, "SELECT password_hash, epoch FROM users")
    assert after[0] != before[0]
    assert after[1] == before[1] + 1
    refused = run(
        "users reset-password --email root@example.com --password-stdin", input="x", code=2
    )
    assert "password: Use at least 8" in refused.stderr


def test_what_an_operator_does_is_audited(run: Run, database: Path) -> None:
    made = create(run, "ada@example.com")
    run("users set-role --role moderator --id", made["id"])
    run("users disable --id", made["id"])
    run("users enable --id", made["id"])
    run("users revoke --id", made["id"])
    run("users delete --yes --id", made["id"])
    audited = rows(
        database,
        f"SELECT kind, actor, user_agent FROM audit_events WHERE subject = '{made['id']}'",
    )
    assert [kind for kind, _, _ in audited] == [
        "user.created",
        "user.role_set",
        "user.disabled",
        "user.enabled",
        "session.all_ended",
        "user.deleted",
    ]
    assert {actor for _, actor, _ in audited} == {None}
    assert all(agent.startswith("authward command line (") for _, _, agent in audited)


def test_an_operator_without_a_name(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    create(run, "ada@example.com")
    ((agent,),) = rows(
        database,
        "SELECT user_agent FROM audit_events ORDER BY id DESC LIMIT 1",
    )
    assert agent == "authward command line (unknown)"
