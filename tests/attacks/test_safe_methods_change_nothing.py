"""A link or an image that does something: GET, HEAD and OPTIONS of every route, by everybody, and
the database is what it was (RFC 9110 section 9.2.1; CWE-352, CWE-650).
"""

from typing import Any

from starlette.routing import Router

from authward.deny import walk
from tests.attacks.tables import TOLD, Tables, moved, tables, untold
from tests.here import OPERATOR, Here
from tests.keys import key_past
from tests.serving import Account

SAFE = ("GET", "HEAD", "OPTIONS")
# What frameworks take for another method, and what the routes take as a body.
OVERRIDES = {
    "x-http-method-override": "DELETE",
    "x-http-method": "DELETE",
    "x-method-override": "DELETE",
}
AS_QUERY = "_method=DELETE&method=DELETE&role=admin&name=Changed&disabled=true&password=changed"
BODY = {"role": "admin", "name": "Changed", "disabled": True, "permissions": ["*:*"]}


def everywhere(here: Here) -> list[str]:
    """The path of every route that is served."""
    found = [*walk(here.auth.asgi()).found, *walk(Router(here.auth.routes())).found]
    return sorted({one.path for one in found})


async def settled(here: Here, url: str) -> Tables:
    """The database, with what is still to be written down."""
    await here.services.refusals.flush(all_of_it=True)
    return tables(url)


def kinds(before: Tables, after: Tables) -> set[str]:
    """Of the audit rows that came."""
    return {str(row["kind"]) for key, row in after[TOLD].items() if before[TOLD].get(key) != row}


async def test_no_safe_request_changes_anything(here: Here, sqlite_database: str) -> None:
    victim = await here.register()
    callers: dict[str, Account | None] = {
        "nobody": None,
        "user": await here.register(),
        "moderator": await here.register(role="moderator"),
        "admin": await here.register(role="admin"),
    }
    await here.services.roles.put(None, "spare", ["read:nothing"], [], OPERATOR)
    [session] = await here.services.sessions.list(victim.id)
    past = await key_past(here.services)
    wrong: dict[tuple[str, str], Any] = {}
    asked = 0
    first = before = await settled(here, sqlite_database)
    for who, caller in callers.items():
        own = session if caller is None else (await here.services.sessions.list(caller.id))[0]
        for path in everywhere(here):
            target = own.id if path.startswith("/api/auth/sessions") else victim.id
            concrete = path.replace("{id}", target).replace("{name}", "spare")
            concrete = concrete.replace("{kid}", past)
            for method in SAFE:
                for request in requests_of(caller):
                    await here.send(method, concrete + request.pop("query", ""), **request)
                    asked += 1
            after = await settled(here, sqlite_database)
            told = kinds(before, after) - {"access.denied"}
            if moved(untold(before), untold(after)) or told:
                wrong[who, path] = moved(untold(before), untold(after)), told
            before = after
    assert wrong == {}
    assert asked >= 4 * 20 * 3 * 3
    assert kinds(first, before) == {"access.denied"}, "the denials were written down, nothing else"
    for caller in callers.values():
        if caller is not None:
            assert (await here.profile(caller)).status_code == 200
            assert (await here.refresh(caller)).status_code == 200


def requests_of(caller: Account | None) -> list[dict[str, Any]]:
    """Plain; as a link of another site would, with all that a browser and a script can add; with a
    body, and with the method that is meant in other words.
    """
    if caller is None:
        return [{}, {"query": f"?{AS_QUERY}"}, {"json": BODY, "headers": OVERRIDES}]
    cookie = {"cookie": f"refreshToken={caller.cookie}"}
    all_of_it = {**caller.bearer, **cookie, "x-csrf-token": caller.csrf}
    navigation = {**cookie, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    return [
        {"headers": all_of_it},
        {"headers": navigation, "query": f"?{AS_QUERY}"},
        {"headers": {**all_of_it, **OVERRIDES}, "json": BODY, "query": f"?{AS_QUERY}"},
    ]


async def test_a_difference_would_be_seen(here: Here, sqlite_database: str) -> None:
    """The comparison itself: one value of one row, and a row of the log."""
    ada = await here.register()
    before = await settled(here, sqlite_database)
    await here.send("PATCH", "/api/profile", headers=ada.bearer, json={"name": "Renamed"})
    after = await settled(here, sqlite_database)
    changed = moved(untold(before), untold(after))
    assert changed == {("users", (ada.id,), "name"), ("users", (ada.id,), "search")}
    assert kinds(before, after) == {"user.renamed"}
