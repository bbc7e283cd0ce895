"""Rows of another system's accounts, good and bad."""

import json
from typing import Any

import pytest

from authward.core.imports import ImportRow, Problem, UnreadableImport, documents, read_rows

HASH = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"


def row(**fields: Any) -> dict[str, Any]:
    """A good row; a field set to None is left out."""
    given = {"email": "ada@example.com", "password": HASH, **fields}
    return {name: value for name, value in given.items() if value is not None}


def read(*rows: Any, new_ids: bool = False) -> list[ImportRow | list[Problem]]:
    return list(read_rows(documents(json.dumps(rows).encode()), new_ids=new_ids))


def good(one: dict[str, Any], *, new_ids: bool = False) -> ImportRow:
    (found,) = read(one, new_ids=new_ids)
    assert isinstance(found, ImportRow), found
    return found


def bad(one: Any, *, new_ids: bool = False) -> list[tuple[str, str]]:
    (found,) = read(one, new_ids=new_ids)
    assert isinstance(found, list), found
    assert {problem.row for problem in found} == {1}
    return [(problem.field, problem.message) for problem in found]


def test_a_whole_row() -> None:
    whole = row(
        _id="5f8f8c44b54764421b7156c9", name="Ada", role="admin", __v=0, email="Ada@EXAMPLE.com"
    )
    assert good(whole) == ImportRow(
        row=1,
        old_id="5f8f8c44b54764421b7156c9",
        email="Ada@EXAMPLE.com",
        email_canonical="ada@example.com",
        name="Ada",
        role="admin",
        password_hash=HASH,
        ignored=("__v",),
    )


def test_a_row_with_the_least() -> None:
    least = good(row())
    assert (least.old_id, least.name, least.role) == (None, "ada", None)


@pytest.mark.parametrize("name", [None, ""])
def test_who_has_no_name_is_called_what_the_address_begins_with(name: str | None) -> None:
    assert good({**row(), "name": name}).name == "ada"


@pytest.mark.parametrize(
    "value",
    [
        "5f8f8c44b54764421b7156c9",
        {"$oid": "5f8f8c44b54764421b7156c9"},
    ],
)
@pytest.mark.parametrize("field", ["_id", "id"])
def test_ids_are_kept(field: str, value: Any) -> None:
    assert good(row(**{field: value})).old_id == "5f8f8c44b54764421b7156c9"


def test_mongoose_writes_both_ids() -> None:
    assert good(row(_id={"$oid": "a" * 24}, id="b" * 24)).old_id == "a" * 24


def test_a_uuid_is_an_id() -> None:
    uuid = "8f14e45f-ceea-467f-a5f5-2d3c1d5e7a10"
    assert good(row(_id={"$uuid": uuid})).old_id == uuid


@pytest.mark.parametrize("value", [17, "17", {"$numberInt": "17"}, {"$numberLong": "17"}])
def test_an_id_that_cannot_be_kept(value: Any) -> None:
    ((field, message),) = bad(row(id=value))
    assert field == "id"
    assert "--new-ids" in message
    assert good(row(id=value), new_ids=True).old_id == "17"


@pytest.mark.parametrize("value", [True, 1.5, ["x"], {}, {"$oid": 5.5}, {"$oid": "a" * 24, "b": 1}])
def test_an_id_that_is_none(value: Any) -> None:
    for new_ids in (False, True):
        ((field, message),) = bad(row(id=value), new_ids=new_ids)
        assert field == "id"
        assert "Use text" in message


@pytest.mark.parametrize(
    "email", ["nobody", "a@b@example.com", "", " a@example.com", "a" * 300 + "@example.com"]
)
def test_a_broken_address(email: str) -> None:
    assert [field for field, _ in bad(row(email=email))] == ["email"]


@pytest.mark.parametrize(
    "hashed",
    [
        "hunter2hunter2",
        "",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$2x$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        "$2a$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        HASH[:-1],
        HASH + "\n",
    ],
)
def test_what_is_no_hash_is_refused_and_never_shown(hashed: str) -> None:
    ((field, message),) = bad(row(password=hashed))
    assert field == "password"
    assert "bcrypt" in message
    assert not hashed or hashed not in message


