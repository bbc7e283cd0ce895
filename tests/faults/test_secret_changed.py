"""The master secret is changed between two runs of a server of four processes: nobody is signed
out, and the old one opens nothing (NIST SP 800-57 part 1, section 8.2.3).
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleets import WORKERS
from tests.serving import (
    SECRET,
    environment,
    refresh_headers,
    register,
    serving,
    sign_in,
)

NEW = "t5GkQz2Wn8Vb0Ld7Xc4Rf1Hj6Ps9My3EaUiOqTwYvZo"


@pytest.mark.parametrize("database", ["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def test_nobody_is_signed_out(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    if database == "pg":
        url = request.getfixturevalue("postgres_url")
    with serving(url, tmp_path) as before, before.client() as client:
        ada = register(client)
    with (
        serving(url, tmp_path, workers=WORKERS, secret=NEW, secret_previous=SECRET) as server,
        server.client() as client,
    ):
        for _ in range(4 * WORKERS):
            assert client.get("/api/profile", headers=ada.bearer).status_code == 200
            answer = client.post("/api/auth/refresh-token", headers=refresh_headers(ada))
            assert answer.status_code == 200
        assert sign_in(client, ada.email).id == ada.id
    listed = [sys.executable, "-m", "authward", "keys", "list", "--json"]
    for secret, code in ((SECRET, 2), (NEW, 0)):
        done = subprocess.run(
            listed,
            env=environment(url, secret=secret),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert ("does not open key" in done.stdout) == (secret == SECRET)
