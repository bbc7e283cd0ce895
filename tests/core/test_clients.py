"""Who a connection comes from."""

from authward.core.clients import client_of


def test_the_address_of_the_socket_and_the_agent_it_claims():
    client = client_of(("192.0.2.7", 50_000), [(b"user-agent", b"curl/8")], "request-1")
    assert (client.ip, client.user_agent, client.request_id) == ("192.0.2.7", "curl/8", "request-1")


def test_no_socket_and_no_agent():
    client = client_of(None, [(b"host", b"x")])
    assert (client.ip, client.user_agent, client.request_id) == ("", "", "")


def test_the_first_of_two_agents_counts_and_no_forwarded_address_does():
    headers = [
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"forwarded", b"for=203.0.113.9"),
        (b"user-agent", b"one\xe9"),
        (b"user-agent", b"two"),
    ]
    client = client_of(("192.0.2.7", 1), headers)
    assert (client.ip, client.user_agent) == ("192.0.2.7", "oneé")
