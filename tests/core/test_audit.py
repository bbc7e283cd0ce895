"""Audit events: what the network said, made safe to keep."""

from authward.core.audit import Client, Event


def test_a_client_is_bounded_and_on_one_line():
    client = Client.of("x" * 500, "Mozilla\r\nlogin.succeeded" + "y" * 500, "\x1b[2J" + "z" * 500)
    assert client.ip == "x" * 64
    assert client.user_agent.startswith("Mozilla\\x0d\\x0alogin.succeeded")
    assert len(client.user_agent) == 256 + 6
    assert client.request_id == "\\x1b[2J" + "z" * 60


def test_an_event_says_by_default_that_it_went_well_and_nothing_else():
    event = Event("login.succeeded", Client())
    assert (event.outcome, event.actor, event.subject, event.session) == ("ok", None, None, None)
    assert event.detail == {}
    assert event.client == Client("", "", "")
