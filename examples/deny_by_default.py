"""A FastAPI app that serves no route which does not say who may call it.

    uvicorn examples.deny_by_default:app
    authward routes examples.deny_by_default:app --check

Take `dependencies=[auth.public]` away, and it does not start.
"""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

from authward import Authward, Principal

auth = Authward()
app = FastAPI()
auth.install(app, deny_by_default=True, public=["/static"])


@app.get("/health", dependencies=[auth.public])
async def health() -> str:
    return "well"


# What the router asks holds for all of its routes.
reports = APIRouter(
    prefix="/api/reports", route_class=auth.Route, dependencies=[auth.require("read:reports")]
)


@reports.get("")
async def listed() -> list[str]:
    return ["first", "second"]


@reports.delete("/{name}")
async def remove(name: str, me: Annotated[Principal, auth.authorize("admin")]) -> str:
    return f"{name} was removed by {me.email}"


app.include_router(reports)
# Nobody can look into this one, so its path is named above.
app.mount("/static", StaticFiles(directory=Path(__file__).parent))

if __name__ == "__main__":
    raise SystemExit("usage: uvicorn examples.deny_by_default:app")
