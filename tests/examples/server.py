"""Serves the examples with uvicorn, each on a free port and with a database of its own.

    python server.py 'NAME SETTING=VALUE…'…

Says {NAME: address} on one line of stdout once all have started; ends when stdin does.
"""

import asyncio
import json
import os
import sys
from importlib import import_module

from uvicorn import Config, Server


def load(example: str) -> Server:
    name, *settings = example.split()
    for setting in settings:
        key, _, value = setting.partition("=")
        os.environ[f"AUTHWARD_{key.upper()}"] = value
    os.environ["AUTHWARD_DATABASE_URL"] = f"sqlite:///{name}.db"
    app = import_module(f"examples.{name}").app
    for setting in settings:
        del os.environ[f"AUTHWARD_{setting.partition('=')[0].upper()}"]
    return Server(Config(app, host="127.0.0.1", port=0, log_level="warning"))


def address(server: Server) -> str:
    port = server.servers[0].sockets[0].getsockname()[1]
    return f"http://127.0.0.1:{port}"


async def serve(servers: dict[str, Server]) -> None:
    running = [asyncio.create_task(server.serve()) for server in servers.values()]
    while not all(server.started for server in servers.values()):
        if any(task.done() for task in running):
            sys.exit("an example did not start")
        await asyncio.sleep(0.01)
    print(json.dumps({name: address(server) for name, server in servers.items()}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for server in servers.values():
        server.should_exit = True
    await asyncio.gather(*running)


if __name__ == "__main__":
    asyncio.run(serve({one.split()[0]: load(one) for one in sys.argv[1:]}))
