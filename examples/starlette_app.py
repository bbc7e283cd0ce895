"""A Starlette app with guards as decorators.

uvicorn examples.starlette_app:app
"""

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authward import Authward
from authward.starlette import authenticate, authorize, principal, require


@authenticate
async def me(request: Request) -> Response:
    caller = principal(request)
    return JSONResponse({"email": caller.email, "role": caller.role})


class Reports(HTTPEndpoint):
    @require("read:reports")
    async def get(self, request: Request) -> Response:
        return JSONResponse([f"For {principal(request).email}"])

    @authorize("admin", "moderator")
    def delete(self, request: Request) -> Response:
        return Response(status_code=204)


auth = Authward()
app = Starlette(routes=[Route("/api/me", me), Route("/api/reports", Reports)])
auth.install(app)

if __name__ == "__main__":
    raise SystemExit("usage: uvicorn examples.starlette_app:app")
