"""All rows in one run: python -m bench.run [--rows fastapi,limiter] [--seconds 5] [--rounds 3]

Prints each figure beside its goal. A run of all rows writes bench/results.json and bench/chart.svg;
one of some writes them where --out says, if it says so. Exits with 1 if a goal is not met, and
with 2 if something is missing or does not work.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from bench import machine, report
from bench.chart import chart
from bench.goals import Figure
from bench.load import Rates, measure
from bench.serving import Broken, serving
from bench.variants import VARIANTS

HERE = Path(__file__).parent
# A row is a module of bench/rows.
ROWS = (
    "fastapi",
    "bare",
    "others",
    "tokens",
    "limiter",
    "limiter_redis",
    "limiter_memory",
    "feed",
    "audit",
)


class Row(Protocol):
    """`VARIANTS` are the servers that it compares; all rows' are measured together, once."""

    VARIANTS: Sequence[str]
    figures: Callable[[Rates], Iterator[Figure]]


def main() -> int:
    options = _options()
    # Told to end, it ends its servers first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        rows = {name: cast(Row, import_module(f"bench.rows.{name}")) for name in options.rows}
        rates = _rates(rows, options)
        figures = {}
        for name, row in rows.items():
            print(f"bench: {name}", file=sys.stderr)
            figures[name] = list(row.figures(rates))
    except (machine.Missing, Broken) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(report.table(figures, rates))
    out = options.out or (HERE if tuple(options.rows) == ROWS else None)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        written = report.results(
            figures, rates, date=options.date, seconds=options.seconds, rounds=options.rounds
        )
        (out / "results.json").write_text(written, encoding="utf-8")
        (out / "chart.svg").write_text(chart(rates), encoding="utf-8")
    return 0 if all(one.met for found in figures.values() for one in found) else 1


def _rates(rows: dict[str, Row], options: argparse.Namespace) -> Rates:
    wanted = {variant for row in rows.values() for variant in row.VARIANTS}
    if not wanted:
        return Rates()
    machine.program("wrk", "wrk")
    with serving([name for name in VARIANTS if name in wanted]) as servers:
        return measure(servers, seconds=options.seconds, rounds=options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Authward beside others.")
    parser.add_argument("--rows", type=_names, default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--seconds", type=int, default=5, help="of load, a server and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="to be written down")
    parser.add_argument("--out", type=Path, help="the folder for results.json and chart.svg")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(unknown)}. {', '.join(ROWS)}")
    return [name for name in ROWS if name in names]


if __name__ == "__main__":
    sys.exit(main())
