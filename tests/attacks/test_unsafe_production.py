"""A server that starts in production although it is unsafe there. Each is refused by the command
itself, before it listens or makes a file, with the setting's name and the cure.

CWE-1188 (insecure defaults), ASVS 13.1 and 13.3; OWASP A05:2021.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT, SECRET

SAFE = {
    "ENV": "production",
    "SECRET": SECRET,
    "PUBLIC_URL": "https://api.example.com",
    "DATABASE_URL": "sqlite:///authward.db",
}
# Where the system shows a network file system: nobody but root can mount one for a test.
ON_NAS = """
import sys
from pathlib import Path
from authward import checks
checks.MOUNTS = Path("mounts")
from authward.cli import main
main(prog_name="authward")
"""


def refused(folder: Path, other: dict[str, str], *program: str) -> str:
    """What `authward serve` says of these settings on top of the safe ones; "" takes one away."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHWARD_")}
    given = {name: value for name, value in {**SAFE, **other}.items() if value}
    before = set(folder.iterdir())
    done = subprocess.run(
        [sys.executable, *(program or ("-m", "authward")), "serve", "--port", "0"],
        cwd=folder,
        env={
            **kept,
            "PYTHONPATH": str(ROOT),
            **{f"AUTHWARD_{name}": value for name, value in given.items()},
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("authward: ")
    assert "Traceback" not in done.stderr
    assert set(folder.iterdir()) == before
    return done.stderr


@pytest.mark.parametrize(
    ("given", "said", "cure"),
    [
        ({"SECRET": ""}, "secret: missing", "openssl rand -base64 32"),
        ({"SECRET": "hunter2"}, "secret", "openssl rand -base64 32"),
        (
            {"SECRET": "your-super-secret-jwt-key-change-this-in-production"},
            "secret",
            "openssl rand -base64 32",
        ),
        ({"SECRET": "a" * 64}, "secret", "openssl rand -base64 32"),
        ({"SECRET": "", "SECRET_FILE": "absent"}, "secret_file: absent", "cannot be read"),
        ({"SECRET": "", "SECRET_FILE": "open"}, "secret_file: others may read", "chmod 600"),
        ({"SECRET": "", "SECRET_FILE": "short"}, "secret", "openssl rand -base64 32"),
        ({"DEBUG": "true"}, "debug: must be off", "production"),
        ({"ORIGINS": "http://app.example.com"}, "origins: 'http://app.example.com'", "Use https"),
        ({"PUBLIC_URL": "http://api.example.com"}, "public_url: 'http://", "Use https"),
        ({"TRUSTED_PROXIES": "everybody"}, "trusted_proxies: 'everybody'", "Write it like"),
        ({"ACCESS_TTL": "2h"}, "access_ttl: above 1h", "dangerously_long_access_tokens"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_it_does_not_start_and_says_the_cure(
    tmp_path: Path, given: dict[str, str], said: str, cure: str
) -> None:
    (tmp_path / "open").write_text(SECRET)
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "short").write_text("hunter2")
    (tmp_path / "short").chmod(0o600)
    message = refused(tmp_path, given)
    assert said in message
    assert cure in message
    # A secret that is refused may still be somebody's password.
    if len(given.get("SECRET", "")) > 6:
        assert given["SECRET"] not in message


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_sqlite_on_a_network_path(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mounts").write_text(
        f"/dev/sda1 / ext4 rw 0 0\nnas:/export {tmp_path}/data {kind} rw 0 0\n"
    )
    (tmp_path / "data").mkdir()
    url = f"sqlite:///{tmp_path}/data/auth.db"
    message = refused(tmp_path, {"DATABASE_URL": url}, "-c", ON_NAS)
    assert message.startswith(f"authward: database_url: {tmp_path}/data/auth.db lies on a network")
    assert "Use a local disk or PostgreSQL" in message
