"""The figures, as a table to read and as JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from bench import machine
from bench.goals import Figure
from bench.load import CONNECTIONS, Rates
from bench.variants import VARIANTS

Figures = Mapping[str, Sequence[Figure]]


def table(figures: Figures, rates: Rates) -> str:
    """The figures beside their goals, and the requests per second that they come from."""
    rows = [
        (one.what, _goal(one), f"{shown(one.value)} {one.unit}", _met(one))
        for found in figures.values()
        for one in found
    ]
    text = _aligned([("what", "goal", "figure", ""), *rows])
    if not rates.rounds:
        return text
    served = [
        (VARIANTS[name].label, f"{rates.of(name):,.0f}", _microseconds(rates.cost(name)))
        for name in VARIANTS
        if name in rates.rounds
    ]
    heads = ("server", "requests/s", "µs of its core each")
    return f"{text}\n\n{_aligned([heads, *served])}"


def results(figures: Figures, rates: Rates, *, date: str, seconds: int, rounds: int) -> str:
    """All there is to say about a run: no names of hosts, no paths."""
    return (
        json.dumps(
            {
                "date": date,
                "machine": machine.facts(),
                "load": {"connections": CONNECTIONS, "seconds": seconds, "rounds": rounds},
                "figures": [
                    {
                        "row": row,
                        "what": one.what,
                        "goal": one.goal
                        and {"at most" if one.goal.most else "at least": one.goal.bound},
                        "figure": float(shown(one.value)),
                        "unit": one.unit,
                        "met": None if one.goal is None else one.met,
                    }
                    for row, found in figures.items()
                    for one in found
                ],
                "servers": {
                    name: {
                        "requests per second": round(rates.of(name)),
                        "rounds": [round(one) for one in told],
                        "microseconds of processor": [round(one, 1) for one in rates.spent[name]],
                    }
                    for name, told in rates.rounds.items()
                },
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def shown(value: float) -> str:
    """Three figures that count, or all of a large number's."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _microseconds(cost: float | None) -> str:
    return "" if cost is None else f"{cost:.1f}"


def _goal(one: Figure) -> str:
    return "" if one.goal is None else f"{one.goal} {one.unit}"


def _met(one: Figure) -> str:
    return "" if one.goal is None else "met" if one.met else "NOT MET"


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    cells = [
        cell.rjust(width) if number else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
