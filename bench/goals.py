"""Figures, and the goals they are held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound, from below unless `most`."""

    bound: float
    most: bool = False

    def met_by(self, value: float) -> bool:
        return value <= self.bound if self.most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. Without a goal it only tells more of another."""

    what: str
    value: float
    goal: Goal | None
    unit: str = "×"

    @property
    def met(self) -> bool:
        return self.goal is None or self.goal.met_by(self.value)


def at_least(bound: float) -> Goal:
    return Goal(bound)


def at_most(bound: float) -> Goal:
    return Goal(bound, most=True)
