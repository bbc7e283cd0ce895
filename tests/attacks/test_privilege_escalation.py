"""Rights from nothing (CWE-269, CWE-266): managers of roles who would be more than they are.

Thieves with rights to manage send whatever comes to mind, by luck. After each step the database
tells what everybody may do: worked out here, of single permissions and no wildcards, by no code of
the server. Nobody but an admin ever gave or took what they did not hold.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.attacks.tables import Tables, tables, untold
from tests.here import OPERATOR, Here
from tests.serving import Account

STEPS = 250
# What may be granted here. "other" stands for all the verbs and resources that nobody names.
VERBS = ("read", "update", "delete", "list", "manage", "assign", "other")
RESOURCES = ("users", "roles", "permissions", "posts", "other")
EVERYTHING = frozenset(f"{verb}:{resource}" for verb in VERBS for resource in RESOURCES)
GRANTS = (
    *(f"{verb}:{resource}" for verb in VERBS[:-1] for resource in RESOURCES[:-1]),
    *(f"{verb}:*" for verb in VERBS[:-1]),
    *(f"*:{resource}" for resource in RESOURCES[:-1]),
    "*:*",
)
THIEVES: Mapping[str, tuple[str, ...]] = {
    "role-maker": ("manage:roles", "read:posts"),
    "giver": ("assign:roles", "read:users", "update:users", "*:posts"),
    "granter": ("assign:permissions", "read:*", "update:posts"),
    "manager": ("manage:*", "assign:*", "read:*", "update:users", "delete:users"),
}
NAMES = ("admin", "moderator", "user", "new-one", "new-two", *THIEVES)
Rights = dict[str, frozenset[str]]


def single(grant: str) -> frozenset[str]:
    """The single permissions that a grant stands for."""
    verb, resource = grant.split(":")
    return frozenset(
        one
        for one in EVERYTHING
        if verb in ("*", one.split(":")[0]) and resource in ("*", one.split(":")[1])
    )


def rights(found: Tables) -> Rights:
    """Account → all that it may do."""
    of_role: dict[str, frozenset[str]] = {name: frozenset() for (name,) in found["roles"]}
    for role, permission in found["role_permissions"]:
        of_role[role] |= single(permission)
    # Round by round until nothing moves.
    while True:
        before = dict(of_role)
        for role, included in found["role_includes"]:
            of_role[role] |= of_role[included]
        if of_role == before:
            break
    held: Rights = {}
    for (user_id,), row in found["users"].items():
        held[user_id] = frozenset().union(
            *(single(one) for one in json.loads(row["permissions"])),
            *(of_role[name] for name in [row["role"], *json.loads(row["additional_roles"])]),
        )
    return held


def admins(found: Tables) -> set[str]:
    return {
        user_id
        for (user_id,), row in found["users"].items()
        if row["role"] == "admin" and row["disabled_at"] is None
    }


def addresses(found: Tables) -> set[tuple[str, str]]:
    return {(user_id, row["email"]) for (user_id,), row in found["users"].items()}


def kept(found: Tables) -> Tables:
    """What a refused request leaves alone. Sessions are those of who signed in again."""
    return {name: rows for name, rows in untold(found).items() if name != "sessions"}


@dataclass
class Band:
    """Thieves, those they act on, and what they try."""

    here: Here
    luck: random.Random
    people: list[Account]
    bystanders: list[str]

    def grants(self, held: frozenset[str]) -> list[str]:
        """Of what they may give, or of all there is."""
        own = [grant for grant in GRANTS if single(grant) <= held]
        pool = own if own and self.luck.random() < 0.6 else list(GRANTS)
        return self.luck.sample(pool, min(len(pool), self.luck.randint(0, 3)))

    def roles(self, most: int) -> list[str]:
        return self.luck.sample(NAMES, self.luck.randint(0, most))

    def attempt(self, held: frozenset[str]) -> tuple[str, str, Any]:
        target = self.luck.choice([*self.bystanders, *(one.id for one in self.people)])
        user, role = f"/api/users/{target}", f"/api/roles/{self.luck.choice(NAMES)}"
        given = {"role": self.luck.choice(NAMES), "additionalRoles": self.roles(2)}
        permissions = self.grants(held)
        return self.luck.choice(
            [
                ("PUT", role, {"permissions": permissions, "includes": self.roles(2)}),
                ("PUT", role, {"permissions": permissions}),
                ("DELETE", role, None),
                ("PUT", f"{user}/role", given),
                ("PUT", f"{user}/role", {"role": given["role"]}),
                ("PUT", f"{user}/permissions", {"permissions": permissions}),
                ("PUT", user, {"disabled": self.luck.random() < 0.3}),
                ("PUT", user, {"email": f"{self.luck.randrange(10**9)}@example.com"}),
                *([("DELETE", user, None)] if self.luck.random() < 0.05 else []),
            ]
        )

    async def send(self, thief: Account, method: str, path: str, body: Any) -> httpx2.Response:
        request = {} if body is None else {"json": body}
        answer = await self.here.send(method, path, headers=thief.bearer, **request)
        if answer.status_code == 401:
            # Their rights moved. They sign in again, as a client does.
            login = await self.here.try_login(thief.email)
            if login.status_code == 200:
                thief.bearer["authorization"] = f"Bearer {login.json()['data']['accessToken']}"
                answer = await self.here.send(method, path, headers=thief.bearer, **request)
        return answer


async def band(here: Here, seed: int) -> Band:
    people = [await here.register() for _ in (*THIEVES, "mixed")]
    roles = ("admin", "moderator", "user", "user")
    others = [(await here.register(role=role)).id for role in roles]
    return Band(here, random.Random(seed), people, others)


async def arm(here: Here, people: list[Account]) -> None:
    """The operator gives them again what they have lost to each other."""
    users = here.services.users
    *plain, mixed = [one for one in people if await here.services.store.users.by_id(one.id)]
    for name, permissions in THIEVES.items():
        await here.services.roles.put(None, name, permissions, [], OPERATOR)
    for thief, name in zip(plain, THIEVES, strict=False):
        await users.set_role(None, thief.id, name, OPERATOR)
        await users.set_disabled(None, thief.id, False, OPERATOR)
    # One whose rights are of three kinds.
    more = ("role-maker", "giver")
    await users.set_role(None, mixed.id, "moderator", OPERATOR, additional=more)
    await users.set_permissions(None, mixed.id, ["assign:permissions"], OPERATOR)
    await users.set_disabled(None, mixed.id, False, OPERATOR)


@pytest.mark.parametrize("seed", range(3))
async def test_nobody_gives_or_takes_what_they_do_not_hold(
    here: Here, sqlite_database: str, seed: int
) -> None:
    thieves = await band(here, seed)
    before = tables(sqlite_database)
    chiefs = admins(before)
    assert len(chiefs) == 1
    done: Counter[tuple[str, int]] = Counter()
    for step in range(STEPS):
        if step % 25 == 0:
            await arm(here, thieves.people)
            before = tables(sqlite_database)
        thief = thieves.luck.choice(thieves.people)
        held = rights(before).get(thief.id, frozenset())
        method, path, body = thieves.attempt(held)
        answer = await thieves.send(thief, method, path, body)
        after = tables(sqlite_database)
        what = f"seed {seed}, step {step}: {thief.id} {method} {path} {body}: {answer.text}"
        assert answer.status_code in (200, 401, 403, 404, 409, 422), what
        done[method, answer.status_code] += 1
        if answer.status_code != 200:
            assert kept(before) == kept(after), what
        was, now = rights(before), rights(after)
        for account in was.keys() & now.keys():
            assert now[account] - was[account] <= held, what
            assert was[account] - now[account] <= held, what
        for gone in was.keys() - now.keys():
            assert was[gone] <= held, what
        # No thief became one, and no admin was touched.
        assert admins(after) == chiefs, what
        for user_id in chiefs:
            assert after["users"][user_id,] == before["users"][user_id,], what
        assert addresses(after) <= addresses(before), what
        before = after
    # They were not refused all of it.
    assert done["PUT", 200] >= STEPS // 20
    assert done["PUT", 403] >= STEPS // 20


async def present(here: Here) -> Tables:
    """What `rights` and `admins` read, of either database."""
    roles = await here.services.roles.list()
    page = await here.services.users.page(limit=100, cursor=None, search=None, role=None)
    return {
        "roles": {(name,): {} for name in roles},
        "role_permissions": {(name, one): {} for name in roles for one in roles[name].permissions},
        "role_includes": {(name, one): {} for name in roles for one in roles[name].includes},
        "users": {
            (user.id,): {
                "role": user.role,
                "permissions": json.dumps(user.permissions),
                "additional_roles": json.dumps(user.additional_roles),
                "disabled_at": user.disabled_at,
            }
            for user in page.users
        },
    }


async def test_nor_do_all_of_them_at_once(here_on_each: Here) -> None:
    """Each step by itself cannot be judged here; what they hold together never grows."""
    here = here_on_each
    thieves = await band(here, 7)
    chiefs = admins(await present(here))
    answers: Counter[int] = Counter()

    async def busy(thief: Account) -> None:
        for _ in range(15):
            held = rights(await present(here)).get(thief.id, frozenset())
            answer = await thieves.send(thief, *thieves.attempt(held))
            answers[answer.status_code] += 1

    for _ in range(3):
        await arm(here, thieves.people)
        before = rights(await present(here))
        together = frozenset().union(*(before[one] for one in before.keys() - chiefs))
        assert together < EVERYTHING
        await asyncio.gather(*map(busy, thieves.people))
        found = await present(here)
        assert admins(found) == chiefs
        after = rights(found)
        for account in after.keys() - chiefs:
            assert after[account] <= together, account
    # Nothing but decisions: no deadlock, and nothing that broke.
    assert answers.keys() <= {200, 401, 403, 404, 409, 422}
    assert answers[200] >= 5
    assert answers[403] >= 10
