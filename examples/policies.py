"""Who may edit which post: authors their own, editors any.

    uvicorn examples.policies:app

Register twice, write a post with the first token, and try to change it with the other:

    curl -d '{"text": "Hello"}' -H 'Content-Type: application/json' \
        -H 'Authorization: Bearer <accessToken>' http://127.0.0.1:8000/api/posts
    curl -X PUT -d '{"text": "Mine now"}' -H 'Content-Type: application/json' \
        -H 'Authorization: Bearer <accessToken>' http://127.0.0.1:8000/api/posts/0
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from authward import Authward, Decision, Principal, owner, permission, role

auth = Authward()
app = FastAPI()
auth.install(app)

Me = Annotated[Principal, auth.authenticate]


@dataclass
class Post:
    author_id: str
    text: str
    locked: bool = False


class Text(BaseModel):
    text: str


posts: list[Post] = []


def unless_locked(me: Principal, action: str, post: Post) -> Decision:
    """A rule of our own. What it denies, no other rule allows."""
    return Decision.DENY if post.locked else Decision.ABSTAIN


# Every rule in one place. What none of them allows is refused.
auth.policies.allow("update:post", owner("author_id"))
auth.policies.allow("update:post", role("editor"))
auth.policies.allow("update:post", unless_locked)
auth.policies.allow("lock:post", permission("lock:posts"))


def found(number: int) -> Post:
    if not 0 <= number < len(posts):
        raise HTTPException(404)
    return posts[number]


@app.post("/api/posts", status_code=201)
async def write(text: Text, me: Me) -> int:
    posts.append(Post(me.id, text.text))
    return len(posts) - 1


@app.get("/api/posts/{number}")
async def show(number: int, me: Me) -> dict[str, object]:
    post = found(number)
    return {"text": post.text, "mayEdit": auth.policies.can(me, "update:post", post)}


@app.put("/api/posts/{number}")
async def edit(number: int, text: Text, me: Me) -> None:
    post = found(number)
    auth.policies.check(me, "update:post", post)  # refused: 403, and it is audited
    post.text = text.text


@app.post("/api/posts/{number}/lock")
def lock(number: int, me: Me) -> None:
    post = found(number)
    auth.policies.check(me, "lock:post", post)
    post.locked = True


if __name__ == "__main__":
    raise SystemExit("usage: uvicorn examples.policies:app")
