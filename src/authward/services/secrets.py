"""The file that holds the master secret."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from authward.errors import ConfigurationError


def read_secret_file(path: Path) -> str:
    """The secret in a file. Raises ConfigurationError if it cannot be read, or others may read
    it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"secret_file: {path} cannot be read ({error})") from error
    if os.name == "posix" and mode & 0o077:
        raise ConfigurationError(f"secret_file: others may read {path}. Run: chmod 600 {path}")
    return text


def make_secret_file(path: Path) -> str:
    """Make a secret in a new file only we can read, or read the one that is there. Safe for
    several processes at once.
    """
    if path.exists():
        return read_secret_file(path)
    # Written aside and linked into place: nobody ever sees half a secret, and of two makers one
    # wins.
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    except OSError as error:
        raise ConfigurationError(f"secret_file: {path} cannot be written ({error})") from error
    return read_secret_file(path)
