"""Accounts of another system, read from a file: what is kept of a row, and what is wrong with it.

Made for users of Express apps as `mongoexport` or a query writes them: JSON Lines or one JSON
array, bcrypt hashes in `password`, ids as `_id` or `id`, ObjectIds as `{"$oid": …}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from authward.core.passwords import MAX_SHARED_COST, bcrypt_cost, known_scheme
from authward.core.users import USER_ID, BadEmail, BadName, canonical_email, check_name

_READ = frozenset({"_id", "id", "email", "password", "passwordHash", "name", "role"})
_WRAPPERS = ("$oid", "$uuid", "$numberInt", "$numberLong")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of one row. Rows count from 1; the text never holds the value
    of a password.
    """

    row: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One good row. `old_id` is the id it had, if it had one; `ignored` are the fields not read."""

    row: int
    old_id: str | None
    email: str
    email_canonical: str
    name: str
    role: str | None
    password_hash: str
    ignored: tuple[str, ...]


class UnreadableImport(ValueError):
    """The file as a whole cannot be read. The text says why."""


def documents(data: bytes) -> list[tuple[int, bytes]]:
    """The rows of a file, numbered from 1 (in JSON Lines by line). Raises UnreadableImport."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.lstrip().startswith(b"["):
        lines = enumerate(data.split(b"\n"), 1)
        return [(number, line) for number, line in lines if line.strip()]
    try:
        rows = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableImport(f"the JSON array is broken: {error}") from None
    return [(number, bytes(row)) for number, row in enumerate(rows, 1)]


def read_rows(
    rows: list[tuple[int, bytes]], *, new_ids: bool
) -> Iterator[ImportRow | list[Problem]]:
    """Each row, or all that is wrong with it. A second row of one address or id is wrong.

    `new_ids` takes rows whose id is none that Authward could keep.
    """
    emails: dict[str, int] = {}
    ids: dict[str, int] = {}
    for number, raw in rows:
        row = _read_row(number, raw, new_ids)
        if isinstance(row, ImportRow):
            twice = [
                Problem(number, field, f"is that of row {seen[value]} too")
                for field, seen, value in (
                    ("email", emails, row.email_canonical),
                    ("id", ids, row.old_id),
                )
                if value is not None and seen.setdefault(value, number) != number
            ]
            yield twice or row
        else:
            yield row


def _read_row(number: int, raw: bytes, new_ids: bool) -> ImportRow | list[Problem]:
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Problem(number, "row", "is not JSON. Give one array, or one object on each line")]
    if not isinstance(fields, dict):
        return [Problem(number, "row", "is not a JSON object")]
    if (wrapper := _wrapped(fields)) is not None:
        return [
            Problem(
                number,
                "row",
                f"is no account: the rows are in its '{wrapper}'. Give that array alone, as with: "
                f"jq .{wrapper}",
            )
        ]
    reader = _Reader(number, fields)
    row = ImportRow(
        number,
        reader.old_id(new_ids),
        *reader.email(),
        reader.name(),
        reader.role(),
        reader.password_hash(),
        tuple(name for name in fields if name not in _READ),
    )
    return reader.problems or row


def _wrapped(fields: Mapping[str, Any]) -> str | None:
    """The one field that holds rows, where a whole answer of an API was given."""
    found = [name for name, value in fields.items() if isinstance(value, list) and value]
    if "email" in fields or len(found) != 1 or not re.fullmatch(r"\w{1,40}", found[0], re.ASCII):
        return None
    return found[0] if all(isinstance(one, dict) for one in fields[found[0]]) else None


class _Reader:
    """Reads the fields of one row; what is wrong gathers in `problems`."""

    def __init__(self, number: int, fields: Mapping[str, Any]) -> None:
        self.problems: list[Problem] = []
        self._number = number
        self._fields = fields

    def old_id(self, new_ids: bool) -> str | None:
        value = self._fields.get("_id", self._fields.get("id"))
        if isinstance(value, dict) and len(value) == 1:
            value = next((value[key] for key in _WRAPPERS if key in value), value)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            return None
        if isinstance(value, str) and (new_ids or USER_ID.fullmatch(value)):
            return value
        hint = "Give such rows new ones with --new-ids" if isinstance(value, str) else "Use text"
        self._wrong("id", f"is not 8 to 64 letters, digits, '-' or '_'. {hint}")
        return None

    def email(self) -> tuple[str, str]:
        email = self._text("email")
        if email is None:
            return "", ""
        try:
            return email, canonical_email(email)
        except BadEmail as error:
            self._wrong("email", str(error))
            return "", ""

    def name(self) -> str:
        """The name; a row without one is called what its address begins with."""
        if self._fields.get("name") in (None, ""):
            return str(self._fields.get("email", "")).partition("@")[0]
        name = self._text("name")
        try:
            return "" if name is None else check_name(name)
        except BadName as error:
            self._wrong("name", str(error))
            return ""

    def role(self) -> str | None:
        return None if self._fields.get("role") is None else self._text("role")

    def password_hash(self) -> str:
        field = "passwordHash" if "passwordHash" in self._fields else "password"
        text = self._text(field)
        if text is not None and not known_scheme(text):
            self._wrong(field, "is not a bcrypt hash ($2a$, $2b$, $2y$) or an argon2id hash")
        cost = bcrypt_cost(text or "")
        if cost is not None and cost > MAX_SHARED_COST:
            self._wrong(
                field,
                f"is bcrypt of cost {cost}, which takes seconds a sign-in; {MAX_SHARED_COST} is "
                "the most. Give the row a hash of a random password, and its owner a new one with: "
                "authward users reset-password",
            )
        return text or ""

    def _text(self, field: str) -> str | None:
        value = self._fields.get(field)
        if value is None:
            self._wrong(field, "is missing")
        elif not isinstance(value, str):
            self._wrong(field, "is not text")
        else:
            return value
        return None

    def _wrong(self, field: str, message: str) -> None:
        self.problems.append(Problem(self._number, field, message))
