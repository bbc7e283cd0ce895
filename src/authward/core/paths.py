"""What an option says of single paths: exact ones, and prefixes written with a `*` at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar
from urllib.parse import unquote

from authward.errors import ConfigurationError

T = TypeVar("T")


class Paths(Generic[T]):
    """Values by path. The exact path goes before prefixes, a longer prefix before a shorter one.

    A path is compared as it is in the scope: decoded, case-sensitive, with no query, and nothing in
    it is resolved. Raises ConfigurationError with the name of the option.
    """

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, table: Mapping[str, T], option: str) -> None:
        self._exact: dict[str, T] = {}
        prefixes: dict[str, T] = {}
        for path, value in table.items():
            _check(path, option)
            if path.endswith("*"):
                prefixes[path[:-1]] = value
            else:
                self._exact[path] = value
        self._prefixes = sorted(prefixes.items(), key=lambda one: -len(one[0]))

    def get(self, path: str) -> T | None:
        """The value of this path, or None."""
        found = self._exact.get(path)
        if found is None:
            for prefix, value in self._prefixes:
                if path.startswith(prefix):
                    return value
        return found


def _check(path: str, option: str) -> None:
    given: object = path
    if not isinstance(given, str):
        raise ConfigurationError(f"{option}: {given!r} is no path. Write it like '/upload/*'")
    if not path.startswith("/"):
        guess = path.lstrip("*/")
        raise ConfigurationError(
            f"{option}: '{path}' does not begin with a slash. Did you mean '/{guess}'?"
        )
    if "?" in path:
        raise ConfigurationError(
            f"{option}: '{path}' has a query. Did you mean '{path.partition('?')[0]}'?"
        )
    if "*" in path[:-1]:
        guess = path.partition("*")[0]
        raise ConfigurationError(
            f"{option}: '{path}' has a '*' that is not its end. Did you mean '{guess}*'?"
        )
    # Meant for what clients send decoded, and without a name in braces: a limit would never count.
    if "{" in path:
        guess = path.partition("{")[0]
        raise ConfigurationError(
            f"{option}: '{path}' is the pattern of a route, and here only a '*' at the end stands "
            f"for anything. Did you mean '{guess}*'?"
        )
    if unquote(path) != path:
        raise ConfigurationError(
            f"{option}: '{path}' is encoded, and paths are compared decoded. "
            f"Did you mean '{unquote(path)}'?"
        )


def below_mount(path: str, root: str) -> str:
    """The path below the place where an app is mounted: what the app's own routes compare. `path`
    and `root` are the scope's `path` and `root_path`. A path that is not below it stays whole.
    """
    if not root or not path.startswith(root):
        return path
    below = path[len(root) :]
    if not below:
        return "/"
    return below if below[0] == "/" else path


def several(option: str, given: Iterable[str]) -> tuple[str, ...]:
    """What an option that takes a list of texts was given. A text is one too, of letters: raises
    ConfigurationError for that, and for what is no list of texts.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"{option}: this is a text. Did you mean {option}=['{given}']?")
    whatever: object = given
    texts: tuple[object, ...] = tuple(whatever) if isinstance(whatever, Iterable) else (None,)
    named = tuple(one for one in texts if isinstance(one, str))
    if len(named) < len(texts):
        raise ConfigurationError(f"{option}: {given!r} is no list of texts. Write ['…', '…']")
    return named
