"""Audit rows as text for other programs: JSON Lines, and CSV that is safe to open."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from authward.ports import AuditRow

Writer = Callable[["AuditRow"], None]
# What a spreadsheet takes for the beginning of a formula (CWE-1236), the full-width forms too.
_FORMULA = tuple("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")
# Where one that divides by semicolons, as the user's country has it, begins a cell within ours:
# quotes count for it only where a cell of its own begins.
_WITHIN = re.compile('(;[ "]*)(?=[=+@|%\uff1d\uff0b\uff0d\uff20-])')


def writer_of(form: str, output: TextIO) -> Writer:
    """What writes one row after the other to `output`, as `jsonl` or `csv`."""
    from authward.services.trail import row_data

    if form == "jsonl":

        def line(row: AuditRow) -> None:
            output.write(json.dumps(row_data(row), ensure_ascii=False) + "\n")

        return line
    table = csv.writer(output, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    heads: list[str] = []

    def cells(row: AuditRow) -> None:
        data = row_data(row)
        if not heads:
            heads.extend(data)
            table.writerow(heads)
        told = [json.dumps(one) if isinstance(one, dict) else one for one in data.values()]
        table.writerow(["" if one is None else harmless(one) for one in told])

    return cells


def harmless(cell: object) -> object:
    """A cell that no spreadsheet runs: before what looks like the beginning of a formula there is
    an apostrophe, at the beginning and after each semicolon.
    """
    if not isinstance(cell, str):
        return cell
    first = "'" if cell.lstrip(" ").startswith(_FORMULA) else ""
    return first + _WITHIN.sub(r"\1'", cell)
