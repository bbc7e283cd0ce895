"""Anchors: checkpoints that somebody kept, and logs that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_NUMBER = re.compile(r"\bnumber\W{1,4}([0-9]{1,15})\b")
_HASH = re.compile(r"\bhash\W{1,4}([0-9a-f]{64})\b")


def anchors_of(lines: Iterable[str]) -> dict[int, str]:
    """The checkpoints that lines of a log tell of, by number: of either form that our server
    writes, whatever stands before it in the line.
    """
    found: dict[int, str] = {}
    for line in lines:
        if "checkpoint" not in line:
            continue
        told = _COLORS.sub("", line)
        number, digest = _NUMBER.search(told), _HASH.search(told)
        if number is not None and digest is not None:
            found[int(number[1])] = digest[1]
    return found
