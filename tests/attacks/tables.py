"""A whole SQLite database as values, to be compared before and after: read beside the server, with
no code of its own, so that no table is forgotten.
"""

import sqlite3
from typing import Any

Row = dict[str, Any]
Tables = dict[str, dict[tuple[Any, ...], Row]]

TOLD = "audit_events"
"""Denials are written down. Nothing else may follow from one."""
PROOF = ("audit_writers", "audit_checkpoints")
"""Which move with each row of the log."""


def tables(database_url: str) -> Tables:
    """Table → primary key → row."""
    path = database_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        # One transaction: rows of different tables belong together.
        connection.execute("BEGIN")
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        return {name: _rows(connection, name) for name in names}
    finally:
        connection.close()


def untold(found: Tables) -> Tables:
    """All but the audit log."""
    return {name: rows for name, rows in found.items() if name not in (TOLD, *PROOF)}


def moved(before: Tables, after: Tables) -> set[tuple[str, tuple[Any, ...], str]]:
    """(table, key, column) of each value that is not what it was; of rows that came or went, all of
    their columns.
    """
    found = set()
    for table in before.keys() | after.keys():
        was, now = before.get(table, {}), after.get(table, {})
        for key in was.keys() | now.keys():
            old, new = was.get(key, {}), now.get(key, {})
            found |= {
                (table, key, column)
                for column in old.keys() | new.keys()
                if column not in old or column not in new or old[column] != new[column]
            }
    return found


def _rows(connection: sqlite3.Connection, table: str) -> dict[tuple[Any, ...], Row]:
    columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
    key = [column["name"] for column in columns if column["pk"]]
    rows = [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
    return {tuple(row[name] for name in key or row): row for row in rows}
