"""The values that docs/settings.md gives as examples are taken."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from authward.checks import parse_duration
from authward.settings import Settings
from tests.cli.conftest import SECRET, be_in
from tests.pages import ROOT

TEXT = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
ROWS = {
    name.lower(): meaning
    for name, meaning in re.findall(r"^\| `AUTHWARD_(\w+)` \| .*? \| (.*) \|$", TEXT, re.MULTILINE)
}
PUBLIC: dict[str, Any] = {
    "env": "production",
    "secret": SECRET,
    "public_url": "https://api.example.com",
}


def examples_of(meaning: str) -> list[str]:
    """What stands behind "like", addresses that are whole, and `off`."""
    found = re.findall(r"like `([^`]+)`|`(\w+:///?[^`…]+)`|`(off)`", meaning)
    return ["".join(one) for one in found]


EXAMPLES = [(name, value) for name in ROWS for value in examples_of(ROWS[name])]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and no settings."""
    be_in(tmp_path, monkeypatch)
    return tmp_path


def test_there_are_examples() -> None:
    assert ROWS.keys() == Settings.model_fields.keys()
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize(("name", "value"), EXAMPLES)
def test_an_example_is_taken(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other, needed in PUBLIC.items():
        monkeypatch.setenv(f"AUTHWARD_{other.upper()}", needed)
    monkeypatch.setenv(f"AUTHWARD_{name.upper()}", value)
    settings = Settings()
    assert (getattr(settings, name) in (None, ())) == (value == "off")


def choices_of(annotation: Any) -> set[str]:
    """The texts that a setting may be, where there are a few."""
    inside = get_args(annotation)
    return {one for one in inside if isinstance(one, str)}.union(*map(choices_of, inside))


CHOICES = {
    name: choices
    for name, field in Settings.model_fields.items()
    if (choices := choices_of(field.annotation))
}


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_is_told(name: str) -> None:
    assert [one for one in CHOICES[name] if f"`{one}`" not in ROWS[name]] == []
    assert CHOICES.keys() >= {"env", "algorithm", "csrf", "log_format", "report_only"}


def test_durations_and_lists_are_written_as_it_says(folder: Path) -> None:
    said = TEXT.partition("\nDurations are ")[2].partition("\n\n")[0]
    durations, lists = said.split(" Lists are ")
    spans = re.findall("`(\\w+)`", durations)
    assert [parse_duration(one) for one in spans] == [30, 900, 604_800]
    plain, in_file = re.findall("`([^`]+)`", lists)
    assert Settings(**PUBLIC, hosts=plain).hosts == ("a", "b")
    (folder / "authward.toml").write_text(f"hosts = {in_file}\n", encoding="utf-8")
    assert Settings(**PUBLIC).hosts == ("a", "b")
