"""The audit log, for those who may read it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from authward.core.events import EVENT_KINDS, meant
from authward.core.times import milliseconds
from authward.http.endpoint import Answer, Call
from authward.http.fields import CURSOR, NO_NUL, Exact, Identifier, Model, Number, Text, Time
from authward.ports import AuditQuery
from authward.services.trail import row_data


def _moment(text: str) -> str:
    if milliseconds(text) is None:
        raise PydanticCustomError("invalid_time", "Must be a time with its zone, in ISO 8601")
    return text


def _kind(text: str) -> str:
    if text not in EVENT_KINDS:
        raise PydanticCustomError(
            "unknown_kind", "There is no such kind. {hint}", {"hint": meant(text)}
        )
    return text


def _at(text: str | None) -> int | None:
    return None if text is None else milliseconds(text)


_TIME = Field(
    max_length=40,
    examples=["2026-11-23T08:00:00Z"],
    json_schema_extra={**NO_NUL, "format": "date-time"},
)
Moment = Annotated[Text, _TIME, AfterValidator(_moment)]
Kind = Annotated[
    Text,
    Field(json_schema_extra={"enum": list(EVENT_KINDS)}, examples=["login.failed"]),
    AfterValidator(_kind),
]
Id = Annotated[Text, Field(min_length=1, max_length=64, examples=["hR3kq0WzT1mXc9uVbA2y"])]
Ip = Annotated[Text, Field(min_length=1, max_length=64, examples=["203.0.113.9"])]


class AuditEventsQuery(Exact):
    limit: Annotated[Number, Field(ge=1, le=100, examples=[20])] = 20
    cursor: Annotated[Text, Field(min_length=1, max_length=200, examples=[CURSOR])] | None = None
    user: Id | None = None
    kind: Kind | None = None
    ip: Ip | None = None
    since: Moment | None = None
    until: Moment | None = None


class AuditEventData(Model):
    id: Annotated[int, Field(examples=[4711])]
    time: Time
    kind: Annotated[str, Field(examples=["login.failed"])]
    outcome: Annotated[str, Field(examples=["refused"])]
    actor: Identifier | None
    subject: Identifier | None
    session: Identifier | None
    ip: Annotated[str, Field(examples=["203.0.113.9"])]
    user_agent: Annotated[str, Field(examples=["Mozilla/5.0"])]
    request_id: Annotated[str, Field(examples=["3f6c1a52"])]
    detail: Annotated[dict[str, str | int], Field(examples=[{"reason": "wrong password"}])]


class AuditEventsData(Model):
    events: list[AuditEventData]
    next_cursor: str | None = Field(examples=[CURSOR])


async def list_events(call: Call) -> Answer:
    query = call.query(AuditEventsQuery)
    page = await call.services.trail.page(
        AuditQuery(query.user, query.kind, query.ip, _at(query.since), _at(query.until)),
        limit=query.limit,
        cursor=query.cursor,
    )
    events = [row_data(row) for row in page.rows]
    return Answer({"events": events, "nextCursor": page.cursor}, "Audit events")
