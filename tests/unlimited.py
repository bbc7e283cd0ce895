"""What switches the rate limits off, for servers that a test is not about."""

UNLIMITED = {"AUTHWARD_RATE_LIMIT": "off", "AUTHWARD_AUTH_RATE_LIMIT": "off"}
