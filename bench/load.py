"""Requests per second, by wrk from the other core, round by round."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median

from bench.machine import cores, pinned, program
from bench.serving import PATH, Broken, Server

CONNECTIONS = 32
WARM_S = 1
# Less of its core, and somebody else had the rest.
WHOLE = 0.95
_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)", re.MULTILINE)
_DONE = re.compile(r"^\s+([0-9]+) requests in ", re.MULTILINE)
_LOST = re.compile(r"(Non-2xx or 3xx responses: .*|Socket errors: .*)")


@dataclass(slots=True)
class Rates:
    """Requests per second of each variant, one for each round; and the microseconds of processor
    time that a request cost its server, where the system tells.
    """

    rounds: dict[str, list[float]] = field(default_factory=dict)
    spent: dict[str, list[float]] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """The median."""
        return median(self.rounds[name])

    def cost(self, name: str) -> float | None:
        """The median of the microseconds. It tells more than the rate where the core was shared."""
        return median(self.spent[name]) if self.spent[name] else None

    def ratio(self, name: str, other: str) -> float:
        """How many times as fast `name` is as `other`: the median of the rounds' own ratios, so
        that a machine that slows down slows both.
        """
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return median(one / two for one, two in pairs)


def measure(servers: dict[str, Server], *, seconds: int, rounds: int) -> Rates:
    """Every server in turn, and all of them again. Every second round runs the other way."""
    wrk = program("wrk", "wrk")
    rates = Rates({name: [] for name in servers}, {name: [] for name in servers})
    for number in range(rounds):
        ordered = list(servers.values())
        for server in ordered if number % 2 == 0 else reversed(ordered):
            server.go_on()
            try:
                _load(wrk, server, WARM_S)
                before, began = server.processor_time(), time.perf_counter()
                rate, done = _load(wrk, server, seconds)
                took = time.perf_counter() - began
                used = server.processor_time() - before
            finally:
                server.stop()
            rates.rounds[server.name].append(rate)
            if used:
                rates.spent[server.name].append(used / done * 1e6)
            shared = f"  only {used / took:.0%} of its core" if 0 < used < WHOLE * took else ""
            told = f"bench: round {number + 1}  {server.name:14} {rate:9,.0f}/s{shared}"
            print(told, file=sys.stderr)
    return rates


def _load(wrk: str, server: Server, seconds: int) -> tuple[float, int]:
    """Requests per second, and how many there were. Raises Broken."""
    headers = [
        part for name, value in server.headers.items() for part in ("-H", f"{name}: {value}")
    ]
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *headers]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}{PATH}"],
        capture_output=True,
        text=True,
        preexec_fn=pinned(cores()[1]),
    )
    rate, count = _RATE.search(done.stdout), _DONE.search(done.stdout)
    lost = _LOST.search(done.stdout)
    if done.returncode or rate is None or count is None or lost is not None:
        told = lost[0] if lost else done.stdout + done.stderr
        raise Broken(f"{server.name} under load: {told.strip()}")
    return float(rate[1]), int(count[1])
