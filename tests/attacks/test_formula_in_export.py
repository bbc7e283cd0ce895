"""Formulas in a table that somebody opens (CWE-1236): what a client said is run by nobody."""

import csv
import io
import re

import pytest

from authward.cli.export import harmless, writer_of
from authward.core.audit import Client, Event
from authward.ports import AuditRow


@pytest.mark.parametrize(
    "evil",
    [
        '=HYPERLINK("https://evil.example","x")',
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "|calc",
        "%0A=1",
        " =1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
    ],
)
def test_a_cell_that_begins_like_a_formula_is_text(evil: str) -> None:
    output = io.StringIO()
    write = writer_of("csv", output)
    write(AuditRow(1, 0, Event("login.failed", Client(evil, evil, evil), detail={"reason": evil})))
    heads, cells = csv.reader(io.StringIO(output.getvalue()))
    assert "userAgent" in heads
    told = dict(zip(heads, cells, strict=True))
    assert (told["userAgent"], told["ip"]) == (f"'{evil}", f"'{evil}")
    assert told["detail"].startswith("{")


@pytest.mark.parametrize("mark", list("=+-@|%") + list("\uff1d\uff0b\uff0d\uff20"))
@pytest.mark.parametrize("before", ["a;", "a; ", 'a;"', ";", "a;'=1; \""])
def test_nor_does_one_begin_where_a_spreadsheet_divides_by_semicolons(
    before: str, mark: str
) -> None:
    """As it does for half of Europe: a row that begins with a number is divided there, quoted or
    not.
    """
    output = io.StringIO()
    write = writer_of("csv", output)
    client = Client("203.0.113.9", f"{before}{mark}1+1;b", "r-1")
    write(AuditRow(1, 0, Event("login.failed", client, detail={"reason": f"{before}{mark}1"})))
    for cell in re.split("[;\n]", output.getvalue()):
        assert not cell.lstrip(' "').startswith(tuple("=+-@|%\uff1d\uff0b\uff0d\uff20")), cell


def test_other_cells_are_as_they_are() -> None:
    for cell in ("Mozilla/5.0 (X11; Linux x86_64; rv:1)", "203.0.113.9", "a=b", "", 7, None):
        assert harmless(cell) == cell


def test_a_cell_cannot_end_its_row() -> None:
    output = io.StringIO()
    write = writer_of("csv", output)
    client = Client('a",b\nevil,row', "x", "y")
    for row_id in (1, 2):
        write(AuditRow(row_id, 0, Event("login.failed", client)))
    rows = list(csv.reader(io.StringIO(output.getvalue())))
    assert len(rows) == 3
    assert len({len(row) for row in rows}) == 1
