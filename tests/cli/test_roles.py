"""`authward roles`, and what an account is granted, in process, over a real database."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from .conftest import PASSWORD, Run, said


def roles(run: Run) -> dict[str, Any]:
    return {one["name"]: one for one in said(run("roles list --json"))["roles"]}


def ada(run: Run) -> str:
    create = "users create --email ada@example.com --password-stdin --json"
    return str(said(run(create, input=PASSWORD))["user"]["id"])


def test_roles_are_listed(run: Run, database: Path) -> None:
    lines = run("roles list").stdout.splitlines()
    assert lines[0].split() == ["ROLE", "PERMISSIONS", "INCLUDES"]
    assert lines[1].split() == ["admin", "*:*"]
    assert "read:users, update:users" in lines[2]
    assert list(roles(run)) == ["admin", "moderator", "user"]


def test_a_role_from_its_first_grant_to_its_end(run: Run, database: Path) -> None:
    made = run("roles grant editor update:posts read:*")
    assert made.stdout == "Made the role editor\neditor grants read:*, update:posts\n"
    assert "Made" not in run("roles grant editor create:posts").stdout
    assert run("roles revoke editor read:* create:posts").stdout == "editor grants update:posts\n"
    assert run("roles include editor moderator user").stdout == (
        "editor grants update:posts, and what moderator, user grants\n"
    )
    assert roles(run)["editor"] == {
        "name": "editor",
        "permissions": ["update:posts"],
        "includes": ["moderator", "user"],
    }
    run("roles exclude editor moderator user")
    assert run("roles revoke editor update:posts").stdout == "editor grants nothing itself\n"
    assert run("roles delete editor").stdout == "Deleted the role editor\n"
    assert "editor" not in roles(run)


def test_json(run: Run, database: Path) -> None:
    editor = {"name": "editor", "permissions": ["a:b"], "includes": []}
    made = {"role": editor, "created": True, "changed": True}
    assert said(run("roles grant editor a:b --json")) == made
    again = {"role": editor, "created": False, "changed": False}
    assert said(run("roles grant editor a:b --json")) == again
    assert said(run("roles delete editor --json")) == {"deleted": "editor"}
    gone = run("roles delete editor --json", code=1)
    assert said(gone) == {"error": "not_found", "message": "Not found (no such role)"}


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("roles grant editor all", 2, "permissions: A permission is written verb:resource"),
        ("roles grant Editor a:b", 2, "name: A role is named in"),
        ("roles grant editor", 2, "Missing argument"),
        ("roles revoke editor a:b", 1, "there are admin, moderator, user"),
        ("roles include editor user", 1, "no such role"),
        ("roles include moderator king", 2, "includes: Use one of: admin, moderator, user"),
        ("roles include moderator moderator", 2, "includes: A role cannot include itself"),
        ("roles revoke admin *:*", 2, "permissions: The role admin keeps *:*"),
        ("roles delete user", 1, "The roles admin and user cannot be deleted"),
    ],
)
def test_what_cannot_be_done_says_why(
    run: Run, database: Path, line: str, code: int, text: str
) -> None:
    before = roles(run)
    result = run(line, code=code)
    assert text in result.stderr
    assert result.stdout == ""
    assert roles(run) == before


@pytest.mark.parametrize(
    ("line", "told", "changed"),
    [
        ("revoke editor never:had", "Nothing changed: editor was not granted: never:had", False),
        # What a wildcard covers is not granted by its own name.
        ("revoke editor read:a b:c", "editor was not granted: read:a", True),
        ("exclude editor nosuch", "Nothing changed: editor did not include: nosuch", False),
        ("exclude editor user king", "editor did not include: king", True),
        ("grant editor b:c", "Nothing changed: editor was granted already: b:c", False),
        ("include editor user", "Nothing changed: editor included already: user", False),
        ("include editor moderator", None, True),
    ],
)
def test_what_was_so_already_is_told(
    run: Run, database: Path, line: str, told: str | None, changed: bool
) -> None:
    run("roles grant editor read:* b:c")
    run("roles include editor user")
    before = roles(run)
    lines = run(f"roles {line}").stdout.splitlines()
    assert lines[:-1] == ([told] if told else [])
    assert lines[-1].startswith("editor grants ")
    assert (roles(run) != before) is changed
    assert said(run(f"roles {line} --json"))["changed"] is False  # the second time


def test_grants_and_takes_of_an_account_that_were_so_already(run: Run, database: Path) -> None:
    user = ada(run)
    run("users permissions --grant a:b --id", user)
    lines = run("users permissions --take foo:bar --grant a:b --id", user).stdout.splitlines()
    assert lines[:2] == [
        "Nothing changed: ada@example.com was granted directly already: a:b",
        "Nothing changed: ada@example.com was not granted directly: foo:bar",
    ]
    assert said(run("users permissions --take foo:bar --json --id", user))["changed"] is False
    lines = run("users permissions --take foo:bar --take a:b --id", user).stdout.splitlines()
    assert lines[0] == "ada@example.com was not granted directly: foo:bar"
    assert lines[1] == "ada@example.com is granted directly: nothing"


def test_what_is_granted_and_taken_at_once_is_wrong_usage(run: Run, database: Path) -> None:
    failed = run("users permissions --grant a:b --take a:b --id", ada(run), code=2)
    assert "--grant and --take name the same: a:b" in failed.stderr


def test_a_role_in_use_says_by_how_many(run: Run, database: Path) -> None:
    run("roles grant editor a:b")
    run("users set-role --role user --also editor --id", ada(run))
    assert "accounts that hold editor: 1" in run("roles delete editor", code=1).stderr


def test_an_account_is_given_roles_beside_its_role(run: Run, database: Path) -> None:
    run("roles grant editor update:posts")
    run("roles grant author create:posts")
    user = ada(run)
    result = run("users set-role --role moderator --also editor --also author --id", user)
    assert result.stdout == "ada@example.com is moderator now, and author, editor beside it\n"
    data = said(run("users set-role --role user --json --id", user))["user"]
    assert data["additionalRoles"] == []
    refused = run("users set-role --role user --also admin --id", user, code=2)
    assert "authward: --also: Give admin as the role" in refused.stderr
    unknown = run("users set-role --role user --also chief --id", user, code=2)
    assert unknown.stderr.startswith("authward: --also: ")


def test_an_account_is_granted_permissions_directly(run: Run, database: Path) -> None:
    user = ada(run)
    assert run("users permissions --id", user).stdout == (
        "ada@example.com is granted directly: nothing\nWith its roles (user): nothing\n"
    )
    run("roles grant user read:news")
    line = "users permissions --grant read:b --grant read:a --id"
    assert run(line, user).stdout == (
        "ada@example.com is granted directly: read:a, read:b\n"
        "With its roles (user): read:a, read:b, read:news\n"
    )
    data = said(run("users permissions --take read:b --json --id", user))
    assert data["user"]["permissions"] == ["read:a"]
    assert data["effective"] == ["read:a", "read:news"]
    assert data["changed"] is True
    assert said(run("users permissions --json --id", user)) == {**data, "changed": False}
    assert "permissions: " in run("users permissions --grant x --id", user, code=2).stderr


def test_what_an_operator_does_is_audited(run: Run, database: Path) -> None:
    run("roles grant editor a:b")
    run("roles delete editor")
    run("users permissions --grant a:b --id", ada(run))
    connection = sqlite3.connect(database / "authward.db")
    rows = connection.execute("SELECT kind, actor, user_agent FROM audit_events").fetchall()
    connection.close()
    kinds = [kind for kind, _, _ in rows]
    assert kinds[-4:] == ["role.changed", "role.deleted", "user.created", "user.permissions_set"]
    assert {actor for _, actor, _ in rows[-4:]} == {None}
    assert all(agent.startswith("authward command line (") for _, _, agent in rows[-4:])
