"""What a single setting may say, and how one that is wrong is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from authward.core.limits import Limit
from authward.core.text import printable
from authward.errors import ConfigurationError

MOUNTS = Path("/proc/mounts")
_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d|w)?")
_UNITS = {None: 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BOUNDS = {
    "less_than_equal": ("le", "is too much. Take {} at most"),
    "greater_than_equal": ("ge", "is too little. Take {} at least"),
}
_KINDS = {
    "bool_parsing": "is neither true nor false",
    "int_parsing": "is no whole number. Write it in digits",
    "string_too_short": "is empty. Leave it out, or write a word",
    "string_too_long": "is too long. Take {max_length} characters at most",
}
_NETWORK_FILESYSTEMS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "fuse.sshfs",
    "ceph",
    "glusterfs",
)


def parse_duration(value: object) -> object:
    """`90`, `15m`, `7d` or `500ms` as seconds."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found:
            return int(found[1]) * _UNITS[found[2]]
        raise ValueError(f"'{value}' is not a duration. Write it like '15m', '7d' or '30s'")
    return value


def parse_limit(value: object) -> object:
    """`100/15m`, or `off` as None."""
    return Limit.parse(value) if isinstance(value, str) else value


def parse_duration_or_off(value: object) -> object:
    """`30d`, or `off` as None."""
    if isinstance(value, str) and value.strip().lower() in ("off", "none"):
        return None
    return parse_duration(value)


def split(value: object) -> object:
    """Names with commas between, as a list."""
    if isinstance(value, str):
        if '"' in value or ";" in value:
            raise ValueError(f"'{value}' is no list. Write commas between, without quotes: 'a, b'")
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def check_database_url(value: str) -> str:
    """The address of a database that we know. Raises ConfigurationError."""
    scheme = value.partition(":")[0]
    if scheme not in ("sqlite", "postgresql"):
        raise ConfigurationError(
            f"database_url: scheme '{scheme}' is not known. "
            "Use sqlite:///authward.db or postgresql://user@host/name"
        )
    # Two slashes would name a host, and the file after them would be silently another.
    if scheme == "sqlite" and not value.startswith("sqlite:///"):
        name = value.removeprefix("sqlite:").lstrip("/") or "authward.db"
        raise ConfigurationError(
            f"database_url: '{value}' names no file. Did you mean 'sqlite:///{name}'?"
        )
    if value.startswith("sqlite:///:memory:"):
        raise ConfigurationError(
            "database_url: ':memory:' would be another database on each connection. Name a file"
        )
    return value


def check_redis_url(value: str) -> str:
    """The address of a Redis, whose client is there. Raises ConfigurationError."""
    # redis-py takes what it cannot read for localhost and database 0. Nothing of the value is
    # told: it may hold a password anywhere.
    if not _names_redis(value):
        raise ConfigurationError(
            "redis_url: names no server. "
            "Use redis://user:password@host:6379/0, rediss://host:6379/0 or unix:///path"
        )
    if find_spec("redis") is None:
        raise ConfigurationError("redis_url: needs Redis's client: pip install redis hiredis")
    return value


def _names_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return url.startswith("unix://") and not parts.hostname and len(parts.path) > 1
        stated = parts.port is None or parts.port > 0
    except ValueError:
        return False
    database = re.fullmatch("/?[0-9]*", parts.path, re.ASCII)
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname and database) and stated


def refuse_unknown_variables(
    environment: Mapping[str, str], prefix: str, fields: Mapping[str, object]
) -> None:
    """Refuse a variable that looks like a setting and is none: a typing error would be silently
    the default. Raises ConfigurationError.
    """
    known = {prefix + name.upper() for name in fields}
    for name in environment:
        if (
            name.upper().startswith(prefix)
            and name.upper() not in known
            and not name.startswith("AUTHWARD_TEST_")
        ):
            import difflib

            # Without the prefix, which would make any two names look alike.
            names = [one.upper() for one in fields]
            close = difflib.get_close_matches(name.upper().removeprefix(prefix), names, n=1)
            hint = (
                f" Did you mean {prefix}{close[0]}?"
                if close
                else " See the settings page of the docs"
            )
            raise ConfigurationError(f"{name}: no such setting.{hint}")


def explain(error: ValidationError, durations: Collection[str] = ()) -> str:
    """What was wrong with which setting, a line each. Of values only choices are told, as others
    may be secrets. Bounds of the settings in `durations` are told as those are written.
    """
    lines = []
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"]) or "settings"
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            text = "no such setting"
        elif problem["type"] == "literal_error":
            # Settings that are a choice hold no secret: their value may be told.
            text = _no_choice(str(problem["input"]), problem["ctx"]["expected"])
        elif problem["type"] in _BOUNDS:
            side, told = _BOUNDS[problem["type"]]
            bound = problem["ctx"][side]
            text = told.format(_written(bound) if name in durations else bound)
        elif problem["type"] in _KINDS:
            text = _KINDS[problem["type"]].format(**problem.get("ctx", {}))
        lines.append(f"{name}: {text}")
    return "\n".join(lines)


def _written(seconds: float) -> str:
    """A duration as a setting has it: `600` is `10m`."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms" if seconds else "0"


def _no_choice(value: str, expected: str) -> str:
    import difflib

    choices = re.findall(r"'([^']*)'", expected)
    shown = printable(value, 40)
    meant = value.strip().lower()
    names = {one.lower(): one for one in choices}
    close = [names[one] for one in names if len(meant) > 1 and one.startswith(meant)]
    close += [names[one] for one in difflib.get_close_matches(meant, names, n=1, cutoff=0.5)]
    hint = f"Did you mean '{close[0]}'?" if close else f"Use one of: {', '.join(choices)}"
    return f"'{shown}' is none of the choices. {hint}"


def lies_on_network(path: Path) -> bool:
    """Whether the system shows `path` on a network file system. Unknown systems pass."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    real = path.resolve()
    best = ("", "")
    for line in mounts:
        fields = line.split(" ")
        # A space in a folder's name is written \040 there.
        point = fields[1].replace("\\040", " ") if len(fields) > 2 else ""
        if point and real.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, fields[2])
    return best[1] in _NETWORK_FILESYSTEMS
