"""A WebSocket that closes when its caller's token ends, unless a newer one arrives in time.

    uvicorn examples.websocket_app:app

In a browser, with the access token at hand:

    const socket = new WebSocket(url, ["authward.bearer", token]);
    socket.send(JSON.stringify({ renew: newerToken }));   // after each refresh
    socket.onclose = ({ code }) => …                      // 4401: refresh, then connect again
"""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from authward import Authward, Principal, Refusal

auth = Authward()
app = FastAPI()
auth.install(app)


@app.websocket("/echo")
async def echo(websocket: WebSocket, me: Annotated[Principal, auth.authenticate]) -> None:
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.send_json(answer(websocket, await websocket.receive_json()))


def answer(websocket: WebSocket, message: Any) -> Any:
    if not isinstance(message, dict) or "renew" not in message:
        return {"you": auth.principal(websocket).email, "said": message}
    try:
        auth.renew(websocket, str(message["renew"]))
    except Refusal as refusal:
        return {"renewed": False, "error": refusal.code}
    return {"renewed": True}


if __name__ == "__main__":
    raise SystemExit("usage: uvicorn examples.websocket_app:app")
