"""Paths that a protection lets alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

from authward.core.paths import Paths, below_mount, several
from authward.errors import ConfigurationError

# What a framework, a file system or a server behind may take for another path: empty, `.` and `..`
# segments, backslashes, and a second decoding that would make some.
_UNRESOLVED = re.compile(r"//|\\|/\.{1,2}(?:[/;]|$)|%(?:2e|2f|5c)", re.IGNORECASE)


class OpenPaths:
    """Paths that are let alone, exactly or with `*` at the end. One that may be taken for another,
    like `/hooks/../transfer`, never is. Raises ConfigurationError with the name of the option.
    """

    __slots__ = ("_paths",)

    def __init__(self, given: Iterable[str], option: str) -> None:
        paths = dict.fromkeys(several(option, given), True)
        if "/*" in paths:
            raise ConfigurationError(
                f"{option}: '/*' would let everybody in everywhere. Name single paths, "
                "like '/health' or '/hooks/*'"
            )
        for path in paths:
            # '/static/.*' is for files like '/static/.well-known'.
            if _UNRESOLVED.search(path):
                raise ConfigurationError(
                    f"{option}: '{path}' may be taken for another path, and would never be let "
                    "alone. Write it without '//', '/./', '/../', '\\' and what decodes to them"
                )
        self._paths = Paths(paths, option)

    def hold(self, path: str, root: str = "") -> bool:
        """Whether this path is one of them, as the app's own routes see it: below its mount. `path`
        and `root` are the scope's `path` and `root_path`.
        """
        # A client may choose what a mount like '/{tenant}' is called: that must open nothing. And
        # nothing of the whole may be in doubt, as who resolves it resolves the mount too.
        return self._paths.get(below_mount(path, root)) is True and not _UNRESOLVED.search(path)
