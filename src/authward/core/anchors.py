"""Anchors: checkpoints that somebody kept, and logs that hold them.

A log is full of what clients sent: addresses, paths, user agents. So only an entry that is a
checkpoint as a whole counts, never one that mentions it (CWE-117), and only one with our signature:
in the log of an app a client may well begin an entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from authward.core.chain import AuditKeys, Checkpoint, mac, same


class Anchor(NamedTuple):
    """A checkpoint as a line tells of it: its number, its hash and our signature of both, in hex;
    "" where it has none.
    """

    number: int
    hash: str
    mac: str


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
    r"hash=([0-9a-f]{64})(?: mac=([0-9a-f]{64}))? number=([0-9]{1,15})"
)
# Times, levels and signs, but no word that a client could have sent.
_NAMED = re.compile(r"[0-9A-Z\s:,.+\-()\[\]|/]*\bauthward\.audit\b[0-9A-Z\s:,.+\-()\[\]|/]*(?=\{)")
_HASH = re.compile(r"[0-9a-f]{64}")
_OWN = frozenset({"time", "kind", "number", "hash", "mac"})
_MOST = 2**63


def anchor_of(made: Checkpoint, keys: AuditKeys) -> Anchor:
    """The anchor of a checkpoint of ours."""
    told = made.hash.hex()
    return Anchor(made.number, told, _mac(keys.secrets[made.kid], made.number, told))


class Kept(NamedTuple):
    """The anchors that we signed, and how many lines told of others: somebody else's, or another
    database's.
    """

    anchors: Anchors
    ignored: int


def signed_anchors(told: Iterable[Anchor], keys: AuditKeys) -> Kept:
    """Those of `told` that we signed."""
    found: dict[int, tuple[str, ...]] = {}
    ignored = 0
    for one in told:
        known = found.get(one.number, ())
        if one.hash in known:
            continue
        made = [_mac(secret, one.number, one.hash) for secret in keys.secrets.values()]
        if any(same(one.mac.encode(), mine.encode()) for mine in made):
            found[one.number] = (*known, one.hash)
        else:
            ignored += 1
    return Kept(found, ignored)


def _mac(secret: bytes, number: int, told: str) -> str:
    return mac(secret, "anchor", number, told).hex()


def anchors_of(lines: Iterable[str]) -> Iterator[Anchor]:
    """The checkpoints that the lines of a log are, in the order of the log: in JSON or
    as the console has them, or as an app logs them that configures logging itself; and what
    `audit checkpoint` prints.
    """
    for line in lines:
        if len(line) > _LONGEST or "checkpoint" not in line:
            continue
        told = _told(_COLLECTED.sub("", _COLORS.sub("", line)).rstrip())
        if told is not None:
            yield told


def _told(entry: str) -> Anchor | None:
    console = _CONSOLE.fullmatch(entry)
    if console is not None:
        return Anchor(int(console[3]), console[1], console[2] or "")
    if entry.startswith("{"):
        return _of_object(_object(entry))
    named = _NAMED.match(entry)
    return None if named is None else _of_ours(_object(entry[named.end() :]))


def _of_object(entry: dict[str, Any]) -> Anchor | None:
    if _LOGGER in (entry.get("logger"), entry.get("name")):
        message = entry.get("message")
        if message == "checkpoint":
            return _anchor(entry)
        return _of_ours(_object(message)) if isinstance(message, str) else None
    return _of_ours(entry)


def _of_ours(entry: dict[str, Any]) -> Anchor | None:
    """Of the line as we hand it to logging, and as commands print it. Kept by hand, it may have no
    time.
    """
    whole = entry.keys() | {"time", "mac"} == _OWN and entry["kind"] == "checkpoint"
    return _anchor(entry) if whole else None


def _anchor(entry: dict[str, Any]) -> Anchor | None:
    number, *hexes = (entry.get(name) for name in ("number", "hash", "mac"))
    told, signature = (one if type(one) is str and _HASH.fullmatch(one) else "" for one in hexes)
    if type(number) is not int or not 0 < number < _MOST or not told:
        return None
    return Anchor(number, told, signature)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
