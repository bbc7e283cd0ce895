"""`python -m tests.faults.auditing URL`: a process that registers and refreshes until its standard
input ends, then stops in order. Prints a line once it has written something.
"""

import asyncio
import sys
from itertools import count
from secrets import token_hex

from authward import Authward
from authward import process as process_module
from authward.core.audit import Client
from tests.cheap import cheap_parameters
from tests.serving import PASSWORD, SECRET

HERE = Client("203.0.113.9", "a browser")


async def write(auth: Authward) -> None:
    services = auth.services
    for number in count():
        email = f"{token_hex(8)}@example.com"
        opened = await services.accounts.register(email, PASSWORD, "Ada", HERE, presented=None)
        for _ in range(3):
            opened = await services.sessions.refresh(opened.refresh_token, HERE)
        if not number:
            print("writing", flush=True)


async def main(url: str) -> None:
    cheap = cheap_parameters()
    vars(process_module)["HashParameters"] = lambda: cheap
    auth = Authward(database_url=url, secret=SECRET, refresh_grace=0)
    await auth.startup()
    writing = [asyncio.create_task(write(auth)) for _ in range(3)]
    await asyncio.to_thread(sys.stdin.read)
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await auth.shutdown()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
