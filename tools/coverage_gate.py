"""Refuse a test run that left code unvisited.

core/ and services/ must be covered whole, every branch; the rest together at least REST
percent, in statements and in branches. Reads what `coverage json` wrote.

    python tools/coverage_gate.py coverage.json
"""

import json
import sys
from pathlib import PurePosixPath
from typing import Any

WHOLE = ("core", "services")
REST = 95.0


def floor_of(path: str) -> str:
    """The first folder under authward/, or "" for a module at the top."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    inside = parts[len(parts) - parts[::-1].index("authward") :]
    return inside[0] if len(inside) > 1 else ""


def gaps(entry: dict[str, Any]) -> str:
    lines = [str(line) for line in entry["missing_lines"]]
    branches = [f"{start}->{end}" for start, end in entry["missing_branches"]]
    return ", ".join(lines + branches)


def percent(covered: int, total: int) -> float:
    return 100.0 * covered / total if total else 100.0


def main(report: str) -> int:
    with open(report, encoding="utf-8") as file:
        files: dict[str, Any] = json.load(file)["files"]
    if not files:
        print("coverage: nothing was measured")
        return 1

    failures: list[str] = []
    rest: dict[str, Any] = {}
    measured = 0
    for path, entry in sorted(files.items()):
        if floor_of(path) not in WHOLE:
            rest[path] = entry
            continue
        measured += 1
        if entry["missing_lines"] or entry["missing_branches"]:
            failures.append(f"  {path}: {gaps(entry)}")
    if not measured:
        failures.append(f"  none of {', '.join(WHOLE)} was measured")

    def total(key: str) -> int:
        return sum(entry["summary"][key] for entry in rest.values())

    statements = percent(total("covered_lines"), total("num_statements"))
    branches = percent(total("covered_branches"), total("num_branches"))
    print(
        f"coverage: {measured} files of {' and '.join(WHOLE)} (100 % asked), "
        f"the rest {statements:.1f} % of statements and {branches:.1f} % of branches "
        f"({REST:.0f} % asked)"
    )
    if failures:
        print("coverage: not whole:", *failures, sep="\n")
    if too_low := min(statements, branches) < REST:
        print(f"coverage: the rest is under {REST:.0f} %; the largest gaps:")
        worst = sorted(
            rest.items(),
            key=lambda item: len(item[1]["missing_lines"]) + len(item[1]["missing_branches"]),
            reverse=True,
        )
        for path, entry in worst[:12]:
            if entry["missing_lines"] or entry["missing_branches"]:
                print(f"  {path}: {gaps(entry)}")
    return 1 if failures or too_low else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
