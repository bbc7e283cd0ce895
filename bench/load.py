"""Requests per second, by wrk from the other core, round by round."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from statistics import median

from bench.machine import cores, pinned, program
from bench.serving import PATH, Broken, Server

CONNECTIONS = 32
WARM_S = 1
_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)", re.MULTILINE)
_LOST = re.compile(r"(Non-2xx or 3xx responses: .*|Socket errors: .*)")


@dataclass(slots=True)
class Rates:
    """Requests per second of each variant, one for each round."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """The median."""
        return median(self.rounds[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times as fast `name` is as `other`: the median of the rounds' own ratios, so
        that a machine that slows down slows both.
        """
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return median(one / two for one, two in pairs)


def measure(servers: dict[str, Server], *, seconds: int, rounds: int) -> Rates:
    """Every server in turn, and all of them again. Every second round runs the other way."""
    wrk = program("wrk", "wrk")
    rates = Rates({name: [] for name in servers})
    for number in range(rounds):
        ordered = list(servers.values())
        for server in ordered if number % 2 == 0 else reversed(ordered):
            server.go_on()
            try:
                _load(wrk, server, WARM_S)
                rate = _load(wrk, server, seconds)
            finally:
                server.stop()
            rates.rounds[server.name].append(rate)
            print(f"bench: round {number + 1}  {server.name:14} {rate:9,.0f}/s", file=sys.stderr)
    return rates


def _load(wrk: str, server: Server, seconds: int) -> float:
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
    rate, lost = _RATE.search(done.stdout), _LOST.search(done.stdout)
    if done.returncode or rate is None or lost is not None:
        told = lost[0] if lost else done.stdout + done.stderr
        raise Broken(f"{server.name} under load: {told.strip()}")
    return float(rate[1])
