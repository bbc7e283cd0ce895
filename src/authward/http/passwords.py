"""Change one's password."""

from __future__ import annotations

from authward.http.endpoint import Answer, Call
from authward.http.fields import Model, NewPassword, Password


class ChangePasswordBody(Model):
    current_password: Password
    new_password: NewPassword


async def change_password(call: Call) -> Answer:
    body = call.body(ChangePasswordBody)
    await call.services.passwords.change(
        call.principal, body.current_password, body.new_password, call.client
    )
    return Answer(None, "Password changed; every other session has ended")
