"""Where an export goes: a file for our eyes only, or whatever stream somebody named."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TextIO, cast

import click

STDOUT = ("-", "/dev/stdout")
# Links there are what the system says of descriptors that are open already.
_DESCRIPTORS = ("/dev", "/dev/fd", "/proc/self/fd")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def output_to(path: str) -> Iterator[TextIO]:
    """Standard output, a pipe or a terminal, or else a new file that only we may read: rows hold
    addresses and user agents (CWE-732). It takes the place of what was there once it is whole.
    Raises click.ClickException.
    """
    if path in STDOUT:
        with click.open_file("-", "w", encoding="utf-8") as stdout:
            yield cast("TextIO", stdout)
        return
    try:
        with _opened(path) as file:
            yield file
    except BrokenPipeError:
        raise  # the reader had enough: no error of ours
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None


def _opened(path: str) -> AbstractContextManager[TextIO]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    whole = found is None or stat.S_ISREG(found.st_mode)
    # Somebody else may have put it there, to have a file of ours overwritten (CWE-59).
    if os.path.islink(path) and (whole or os.path.dirname(path) not in _DESCRIPTORS):
        raise _refused(path, "is a link. Name the file it leads to, or another")
    if found is None or whole:
        return _new_file(path)
    return _stream(path, found)


@contextmanager
def _new_file(path: str) -> Iterator[TextIO]:
    """A file beside `path`, which is renamed to it: whoever may read the one there, or has it open,
    reads nothing of ours, and half an export never stands under its name.
    """
    part = os.path.join(os.path.dirname(path), f".authward-export-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(part, _NEW, 0o600)
    except OSError as error:
        raise _refused(path, f"no file can be made beside it: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


@contextmanager
def _stream(path: str, found: os.stat_result) -> Iterator[TextIO]:
    _check(path, found)  # before it is opened: a pipe waits there for its reader
    descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "w", encoding="utf-8") as file:
        _check(path, os.fstat(descriptor))  # whatever it is by now
        yield file


def _check(path: str, found: os.stat_result) -> None:
    if stat.S_ISFIFO(found.st_mode):
        if found.st_uid != os.geteuid():
            raise _refused(path, "is a pipe of another user, who would read what is exported")
    elif not stat.S_ISCHR(found.st_mode):
        raise _refused(path, "is neither a file nor a pipe nor a terminal")


def _refused(path: str, why: str) -> click.ClickException:
    return click.ClickException(f"-o {click.format_filename(path)}: {why}")
