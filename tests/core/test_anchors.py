"""Anchors in logs of every form."""

from authward.core.anchors import anchors_of

HASH = "0123456789abcdef" * 4
OTHER = "f" * 64


def test_lines_of_json_and_of_the_console_are_read_and_others_are_not():
    lines = [
        f'{{"time": "x", "kind": "checkpoint", "number": 3, "hash": "{HASH}"}}\n',
        f"12:00:01 [info     ] checkpoint number=4 hash={OTHER}\n",
        f"\x1b[2m12:00\x1b[0m checkpoint \x1b[36mnumber\x1b[0m=\x1b[35m5\x1b[0m "
        f"\x1b[36mhash\x1b[0m=\x1b[35m{HASH}\x1b[0m\n",
        f'host app[1]: {{"message":"checkpoint","number":6,"hash":"{HASH}"}}',
        f'{{"kind": "login.succeeded", "number": 7, "hash": "{HASH}"}}',
        '{"kind": "checkpoint", "number": 8, "hash": "short"}',
        f'{{"kind": "checkpoint", "hash": "{HASH}"}}',
        "",
    ]
    assert anchors_of(lines) == {3: HASH, 4: OTHER, 5: HASH, 6: HASH}


def test_of_two_with_one_number_the_later_counts():
    line = "checkpoint number=1 hash="
    assert anchors_of([line + HASH, line + OTHER]) == {1: OTHER}
