"""FastAPI with AuthX, slowapi and CORSMiddleware, each as its documentation shows it."""

from authx import AuthX, AuthXConfig, TokenPayload
from fastapi import Depends, FastAPI, HTTPException
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.middleware.cors import CORSMiddleware

from bench.clients import from_many

auth = AuthX(
    config=AuthXConfig(
        JWT_SECRET_KEY="a secret of thirty-two bytes, no less", JWT_TOKEN_LOCATION=["headers"]
    )
)
api = FastAPI()
auth.handle_errors(api)
api.state.limiter = Limiter(
    key_func=get_remote_address,
    default_limits=["100 per 1 second"],
    strategy="moving-window",
    headers_enabled=True,
)
api.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
api.add_middleware(SlowAPIMiddleware)
api.add_middleware(
    CORSMiddleware,
    allow_origins=["https://app.example.com"],
    allow_credentials=True,
    allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
    allow_headers=["Content-Type", "Authorization"],
)


@api.post("/api/auth/register")
async def register():
    user = {"email": "ada@example.com", "role": "user"}
    return {"data": {"accessToken": auth.create_access_token(uid="user-1", data=user)}}


@api.get("/api/members/profile")
async def profile(me: TokenPayload = Depends(auth.access_token_required)) -> dict[str, str]:
    if me.role not in ("user", "admin"):
        raise HTTPException(403)
    return {"id": me.sub, "email": me.email, "role": me.role}


app = from_many(api)
