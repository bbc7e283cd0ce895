"""A FastAPI app with every protection on, and one route for two roles."""

from typing import Annotated

from fastapi import FastAPI

from authward import Authward, Principal
from bench.clients import from_many

auth = Authward()
api = FastAPI()
auth.install(api, deny_by_default=True)


@api.get("/api/members/profile")
async def profile(me: Annotated[Principal, auth.authorize("user", "admin")]) -> dict[str, str]:
    return {"id": me.id, "email": me.email, "role": me.role}


app = from_many(api)
