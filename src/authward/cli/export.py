"""Audit rows as text for other programs: JSON Lines, and CSV that is safe to open."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from authward.ports import AuditRow

Writer = Callable[["AuditRow"], None]
# What a spreadsheet takes for the beginning of a formula (CWE-1236), the full-width forms too.
_FORMULA = tuple("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")


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
    """A cell that no spreadsheet runs: text that looks like a formula begins with an apostrophe."""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA):
        return f"'{cell}"
    return cell
