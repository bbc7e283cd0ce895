"""Anchors: checkpoints that somebody kept, and logs that hold them.

A log is full of what clients sent: addresses, paths, user agents. So only an entry that is a
checkpoint as a whole counts, never one that mentions it (CWE-117).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Anchors = Mapping[int, tuple[str, ...]]
"""Number of a checkpoint → each hash that was kept for it, as hex, in the order of the log. A log
that was never rolled back has one for each.
"""

_LOGGER = "authward.audit"
_LONGEST = 2000  # a line that is longer is no checkpoint, and no work for us
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_COLLECTED = re.compile(
    r"""^(?:
        [\w.-]+\s+\|\s                                                 # docker compose
        |(?:\w{3}\s+\d+\s[\d:]{8}|\d{4}-\S+)\s[\w.-]+\s[\w.-]+\[\d+\]:\s  # syslog, journald
        |\d{4}-\S+\s(?:(?:stdout|stderr)\s[FP]\s)?                     # Kubernetes, docker -t
    )(?=\S)""",
    re.VERBOSE,
)
_CONSOLE = re.compile(
    r"[0-9]{2}(?::[0-9]{2}){2} \[info *\] checkpoint +\[authward\.audit\] "
    r"hash=([0-9a-f]{64}) number=([0-9]{1,15})"
)
# Times, levels and signs, but no word that a client could have sent.
_NAMED = re.compile(r"[0-9A-Z\s:,.+\-()\[\]|/]*\bauthward\.audit\b[0-9A-Z\s:,.+\-()\[\]|/]*(?=\{)")
_HASH = re.compile(r"[0-9a-f]{64}")
_OWN = frozenset({"time", "kind", "number", "hash"})


def anchors_of(lines: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """The checkpoints that the lines of a log are: in JSON or as the console has them, or as an app
    logs them that configures logging itself; and what `audit checkpoint` prints.
    """
    found: dict[int, tuple[str, ...]] = {}
    for line in lines:
        if len(line) > _LONGEST or "checkpoint" not in line:
            continue
        told = _told(_COLLECTED.sub("", _COLORS.sub("", line)).rstrip())
        if told is not None:
            number, digest = told
            known = found.get(number, ())
            found[number] = known if digest in known else (*known, digest)
    return found


def _told(entry: str) -> tuple[int, str] | None:
    console = _CONSOLE.fullmatch(entry)
    if console is not None:
        return int(console[2]), console[1]
    if entry.startswith("{"):
        return _of_object(_object(entry))
    named = _NAMED.match(entry)
    return None if named is None else _of_ours(_object(entry[named.end() :]))


def _of_object(entry: dict[str, Any]) -> tuple[int, str] | None:
    if _LOGGER in (entry.get("logger"), entry.get("name")):
        message = entry.get("message")
        if message == "checkpoint":
            return _pair(entry)
        return _of_ours(_object(message)) if isinstance(message, str) else None
    return _of_ours(entry)


def _of_ours(entry: dict[str, Any]) -> tuple[int, str] | None:
    """Of the line as we hand it to logging, and as commands print it. Kept by hand, it may have no
    time.
    """
    whole = entry.keys() | {"time"} == _OWN and entry["kind"] == "checkpoint"
    return _pair(entry) if whole else None


def _pair(entry: dict[str, Any]) -> tuple[int, str] | None:
    number, digest = entry.get("number"), entry.get("hash")
    if type(number) is not int or type(digest) is not str or _HASH.fullmatch(digest) is None:
        return None
    return number, digest


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
