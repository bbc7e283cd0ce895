"""Bodies: what their head tells, and JSON followed without being parsed."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authward.core.bodies import (
    BodyCaps,
    FormScan,
    JsonScan,
    announced_length,
    is_json,
    media_types,
)
from authward.errors import ConfigurationError, MalformedRequest, PayloadTooLarge, Refusal
from tests.generating import few, many

# --- the head ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], 0),
        ([(b"host", b"x")], 0),
        ([(b"content-length", b"0")], 0),
        ([(b"content-length", b"17")], 17),
        ([(b"content-length", b"0017")], 17),
        ([(b"content-length", b"9" * 19)], 10**19 - 1),
        ([(b"transfer-encoding", b"chunked")], None),
        ([(b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")], None),
        ([(b"upgrade", b"h2c"), (b"connection", b"upgrade")], 0),
        ([(b"upgrade", b"h2c"), (b"connection", b"upgrade"), (b"content-length", b"0")], 0),
        ([(b"upgrade", b"h2c"), (b"connection", b"close"), (b"content-length", b"5")], 5),
        ([(b"connection", b"upgrade"), (b"content-length", b"5")], 5),
    ],
    ids=str,
)
def test_the_length_a_head_announces(headers: list[tuple[bytes, bytes]], expected: int | None):
    assert announced_length(headers) == expected


@pytest.mark.parametrize("digits", [20, 30, 5000])
def test_a_length_of_many_digits_is_more_than_anyone_takes(digits: int):
    found = announced_length([(b"content-length", b"9" * digits)])
    assert found is not None
    assert found > 2**60


@pytest.mark.parametrize(
    "headers",
    [
        *([(b"content-length", value)] for value in (b"", b"-1", b"+1", b"1 ", b"1,1", b"0x1")),
        [(b"content-length", "١".encode())],
        [(b"content-length", b"1e3")],
        [(b"content-length", b"1_0")],
        [(b"content-length", b"5"), (b"content-length", b"5")],
        [(b"content-length", b"5"), (b"content-length", b"6")],
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")],
        [(b"upgrade", b"h2c"), (b"connection", b"x, Upgrade"), (b"content-length", b"5")],
        [(b"upgrade", b""), (b"connection", b"upgrade"), (b"transfer-encoding", b"chunked")],
        [
            *((b"connection", value) for value in (b"upgrade", b"close")),
            *((b"upgrade", b"h2c"), (b"content-length", b"9" * 30)),
        ],
    ],
    ids=str,
)
def test_a_head_two_servers_could_read_differently_is_refused(headers: list[tuple[bytes, bytes]]):
    with pytest.raises(MalformedRequest):
        announced_length(headers)


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json",
        b"Application/JSON ; charset=UTF-8",
        b'application/problem+json; charset="utf8"',
        b"application/json; x=1;;",
    ],
)
def test_json_in_utf_8(kind: bytes):
    assert is_json(kind)


@pytest.mark.parametrize(
    "kind",
    [
        b"",
        b"text/json",
        b"text/plain; charset=application/json",
        b"application/x-www-form-urlencoded",
        b"application/jsonp",
        b"application/json; charset=utf-16",
        b"json",
    ],
)
def test_and_what_is_not(kind: bytes):
    assert not is_json(kind)


def test_media_types_are_all_there_are_without_parameters():
    headers = [(b"content-type", b"Text/Plain; a=b"), (b"x", b"y"), (b"content-type", b" a/b ")]
    assert media_types(headers) == [b"text/plain", b"a/b"]
    assert media_types([]) == []


# --- JSON -------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.text('[]{},:"\\/nu0', max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('[]{},:"\\a', max_size=6), inner, max_size=4)
    ),
    max_leaves=40,
)
FORMATS: list[dict[str, Any]] = [
    {},
    {"ensure_ascii": False},
    {"indent": 1},
    {"separators": (",", ":")},
]


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def fields_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return max(1, len(value)) + sum(map(fields_of, value)) if isinstance(value, list) else 0


def verdict(chunks: list[bytes], *, depth: int | None = None, fields: int | None = None) -> str:
    scan = JsonScan(depth=depth, fields=fields)
    try:
        for chunk in chunks:
            scan.feed(chunk)
    except Refusal as refusal:
        return refusal.reason
    return "passes"


def split(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@many
@given(VALUES, st.sampled_from(FORMATS), CUTS)
def test_depth_and_fields_are_what_a_parser_finds_however_it_is_cut(value, form, cuts):
    chunks = split(json.dumps(value, **form).encode(), cuts)
    depth, fields = depth_of(value), fields_of(value)
    assert verdict(chunks, depth=max(depth, 1), fields=max(fields, 1)) == "passes"
    if depth > 1:
        assert verdict(chunks, depth=depth - 1) == "nested too deep"
    if fields > 1:
        assert verdict(chunks, fields=fields - 1) == "too many fields"


@few
@given(VALUES)
def test_and_cut_into_single_bytes(value):
    body = json.dumps(value).encode()
    chunks = [body[at : at + 1] for at in range(len(body))]
    assert verdict(chunks, depth=max(depth_of(value), 1)) == "passes"
    if depth_of(value) > 1:
        assert verdict(chunks, depth=depth_of(value) - 1) == "nested too deep"


@many
@given(st.text('[]{}":,\\ a1', max_size=60), CUTS, st.integers(1, 6))
def test_no_parser_gets_deeper_into_broken_json_than_the_scan(text, cuts, depth):
    """Every beginning of a text that could still become JSON is scanned as what it is."""
    if verdict(split(text.encode(), cuts), depth=depth) == "passes":
        assert deepest(text) <= depth


def deepest(text: str) -> int:
    """How many brackets are open at once, at most, before the first fault."""
    reached = level = 0
    quoted = False
    at = 0
    while at < len(text):
        letter = text[at]
        if quoted:
            at += letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            level += 1
            reached = max(reached, level)
        elif letter in "]}":
            level -= 1
        elif letter == "\\":
            break
        if level < 0:
            break
        at += 1
    return reached


@pytest.mark.parametrize(
    "text",
    [
        "[" * 64 + "]" * 64,
        '{"a":' * 64 + "1" + "}" * 64,
        '[{"a":' * 32 + "1" + "}]" * 32,
        "[]" * 999,
    ],
)
def test_sixty_four_levels_pass_and_sixty_five_do_not(text: str):
    assert verdict([text.encode()], depth=64) == "passes"
    assert verdict([b"[", text.encode()], depth=64) == (
        "passes" if text.startswith("[]") else "nested too deep"
    )


@pytest.mark.parametrize("size", [16_383, 16_384, 16_385, 32_768, 100_000])
@pytest.mark.parametrize("filling", [b"\\\\", b'\\"', b"[", b"\\u005b", b'\\\\\\"'])
def test_long_strings_are_followed_over_their_pieces(size: int, filling: bytes):
    for extra in range(len(filling)):
        inside = b"a" * extra + filling * (size // len(filling))
        body = b'["' + inside + b'",[[1]]]'
        assert depth_of(json.loads(body)) == 3
        assert verdict([body], depth=3) == "passes"
        assert verdict([body], depth=2) == "nested too deep"
        assert verdict([body], fields=4) == "passes"
        assert verdict([body], fields=3) == "too many fields"


def test_nothing_ends_nothing():
    assert verdict([b"", b'["', b"", b"\\", b"", b'"[[', b'"]'], depth=1) == "passes"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_other_encodings_hide_no_brackets(encoding: str):
    """Half of a `∀` is a quote; json.loads would find all brackets behind it."""
    body = ('["∀",' + "[" * 100 + "]" * 100 + "]").encode(encoding)
    assert depth_of(json.loads(body)) == 101
    assert verdict([body], depth=64) == "NUL in JSON"
    assert verdict([body], fields=1000) == "NUL in JSON"


def test_refusals_say_what_is_wrong_in_words():
    scan = JsonScan(depth=1, fields=2)
    with pytest.raises(MalformedRequest) as deep:
        scan.feed(b"[[")
    with pytest.raises(PayloadTooLarge) as wide:
        JsonScan(depth=None, fields=2).feed(b"[1,2,3]")
    assert (deep.value.message, deep.value.status) == ("The body is nested too deep", 400)
    assert (wide.value.message, wide.value.status) == ("The body has too many fields", 413)


# --- forms ------------------------------------------------------------------------------------


@few
@given(st.integers(1, 200), CUTS)
def test_fields_of_a_form_are_counted(count: int, cuts: list[int]):
    chunks = split("&".join(f"a{n}=1" for n in range(count)).encode(), cuts)
    scan = FormScan(fields=count)
    for chunk in chunks:
        scan.feed(chunk)
    with pytest.raises(PayloadTooLarge):
        scan.feed(b"&")


# --- caps -------------------------------------------------------------------------------------


def caps(**said: Any) -> BodyCaps:
    return BodyCaps(**said)


JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([JSON], JsonScan),
        ([b"Application/Geo+JSON; charset=utf-16"], JsonScan),
        ([b"text/json"], JsonScan),
        ([b"text/plain", JSON], JsonScan),
        ([FORM, JSON], JsonScan),
        ([FORM + b"; charset=utf-8"], FormScan),
        ([b"text/plain"], type(None)),
        ([b"multipart/form-data; boundary=json"], type(None)),
        ([], type(None)),
    ],
    ids=str,
)
def test_what_is_followed(kinds: list[bytes], expected: type):
    headers = [(b"content-type", kind) for kind in kinds]
    assert type(caps().scan(headers)) is expected
    assert caps(json_depth=None, fields=None).scan(headers) is None


def test_a_form_has_no_depth():
    assert caps(fields=None).scan([(b"content-type", FORM)]) is None
    assert type(caps(fields=None).scan([(b"content-type", JSON)])) is JsonScan
    assert type(caps(json_depth=None).scan([(b"content-type", JSON)])) is JsonScan


def test_the_caps_that_nobody_has_to_state():
    assert caps() == BodyCaps(1_048_576, 64, 10_000, 30.0, 4096)


def test_waiting_is_earned_by_sending():
    assert caps().wait_for(0) == 30
    assert caps().wait_for(8192) == 32
    assert caps(seconds=None).wait_for(8192) is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("most", value) for value in (-1, "1MB", 1.5, None, True)),
        *(("json_depth", value) for value in (0, -1, 1.5, True)),
        *(("fields", value) for value in (0, "many", False)),
        *(("seconds", value) for value in (0, -1, "30", float("nan"), float("inf"), True, 86_401)),
        *(("rate", value) for value in (0, None, 0.5)),
    ],
)
def test_caps_that_make_no_sense_are_refused_by_name(option: str, value: object):
    name = "bytes" if option == "most" else option
    with pytest.raises(ConfigurationError, match=rf"^{name}: .*\. Write "):
        caps(**{option: value})


def test_no_body_at_all_is_a_cap():
    assert caps(most=0).most == 0
    assert caps(seconds=86_400).seconds == 86_400
