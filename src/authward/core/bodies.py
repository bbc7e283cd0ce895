"""Request bodies: how long they are said to be, and how much is in them, seen as they stream."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import accumulate

from authward.core.text import printable
from authward.errors import ConfigurationError, MalformedRequest, PayloadTooLarge

Header = tuple[bytes, bytes]

FORM = b"application/x-www-form-urlencoded"
_MANY = 10**19
# Of JSON only this much has a shape. Both kinds of brackets count alike.
_KEPT = b'"[]{},'
_REST = bytes(set(range(256)) - set(_KEPT))
_ALIKE = bytes.maketrans(b"{}", b"[]")
# A step down, a step up, or none, as signed bytes.
_STEPS = bytes.maketrans(b"[],", b"\x01\xff\x00")
# Cut at its quotes, text of nothing but quotes weighs thirty times as much: not all at once.
_PIECE = 16 * 1024


def announced_length(headers: Collection[Header]) -> int | None:
    """Bytes of the body as its head tells: 0 if it tells of none, None if it will show (chunked).

    Raises MalformedRequest for a length that is none, for two of them, for a length beside
    `Transfer-Encoding`, and for a body behind an `Upgrade`, which some parsers take for the next
    request: each of them is how requests are smuggled (RFC 9112 section 6.3).
    """
    length: bytes | None = None
    chunked = False
    upgrade: bytes | None = None
    for name, value in headers:
        if name == b"content-length":
            if length is not None:
                raise MalformedRequest("Content-Length twice")
            if not value.isdigit():
                raise MalformedRequest("Content-Length is no number")
            length = value
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"upgrade":
            upgrade = value
    if length is None and not chunked:
        return 0
    if length is not None and chunked:
        raise MalformedRequest("Content-Length beside Transfer-Encoding")
    # Python refuses to read numbers of thousands of digits.
    announced = None if length is None else int(length) if len(length) < 20 else _MANY
    if upgrade is not None and announced != 0 and _asks_to_upgrade(headers):
        raise MalformedRequest(
            f"a body behind Upgrade {printable(upgrade.decode('latin-1'), 100)}",
            text="A body cannot come with Connection: Upgrade. Send it without",
        )
    return announced


def _asks_to_upgrade(headers: Collection[Header]) -> bool:
    return any(name == b"connection" and b"upgrade" in value.lower() for name, value in headers)


def is_json(content_type: bytes) -> bool:
    """Whether this type is JSON in UTF-8, to the letter. No form and no plain text passes, however
    it is written: those can be posted from any page without a preflight.
    """
    kind, _, parameters = content_type.lower().partition(b";")
    kind = kind.strip()
    if kind != b"application/json" and not (
        kind.startswith(b"application/") and kind.endswith(b"+json")
    ):
        return False
    for parameter in parameters.split(b";"):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"charset" and value.strip(b'"') not in (b"utf-8", b"utf8"):
            return False
    return True


def media_types(headers: Iterable[Header]) -> list[bytes]:
    """Every type the head names, in lower case, without parameters."""
    return [
        value.partition(b";")[0].strip().lower()
        for name, value in headers
        if name == b"content-type"
    ]


class JsonScan:
    """Follows JSON as it streams, without parsing it. At most `depth` brackets may be open at once,
    and `fields` is the most keys and items of all levels together, an empty list or object counting
    as one. None is no limit.

    Brackets and commas in strings never count. Up to the first fault of broken JSON, where every
    parser stops, it counts the same; so no parser goes deeper than it saw.
    """

    __slots__ = ("_depth", "_escaped", "_fields", "_level", "_most_fields", "_quoted")

    def __init__(self, *, depth: int | None, fields: int | None) -> None:
        self._depth = depth
        self._most_fields = fields
        self._level = 0
        self._fields = 0
        self._quoted = 0  # 1 inside of a string
        self._escaped = False

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes. Raises MalformedRequest: too deep, not UTF-8; PayloadTooLarge:
        too many fields.
        """
        for start in range(0, len(chunk), _PIECE):
            bare = self._unquoted(chunk[start : start + _PIECE])
            opened = bare.count(b"[")
            if self._most_fields is not None:
                self._fields += opened + bare.count(b",")
                if self._fields > self._most_fields:
                    raise PayloadTooLarge("too many fields", text="The body has too many fields")
            if self._depth is not None:
                self._descend(bare, opened, self._depth)

    def _descend(self, bare: bytes, opened: int, depth: int) -> None:
        # Only where the limit is within reach is each bracket followed.
        if self._level + opened > depth:
            steps = memoryview(bare.translate(_STEPS)).cast("b")
            if max(accumulate(steps, initial=self._level)) > depth:
                raise MalformedRequest("nested too deep", text="The body is nested too deep")
        self._level += opened - bare.count(b"]")

    def _unquoted(self, piece: bytes) -> bytes:
        """The brackets and commas outside of strings, with `[]` for all brackets."""
        # JSON is UTF-8 and has no NUL (RFC 8259 sections 7 and 8.1). Other encodings cannot do
        # without one, and could hide brackets: in UTF-16 half of "∀" looks like a quote.
        if b"\0" in piece:
            raise MalformedRequest("NUL in JSON", text="The body is not JSON in UTF-8")
        if self._escaped:
            piece = piece[1:]
        self._escaped = (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1
        if b"\\" in piece:
            # Pairs go first, from the left: only then does a backslash before a quote escape it.
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        # Most strings have shrunk to two quotes, which say nothing wherever they stand.
        parts = piece.translate(_ALIKE, _REST).replace(b'""', b"").split(b'"')
        bare = b"".join(parts[self._quoted :: 2])
        self._quoted ^= len(parts) % 2 == 0
        return bare


class FormScan:
    """Counts the fields of a urlencoded form as it streams."""

    __slots__ = ("_fields", "_most_fields")

    def __init__(self, *, fields: int) -> None:
        self._fields = 1
        self._most_fields = fields

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes. Raises PayloadTooLarge."""
        self._fields += chunk.count(b"&")
        if self._fields > self._most_fields:
            raise PayloadTooLarge("too many fields", text="The body has too many fields")


@dataclass(frozen=True, slots=True)
class BodyCaps:
    """What a body may be. None is no limit. Raises ConfigurationError."""

    most: int = 1024 * 1024
    """Bytes."""
    json_depth: int | None = 64
    fields: int | None = 10_000
    seconds: float | None = 30.0
    """What a client may let us wait, all in all, …"""
    rate: int = 4096
    """… and a second more for each so many bytes that came."""

    def __post_init__(self) -> None:
        _check_whole("bytes", self.most, 0, "Write bytes like 1024 * 1024")
        if self.json_depth is not None:
            _check_whole("json_depth", self.json_depth, 1, "Write a depth like 64, or None")
        if self.fields is not None:
            _check_whole("fields", self.fields, 1, "Write a number like 10_000, or None")
        if self.seconds is not None:
            _check_seconds(self.seconds)
        _check_whole("rate", self.rate, 1, "Write bytes a second, like 4096; seconds=None waits")

    def wait_for(self, received: int) -> float | None:
        """Seconds of waiting that a client has earned with so many bytes; None is for ever."""
        return None if self.seconds is None else self.seconds + received / self.rate

    def scan(self, headers: Iterable[Header]) -> JsonScan | FormScan | None:
        """What follows a body of this head, if anything has to.

        Any type that could be taken for JSON is followed as JSON: of two, an app may read either.
        """
        if self.json_depth is None and self.fields is None:
            return None
        kinds = media_types(headers)
        if any(kind.endswith((b"/json", b"+json")) for kind in kinds):
            return JsonScan(depth=self.json_depth, fields=self.fields)
        if self.fields is not None and FORM in kinds:
            return FormScan(fields=self.fields)
        return None


def _check_whole(option: str, value: object, least: int, cure: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{option}: {value!r} is not a whole number from {least} up. {cure}"
        )


def _check_seconds(value: object) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    if not 0 < number <= 86_400:
        raise ConfigurationError(
            f"seconds: {value!r} is no time to wait. Write seconds like 30, or None"
        )