def test_the_hash_may_be_called_password_hash() -> None:
    assert good(row(password="ignored", passwordHash=HASH)).password_hash == HASH
    assert bad(row(passwordHash="x"))[0][0] == "passwordHash"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"email": None}, [("email", "is missing")]),
        ({"password": None}, [("password", "is missing")]),
        ({"email": 5}, [("email", "is not text")]),
        ({"password": ["x"]}, [("password", "is not text")]),
        ({"role": 1}, [("role", "is not text")]),
        ({"name": {"first": "Ada"}}, [("name", "is not text")]),
        ({"name": "A\nB"}, [("name", "The name holds control or invisible characters.")]),
        ({"name": "A" * 201}, [("name", "The name is longer than 200 characters.")]),
        (
            {"email": None, "password": None, "role": []},
            [("email", "is missing"), ("role", "is not text"), ("password", "is missing")],
        ),
    ],
)
def test_bad_fields_are_named(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert bad(row(**fields)) == expected


@pytest.mark.parametrize("other", [5, "text", None, [], True])
def test_a_row_that_is_no_object(other: Any) -> None:
    assert bad(other) == [("row", "is not a JSON object")]


def test_the_second_of_two_is_bad() -> None:
    first = row(_id="a" * 24)
    found = read(
        first, row(_id="b" * 24, email="ADA@example.com"), row(_id="a" * 24, email="b@example.com")
    )
    assert isinstance(found[0], ImportRow)
    assert found[1:] == [
        [Problem(2, "email", "is that of row 1 too")],
        [Problem(3, "id", "is that of row 1 too")],
    ]


def test_json_lines_are_counted_by_line() -> None:
    lines = b"\xef\xbb\xbf" + b"\r\n".join(
        [
            json.dumps(row()).encode(),
            b"",
            b"{broken",
            json.dumps(row(email="b@example.com")).encode(),
            b"",
        ]
    )
    found = list(read_rows(documents(lines), new_ids=False))
    assert isinstance(found[0], ImportRow)
    assert found[1] == [
        Problem(3, "row", "is not JSON. Give one array, or one object on each line")
    ]
    assert isinstance(found[2], ImportRow)
    assert found[2].row == 4


@pytest.mark.parametrize(
    "line", [b'{"email": "\xff"}', b'{"email": "\\ud800"}', b"[" * 100_000, b"{"]
)
def test_a_line_that_is_no_json(line: bytes) -> None:
    # An array is told by its first character, so such lines come second here.
    data = json.dumps(row()).encode() + b"\n" + line
    found = list(read_rows(documents(data), new_ids=False))
    assert isinstance(found[1], list)
    assert found[1][0].field == "row"


def test_a_row_of_an_array_that_is_no_text() -> None:
    found = list(read_rows(documents(b'[{"email": "\xff"}]'), new_ids=False))
    assert isinstance(found[0], list)


@pytest.mark.parametrize("data", [b"[1, 2", b"[" * 100_000, b'[{"a": "\\ud800"}]', b"[1] x"])
def test_a_broken_array(data: bytes) -> None:
    with pytest.raises(UnreadableImport, match="the JSON array is broken"):
        documents(data)


@pytest.mark.parametrize("data", [b"", b" \n ", b"[]"])
def test_nothing(data: bytes) -> None:
    assert documents(data) == []


@pytest.mark.parametrize("cost", [4, 14, 15, 17])
def test_a_hash_that_would_hold_everybody_up_is_refused_with_a_cure(cost: int) -> None:
    hashed = HASH.replace("$10$", f"${cost:02}$")
    if cost <= 14:
        assert good(row(password=hashed)).password_hash == hashed
        return
    ((field, message),) = bad(row(password=hashed))
    assert field == "password"
    assert f"cost {cost}" in message
    assert "authward users reset-password" in message
    assert hashed not in message


def test_a_wrapper_is_named() -> None:
    ((field, message),) = bad({"total": 1, "users": [row()]})
    assert field == "row"
    assert message.endswith("jq .users")


@pytest.mark.parametrize(
    "other",
    [
        {"users": []},
        {"users": ["ada@example.com"]},
        {"users": [row()], "groups": [row()]},
        {"$(rm -rf)": [row()]},
        {"name": "Ada", "users": row()},
    ],
)
def test_what_is_no_wrapper_lacks_its_fields(other: dict[str, Any]) -> None:
    assert ("email", "is missing") in bad(other)


def test_a_row_may_hold_lists() -> None:
    assert good(row(devices=[{"id": 1}])).ignored == ("devices",)
