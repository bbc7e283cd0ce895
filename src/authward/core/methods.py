"""Which methods there are."""

from __future__ import annotations

from difflib import get_close_matches

from authward.errors import ConfigurationError

# The HTTP Method Registry of IANA, and QUERY; without PRI, which is no request's (RFC 9113).
_REGISTERED = frozenset(
    {
        *("ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE"),
        *("GET", "HEAD", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL"),
        *("MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS", "ORDERPATCH", "PATCH", "POST"),
        *("PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "TRACE"),
        *("UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF"),
        "VERSION-CONTROL",
    }
)


def check_method(method: str) -> str:
    """A method of the option `methods`, in capitals. Raises ConfigurationError for what is none: a
    typing error would be about no request.
    """
    if method not in _REGISTERED:
        guess = get_close_matches(method, sorted(_REGISTERED), 1)
        cure = f"Did you mean '{guess[0]}'?" if guess else "Take one that is registered at IANA"
        raise ConfigurationError(f"methods: '{method}' is no HTTP method. {cure}")
    return method
