"""What a million clients of one request each cost the limiter: bytes for one, as JSON.

`bytes`: the process's memory, as the system counts it, before and after; the clients' keys, made
for it, are counted too. `kept`: its entries after two million more clients; `setting` bounds them.
"""

from __future__ import annotations

import gc
import json
import resource
from collections.abc import Iterator
from pathlib import Path

from authward.core.limits import Limit, SlidingWindows

CLIENTS = 1_000_000
MOST_KEYS = 1_100_000


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def addresses(first: int, count: int) -> Iterator[str]:
    for number in range(first, first + count):
        yield f"{10 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def main() -> None:
    windows = SlidingWindows(Limit(100, 900.0), most_keys=MOST_KEYS)
    gc.collect()
    before = resident()
    for number, client in enumerate(addresses(0, CLIENTS)):
        windows.take(client, number / CLIENTS)
    used = resident() - before
    counted = len(windows)
    for number, client in enumerate(addresses(CLIENTS, 2 * CLIENTS)):
        windows.take(client, 1 + number / CLIENTS)
    result = {
        "bytes": used / CLIENTS,
        "clients": counted,
        "kept": len(windows),
        "setting": MOST_KEYS,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
