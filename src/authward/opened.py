"""What `install(…, public=[…])` names as being for anyone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from authward.core.paths import several
from authward.declared import ANYONE, Declared, plain
from authward.errors import ConfigurationError
from authward.walking import METHODS

KINDS = ("websocket", "mount", "frontend")
_WRITTEN = re.compile(r"([^\s/]+)\s*(/.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Opened:
    """A path for anyone: of all that is undeclared there, or, with `how`, of one method or kind."""

    path: str
    how: str = ""

    def __str__(self) -> str:
        return f"{self.how} {self.path}".strip()

    def names(self, one: Declared) -> bool:
        return self.names_route(one) or self.names_below(one)

    def names_route(self, one: Declared) -> bool:
        """Whether `one` is a route at this very path."""
        own = one.methods == (self.how,) if one.kind == "http" else one.kind == self.how
        return self.path == one.path and not _opaque(one) and (own or not self.how)

    def names_below(self, one: Declared) -> bool:
        """Whether `one` is what is mounted there, or lies below."""
        if self.how in ("", "frontend") and one.kind == "frontend" and self._is(one.path):
            return True
        mounts = one.below[:-1] if one.kind == "frontend" else one.below
        return self.how in ("", "mount") and any(map(self._is, mounts))

    def _is(self, mount: str) -> bool:
        return self.path in (mount, f"{mount}/")


def public_paths(given: Collection[str]) -> tuple[Opened, ...]:
    """What `install` takes as public. Raises ConfigurationError."""
    return tuple(map(_read, several("public", given)))


def _read(text: object) -> Opened:
    if type(text) is str:
        if text.startswith("/"):
            return Opened(plain(text))
        found = _WRITTEN.fullmatch(text)
        if found is not None:
            return _with_word(text, *found.groups())
    raise ConfigurationError(
        f"public: {text!r} is not a path. It begins with '/', as in public=['/health'], or with a "
        "method, as in public=['GET /health']"
    )


def _with_word(text: str, word: str, path: str) -> Opened:
    how = word.lower() if word.lower() in KINDS else word.upper()
    if how not in (*METHODS, *KINDS):
        raise ConfigurationError(
            f"public: in {text!r} {word!r} is no method. Before a path stands one of "
            f"{', '.join(METHODS)}, or {', '.join(KINDS)}, or nothing"
        )
    if text != f"{how} {path}":
        raise ConfigurationError(f"public: {text!r}? Did you mean '{how} {path}'?")
    return Opened(plain(path), how)


def with_public(
    found: Sequence[Declared], given: Collection[Opened], pages: Collection[str], *, strict: bool
) -> list[Declared]:
    """`found`, with what `given` names declared: a route, of those with several methods perhaps
    some, or a mount and all below it. Guards below a mount go on asking.

    Raises ConfigurationError for what names a route with a guard, for a path that is that of a
    route and of a mount, and, if `strict`, for what names nothing; but one of `pages` may be
    switched off.
    """
    apart = [part for one in found for part in _by_method(one, given)]
    opaque = {one.path for one in found if _opaque(one)}
    for what in given:
        _check_one_meaning(what, [one for one in apart if one.who is None])
        for one in apart:
            if (
                what.names_route(one)
                and (what.how or what.path not in opaque)
                and one.who is not None
                and one.who.needs
            ):
                raise ConfigurationError(
                    f"public: {what} is named, and {one} has a guard: {one.who}. "
                    "Remove one of the two"
                )
    if strict:
        _check_used(given, apart, pages)
    return [
        replace(one, who=ANYONE)
        if one.who is None and any(what.names(one) for what in given)
        else one
        for one in apart
    ]


def _opaque(one: Declared) -> bool:
    return one.below[-1:] == (one.path,) and one.kind in ("mount", "frontend")


def _by_method(one: Declared, given: Iterable[Opened]) -> list[Declared]:
    """A route that takes several methods, as one for each that is named and one for the others."""
    if one.kind != "http":
        return [one]
    named = {what.how for what in given if what.path == one.path}.intersection(METHODS)
    apart = sorted(named.intersection(one.methods) if one.methods else named)
    rest = tuple(method for method in one.methods if method not in apart)
    parts = [replace(one, methods=(method,)) for method in apart]
    return parts if parts and one.methods and not rest else [*parts, replace(one, methods=rest)]


def _check_one_meaning(what: Opened, undeclared: Sequence[Declared]) -> None:
    """Who opens a page at / does not mean all the files that are mounted there."""
    routes = [one for one in undeclared if what.names_route(one)]
    below = [one for one in undeclared if what.names_below(one)]
    if what.how or not routes or not below:
        return
    kind = "frontend" if all(one.kind == "frontend" for one in below) else "mount"
    words = (
        ("websocket",) if one.kind == "websocket" else one.methods or ("GET",) for one in routes
    )
    ways = [*dict.fromkeys(chain.from_iterable(words)), kind]
    said = ", ".join(f"'{word} {what}'" for word in ways)
    raise ConfigurationError(
        f"public: {what} is the path of {routes[0]}, and of a {kind} with all below it. "
        f"Say which you mean, or each of them: {said}"
    )


def _check_used(given: Iterable[Opened], found: Sequence[Declared], pages: Collection[str]) -> None:
    unused = []
    for what in given:
        if what.path not in pages and not any(map(what.names, found)):
            there = sorted({one.how for one in found if Opened(what.path).names(one)})
            unused.append(f"{what} (but {', '.join(there)})" if there else str(what))
    if unused:
        raise ConfigurationError(
            f"public: nothing lies at {', '.join(sorted(unused))}. Name the whole path of a route, "
            "as `authward routes` shows it, or of a mount or frontend"
        )
