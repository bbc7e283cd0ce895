"""The FastAPI route with everything on, against other stacks."""

from __future__ import annotations

from collections.abc import Iterator

from bench.goals import Figure, at_least
from bench.load import Rates

VARIANTS = ("fastapi-ours", "express", "express-guide", "authx", "fastapi-users")
_GOALS = {"express-guide": 5, "authx": 4, "fastapi-users": 14}
_NAMES = {
    "express-guide": "Express with helmet, cors, express-rate-limit, csrf-csrf, jsonwebtoken",
    "authx": "AuthX with slowapi and CORSMiddleware",
    "fastapi-users": "fastapi-users with slowapi, CORSMiddleware and secure",
}


def figures(rates: Rates) -> Iterator[Figure]:
    for name, goal in _GOALS.items():
        yield Figure(
            f"FastAPI route with everything on, against {_NAMES[name]}",
            rates.ratio("fastapi-ours", name),
            at_least(goal),
        )
