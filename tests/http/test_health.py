"""Liveness and readiness."""

from tests.http.talking import Api, talking


async def ready(api: Api) -> tuple[int, object]:
    answer = await api.send("GET", "/readyz")
    body = answer.json()
    return answer.status_code, body.get("error", body.get("data"))


async def test_ready_is_who_can_serve(sqlite_url: str):
    async with talking(sqlite_url) as api:
        checks = {"database": "ok", "feed": "ok"}
        assert await ready(api) == (200, {"status": "ready", "checks": checks})
        feed = api.auth.services.feed
        await feed.stop()
        assert feed._read_at is not None
        feed._read_at -= 2
        assert await ready(api) == (503, "unavailable")
        # It lives all the same: to restart it would not help.
        assert (await api.send("GET", "/healthz")).status_code == 200


async def test_production_tells_no_detail(sqlite_url: str):
    async with talking(sqlite_url, env="production", hosts="localhost", origins=()) as api:
        assert await ready(api) == (200, {"status": "ready"})
