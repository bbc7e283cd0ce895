"""The launcher itself: what other tests stand on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from tests import keeper, postgres


async def test_each_database_is_new_and_empty(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert await connection.fetchval(tables) == 0
        await connection.execute("CREATE TABLE mine (id int)")
    finally:
        await connection.close()

    copy = postgres.fresh_database(template=postgres_url)
    try:
        connection = await asyncpg.connect(copy)
        try:
            assert await connection.fetchval("SELECT count(*) FROM mine") == 0
        finally:
            await connection.close()
    finally:
        postgres.drop_database(copy)


def test_both_kinds_of_database_are_offered(database_url: str) -> None:
    assert database_url.startswith(("sqlite:////", "postgresql://"))


@pytest.mark.parametrize("how", ["told", "orphaned"])
def test_the_keeper_leaves_nothing_behind(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    pid_file = tmp_path / "pid"
    owner = subprocess.Popen(["sleep", "60"])
    command = ["sh", "-c", f"echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 60"]
    guard = subprocess.Popen(
        [sys.executable, keeper.__file__, str(owner.pid), str(folder), "", *command],
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")},
    )
    while not pid_file.exists():
        time.sleep(0.01)
    server = int(pid_file.read_text())
    assert keeper.alive(server)

    if how == "told":
        guard.send_signal(signal.SIGTERM)
    else:
        owner.kill()
        owner.wait()
    assert guard.wait(20) == 0
    assert not keeper.alive(server)
    assert not folder.exists()
    owner.kill()
    owner.wait()
