"""`authward why`, in process, over a real database."""

import sqlite3
from pathlib import Path

import pytest

from .conftest import PASSWORD, Run, said

ROLES = """
INSERT INTO roles (name) VALUES ('auditor'), ('author'), ('chief'), ('editor');
INSERT INTO role_permissions (role, permission) VALUES
    ('auditor', 'read:reports'), ('author', 'create:posts'), ('editor', 'update:*');
INSERT INTO role_includes (role, included) VALUES ('chief', 'editor'), ('editor', 'author');
UPDATE users SET additional_roles = '["chief"]', permissions = '["read:audit"]'
    WHERE email = 'ada@example.com';
"""


@pytest.fixture
def ada(run: Run, database: Path) -> str:
    """The id of an account with two roles and a grant of its own."""
    create = "users create --email ada@example.com --password-stdin --json"
    user = said(run(create, input=PASSWORD))["user"]
    write(database, ROLES)
    return str(user["id"])


def write(database: Path, script: str) -> None:
    connection = sqlite3.connect(database / "authward.db")
    try:
        connection.executescript(script)
    finally:
        connection.close()


def test_what_is_held_and_through_what(run: Run, ada: str) -> None:
    for user in ("ada@example.com", "ADA@Example.com", ada):
        assert run("why", user, "create:posts").stdout.splitlines() == [
            "ada@example.com holds create:posts:",
            "  create:posts, through the role chief, which includes editor, which includes author",
        ]
    assert "  update:*, through the role chief, which includes editor" in (
        run("why", ada, "update:posts").stdout
    )
    assert "  read:audit, granted directly" in run("why", ada, "read:audit").stdout
    assert "  *:*, through the role admin" in run("why root@example.com read:reports").stdout
    # A wildcard, as one who hands it on must hold it.
    assert run("why", ada, "update:*").exit_code == 0


def test_what_is_not_held_and_where_it_would_come_from(run: Run, ada: str) -> None:
    assert run("why", ada, "read:reports", code=1).stdout.splitlines() == [
        "ada@example.com does not hold read:reports.",
        "Its roles: user, chief.",
        "Roles that grant it: auditor, admin.",
        "It can be granted directly, too.",
    ]
    # All that is held of posts today is no wildcard.
    assert run("why", ada, "*:posts", code=1).exit_code == 1


def test_no_role_grants_it(run: Run, database: Path) -> None:
    write(database, "DELETE FROM role_permissions WHERE role = 'admin'")
    found = run("why root@example.com read:reports", code=1)
    assert "No role grants it." in found.stdout


def test_json(run: Run, ada: str) -> None:
    assert said(run("why --json", ada, "create:posts")) == {
        "user": ada,
        "email": "ada@example.com",
        "roles": ["user", "chief"],
        "disabled": False,
        "permission": "create:posts",
        "held": True,
        "sources": [{"grant": "create:posts", "roles": ["chief", "editor", "author"]}],
        "grantedBy": ["author", "chief", "editor", "admin"],
    }
    missing = said(run("why --json", ada, "read:reports", code=1))
    assert (missing["held"], missing["sources"]) == (False, [])
    assert missing["grantedBy"] == ["auditor", "admin"]


def test_a_disabled_account_is_told(run: Run, ada: str) -> None:
    run("users disable --id", ada)
    found = run("why", ada, "read:audit")
    assert "The account is disabled" in found.stdout
    assert said(run("why --json", ada, "read:audit"))["disabled"] is True


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["root@example.com", "read"], 2, "authward: permission: A permission is written"),
        (["root@example.com", "Read:users"], 2, "authward: permission: A permission is written"),
        (["root@example.com"], 2, "Missing argument 'PERMISSION'"),
        (["nobody@example.com", "a:b"], 1, "no account has the address nobody@example.com"),
        (["no-such-account", "a:b"], 1, "authward: Not found"),
        (["@", "a:b"], 2, "authward: email: "),
    ],
)
def test_what_cannot_be_answered(
    run: Run, database: Path, words: list[str], code: int, text: str
) -> None:
    result = run("why", *words, code=code)
    assert text in result.stderr
    assert result.stdout == ""


def test_a_wrong_permission_in_json(run: Run, database: Path) -> None:
    result = run("why root@example.com read --json", code=2)
    assert said(result)["error"] == "validation_error"


def test_no_such_account_in_json(run: Run, database: Path) -> None:
    """Exits like a permission that is not held; the object tells the two apart."""
    told = said(run("why nobody@example.com a:b --json", code=1))
    assert (told["error"], "held" in told) == ("not_found", False)
