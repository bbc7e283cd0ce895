"""The audit log at a million rows: verifying it, and finding pages of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import inside
from bench.goals import Figure, at_least, at_most
from bench.load import Rates
from bench.machine import Missing
from bench.serving import Broken

VARIANTS = ()
ROWS = 1_000_000
MEMORY_MB = 64
"""What verifying may take beside the process itself, however many rows there are."""


def figures(rates: Rates) -> Iterator[Figure]:
    with TemporaryDirectory(prefix="bench-") as folder:
        yield from _of("SQLite", f"sqlite:///{Path(folder) / 'a.db'}")
    with _postgresql() as url:
        yield from _of("PostgreSQL", url)


def _of(name: str, url: str) -> Iterator[Figure]:
    found: dict[str, Any] = inside.run("audit", url, str(ROWS))
    if not found["holds"] or found["rows"] != ROWS:
        raise Broken(f"audit: {name}: {found['rows']:,} rows verify, of {ROWS:,}")
    yield Figure(f"audit rows verified, {name}", found["rows a second"], at_least(10_000), "/s")
    yield Figure(f"memory that took, {name}", found["bytes"] / 2**20, at_most(MEMORY_MB), "MiB")
    for what in ("by user", "by time"):
        few, many = found["few"][what], found["many"][what]
        told = f"a page of the audit log {what}, a million rows against ten thousand, {name}"
        yield Figure(told, many / few, at_most(1.5))
        yield Figure(f"… which takes, {name}", many, None, "ms")


@contextmanager
def _postgresql() -> Iterator[str]:
    try:
        from tests import postgres
    except ImportError as error:
        raise Missing(f"{error.name} is missing; it comes with: make setup") from error
    import pytest

    postgres.begin()
    try:
        try:
            url = postgres.fresh_database()
        except pytest.skip.Exception as skipped:
            raise Missing(str(skipped)) from skipped
        yield url
    finally:
        postgres.end()
