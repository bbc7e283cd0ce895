"""A FastAPI app with accounts, roles and permissions.

    uvicorn examples.fastapi_app:app

Register and ask who you are:

    curl -d '{"email": "ada@example.com", "password": "correct horse", "name": "Ada"}' \
        -H 'Content-Type: application/json' http://127.0.0.1:8000/api/auth/register
    curl -H 'Authorization: Bearer <accessToken>' http://127.0.0.1:8000/api/me
"""

from typing import Annotated

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from authward import Authward, Principal

auth = Authward()  # settings from the environment and authward.toml
app = FastAPI()
auth.install(app)  # protections, our routes, error envelopes, start-up and shutdown

# A name for what a route takes, so that it is written once.
Me = Annotated[Principal, auth.authenticate]


class Report(BaseModel):
    title: str


@app.get("/api/me")
async def me(me: Me) -> dict[str, object]:
    return {"id": me.id, "email": me.email, "role": me.role, "permissions": sorted(me.permissions)}


# A permission, granted to the account or to its role.
@app.get("/api/reports")
async def reports(me: Annotated[Principal, auth.require("read:reports")]) -> list[Report]:
    return [Report(title=f"For {me.email}")]


# One of two roles; who it is does not matter.
@app.delete("/api/reports/{name}", dependencies=[auth.authorize("admin", "moderator")])
def remove(name: str) -> None:
    """A sync endpoint is fine."""


# A router that guards all of its routes. With route_class they are asked before a body is read.
drafts = APIRouter(
    prefix="/api/drafts", route_class=auth.Route, dependencies=[auth.require("write:reports")]
)


@drafts.post("", status_code=201)
async def draft(report: Report, me: Me) -> Report:
    return Report(title=f"{report.title}, by {me.email}")


app.include_router(drafts)

if __name__ == "__main__":
    raise SystemExit("usage: uvicorn examples.fastapi_app:app")
